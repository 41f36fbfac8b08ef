//! Statuses and other fixed words, spelled as the API spells them.

use serde::{Deserialize, Serialize};

macro_rules! words {
    ($(#[$doc:meta])* $type:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        pub enum $type {
            $($(#[$vdoc])* #[serde(rename = $text)] $variant),+
        }

        impl $type {
            /// Every word, in the API model's order.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word as the API writes it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// The word's value, if it is one of these.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

words!(
    /// `PipelineExecutionStatus`.
    ExecutionStatus {
        /// Ended because its pipeline was changed or deleted while it ran.
        Cancelled = "Cancelled",
        /// Running, or waiting between stages.
        InProgress = "InProgress",
        /// Ended by StopPipelineExecution.
        Stopped = "Stopped",
        /// Asked to stop; actions in progress are let finish.
        Stopping = "Stopping",
        /// Every stage of its plan succeeded or was skipped.
        Succeeded = "Succeeded",
        /// A newer execution took its place before a stage.
        Superseded = "Superseded",
        /// A stage failed.
        Failed = "Failed",
    }
);

impl ExecutionStatus {
    /// Whether nothing more happens by itself (a retry may still revive `Failed` and `Stopped`).
    pub fn is_terminal(self) -> bool {
        match self {
            Self::InProgress | Self::Stopping => false,
            Self::Cancelled | Self::Stopped | Self::Succeeded | Self::Superseded | Self::Failed => true,
        }
    }
}

words!(
    /// `StageExecutionStatus`.
    StageStatus {
        /// Ended because its pipeline was changed or deleted while it ran.
        Cancelled = "Cancelled",
        /// Entered and not ended.
        InProgress = "InProgress",
        /// An action, or a condition, failed.
        Failed = "Failed",
        /// Its execution was stopped.
        Stopped = "Stopped",
        /// Its execution was asked to stop; actions in progress are let finish.
        Stopping = "Stopping",
        /// Every action succeeded, and so did its onSuccess condition.
        Succeeded = "Succeeded",
        /// Its beforeEntry condition's result was SKIP.
        Skipped = "Skipped",
    }
);

words!(
    /// `ActionExecutionStatus`, and `Cancelled`, which the API shows as `Abandoned` and events as `CANCELED`.
    ActionStatus {
        /// Created and not ended.
        InProgress = "InProgress",
        /// Left by a stop with `abandon`; the work outside may go on.
        Abandoned = "Abandoned",
        /// Succeeded.
        Succeeded = "Succeeded",
        /// Failed, rejected or timed out.
        Failed = "Failed",
        /// Never started: its execution was stopped or cancelled between creation and claim.
        Cancelled = "Cancelled",
    }
);

words!(
    /// `ConditionExecutionStatus`.
    ConditionStatus {
        /// Its rules are being evaluated.
        InProgress = "InProgress",
        /// A rule failed (beforeEntry, onSuccess), or not all succeeded (onFailure).
        Failed = "Failed",
        /// A rule could not be evaluated.
        Errored = "Errored",
        /// Every rule succeeded.
        Succeeded = "Succeeded",
        /// Its execution was cancelled.
        Cancelled = "Cancelled",
        /// Its execution was stopped with `abandon`.
        Abandoned = "Abandoned",
        /// Overridden by OverrideStageCondition.
        Overridden = "Overridden",
    }
);

words!(
    /// `ExecutionMode`.
    ExecutionMode {
        /// Order of arrival is kept; nothing is superseded.
        Queued = "QUEUED",
        /// The default: one execution waits before a stage, a newer one takes its place.
        Superseded = "SUPERSEDED",
        /// Executions do not wait for one another.
        Parallel = "PARALLEL",
    }
);

words!(
    /// `PipelineType`.
    PipelineType {
        /// The first kind.
        V1 = "V1",
        /// The kind with variables, triggers and execution modes.
        V2 = "V2",
    }
);

words!(
    /// `ExecutionType`.
    ExecutionType {
        /// Runs every stage.
        Standard = "STANDARD",
        /// Runs one stage again with an earlier execution's artifacts and variables.
        Rollback = "ROLLBACK",
    }
);

words!(
    /// `Result` of a condition or of onFailure.
    ConditionResult {
        /// Run the stage again as of its last success.
        Rollback = "ROLLBACK",
        /// The stage fails.
        Fail = "FAIL",
        /// The stage is retried.
        Retry = "RETRY",
        /// The stage is skipped.
        Skip = "SKIP",
    }
);

words!(
    /// `StageRetryMode`.
    RetryMode {
        /// The failed actions run again, then those not yet run.
        FailedActions = "FAILED_ACTIONS",
        /// The stage runs again from its first run order.
        AllActions = "ALL_ACTIONS",
    }
);

words!(
    /// `RetryTrigger`.
    RetryTrigger {
        /// By the stage's onFailure.
        Automated = "AutomatedStageRetry",
        /// By RetryStageExecution.
        Manual = "ManualStageRetry",
    }
);

words!(
    /// `TriggerType`.
    TriggerType {
        /// By the creation of its pipeline.
        CreatePipeline = "CreatePipeline",
        /// By hand or by a program.
        StartPipelineExecution = "StartPipelineExecution",
        /// By a poll that saw a new revision.
        PollForSourceChanges = "PollForSourceChanges",
        /// By a webhook.
        Webhook = "Webhook",
        /// By an event.
        CloudWatchEvent = "CloudWatchEvent",
        /// By PutActionRevision.
        PutActionRevision = "PutActionRevision",
        /// By a connection's push or pull request.
        WebhookV2 = "WebhookV2",
        /// By RollbackStage.
        ManualRollback = "ManualRollback",
        /// By a stage's onFailure or onSuccess with ROLLBACK.
        AutomatedRollback = "AutomatedRollback",
    }
);

words!(
    /// `SourceRevisionType`.
    SourceRevisionType {
        /// A git commit.
        CommitId = "COMMIT_ID",
        /// A container image's digest.
        ImageDigest = "IMAGE_DIGEST",
        /// The version of an S3 object.
        S3ObjectVersionId = "S3_OBJECT_VERSION_ID",
        /// The key of an S3 object, where the action allows to override it.
        S3ObjectKey = "S3_OBJECT_KEY",
    }
);

words!(
    /// The three places where a stage has conditions.
    ConditionSlot {
        /// Before its first action.
        BeforeEntry = "BEFORE_ENTRY",
        /// After its last action succeeded.
        OnSuccess = "ON_SUCCESS",
        /// After an action failed (not in the API's `ConditionType`: it cannot be overridden).
        OnFailure = "ON_FAILURE",
    }
);

impl ConditionSlot {
    /// The field of a stage's declaration that holds its conditions, which is also what people call them.
    pub fn field(self) -> &'static str {
        match self {
            Self::BeforeEntry => "beforeEntry",
            Self::OnSuccess => "onSuccess",
            Self::OnFailure => "onFailure",
        }
    }
}

words!(
    /// `ActionCategory`, with `Rule` for rule types.
    Category {
        /// Brings a revision in.
        Source = "Source",
        /// Builds.
        Build = "Build",
        /// Deploys.
        Deploy = "Deploy",
        /// Tests.
        Test = "Test",
        /// Calls a function, a state machine or another pipeline.
        Invoke = "Invoke",
        /// Waits for a person.
        Approval = "Approval",
        /// Runs commands.
        Compute = "Compute",
        /// Evaluates a rule of a condition.
        Rule = "Rule",
    }
);

words!(
    /// `ActionOwner`.
    Owner {
        /// Built in.
        Aws = "AWS",
        /// A partner's.
        ThirdParty = "ThirdParty",
        /// Registered by CreateCustomActionType.
        Custom = "Custom",
    }
);
