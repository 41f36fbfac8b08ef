//! What happens to a pipeline, and what comes of it.

use model::{
    ActionExecutionId, ActionStatus, ConditionSlot, ExecutionId, Pipeline, PipelineId, PipelineName, RetryMode, Seed,
    StageName, StringMap, Timestamp, Version,
};
use serde::{Deserialize, Serialize};

use crate::item::{
    ApprovalDecision, ArtifactLocation, ErrorDetail, Item, LogLocation, Origin, SourceOverride, SourceRevision,
    TriggerDetail,
};
use crate::key::{ActionKey, ItemKey, Read};

/// Something that happened, with all that a decision may not find out by itself.
#[derive(Clone, Debug)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// What ids and tokens derive from; the same when the event is decided anew.
    pub seed: Seed,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum What {
    /// Somebody asked for something.
    Command(Command),
    /// Something that must happen next.
    Work(Work),
    /// News of an action.
    Action(ActionKey, ActionReport),
}

/// What can be asked for.
#[derive(Clone, Debug)]
pub enum Command {
    /// Make the pipeline.
    Create(Create),
    /// StartPipelineExecution, or a trigger.
    Start(Start),
    /// StopPipelineExecution.
    Stop(Stop),
    /// RetryStageExecution.
    Retry(Retry),
    /// RollbackStage.
    Rollback(Rollback),
    /// OverrideStageCondition.
    Override(Override),
    /// DisableStageTransition, EnableStageTransition.
    SetTransition(SetTransition),
    /// UpdatePipeline.
    Update(Box<Pipeline>),
    /// DeletePipeline.
    Delete,
}

/// A pipeline to make.
#[derive(Clone, Debug)]
pub struct Create {
    /// This creation's id.
    pub id: PipelineId,
    /// Its declaration.
    pub declaration: Box<Pipeline>,
}

/// A start.
#[derive(Clone, Debug)]
pub struct Start {
    /// Who or what starts it.
    pub trigger: TriggerDetail,
    /// Where it came from.
    pub origin: Option<Origin>,
    /// Pipeline variables given.
    pub variables: StringMap,
    /// Source revisions given.
    pub overrides: Vec<SourceOverride>,
}

/// A stop.
#[derive(Clone, Debug)]
pub struct Stop {
    /// The execution.
    pub execution: ExecutionId,
    /// Whether actions in progress are abandoned at once.
    pub abandon: bool,
    /// Why.
    pub reason: Option<String>,
}

/// A retry by hand.
#[derive(Clone, Debug)]
pub struct Retry {
    /// The execution.
    pub execution: ExecutionId,
    /// The stage.
    pub stage: StageName,
    /// Which actions run again.
    pub mode: RetryMode,
}

/// A rollback by hand.
#[derive(Clone, Debug)]
pub struct Rollback {
    /// The stage.
    pub stage: StageName,
    /// The execution to go back to.
    pub target: ExecutionId,
    /// Who asks.
    pub by: String,
}

/// An override of a condition.
#[derive(Clone, Debug)]
pub struct Override {
    /// The execution.
    pub execution: ExecutionId,
    /// The stage.
    pub stage: StageName,
    /// Which condition.
    pub condition: ConditionSlot,
}

/// Which side of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransitionSide {
    /// Into the stage.
    Inbound,
    /// Out of the stage.
    Outbound,
}

/// A transition to disable or enable.
#[derive(Clone, Debug)]
pub struct SetTransition {
    /// The stage.
    pub stage: StageName,
    /// Which side.
    pub side: TransitionSide,
    /// Why it is disabled; none enables.
    pub disable: Option<String>,
    /// Who asks.
    pub by: String,
}

/// What must happen next: each has a row and its own commit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Work {
    /// Judge a stage after this action ended.
    Advance(ActionKey),
    /// Let the next waiter into a stage; end superseded ones.
    Admit(StageName),
    /// Carry out a stop or cancel.
    Settle(ExecutionId),
    /// Cancel executions of older versions.
    CancelOlderThan(Version),
    /// An action's deadline is here.
    Due(ActionKey),
}

/// News of an action.
#[derive(Clone, Debug)]
pub enum ActionReport {
    /// Its driver is about to start it.
    Claim(Claim),
    /// Its provider has started it.
    Started(Started),
    /// A person decided.
    Decided {
        /// The approval's token.
        token: String,
        /// What.
        decision: ApprovalDecision,
    },
    /// It ended.
    Ended(Box<Outcome>),
}

/// A claim: nobody else starts this action under this drive or an older one.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// Greater than that of every claim before.
    pub drive: u32,
    /// Artifacts it reads.
    pub inputs: Vec<ArtifactLocation>,
    /// Artifacts it makes, with their keys.
    pub outputs: Vec<ArtifactLocation>,
    /// Where its output goes.
    pub log: Option<LogLocation>,
}

/// A start at the provider.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Started {
    /// The work's id there.
    pub external_id: Option<String>,
    /// Where to look at it.
    pub external_url: Option<String>,
    /// What to tell people.
    pub summary: Option<String>,
    /// How far it is, of 100.
    pub percent_complete: Option<u8>,
    /// What wakes its driver: a Step Functions task token. A wake-up only; the item is the truth.
    pub task_token: Option<String>,
}

/// How an action ended.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Why it failed; none is success.
    pub error: Option<ErrorDetail>,
    /// The work's id at its provider.
    pub external_id: Option<String>,
    /// Where to look at the work.
    pub external_url: Option<String>,
    /// What to tell people.
    pub summary: Option<String>,
    /// How far it came, of 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent_complete: Option<u8>,
    /// What a source action brought.
    pub revision: Option<SourceRevision>,
    /// Artifacts it made: digests and sizes of the claimed keys.
    pub outputs: Vec<ArtifactLocation>,
    /// Its output variables; stored beside the action, not in it.
    pub variables: StringMap,
}

impl Outcome {
    /// A failure.
    pub fn failed(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { error: Some(ErrorDetail { code: code.into(), message: message.into() }), ..Self::default() }
    }
}

/// What a decision changes, is refused for, or is ignored for.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Commit this.
    Changed(Box<Changed>),
    /// Harmless; its row is consumed.
    Ignored(Reason),
    /// Only a command or an approval can be refused.
    Refused(Refusal),
}

/// A commit to make.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Changed {
    /// Items written, each at most once.
    pub changes: Vec<Change>,
    /// Items that must still be as they were loaded.
    pub depends_on: Vec<ItemKey>,
    /// What follows.
    pub effects: Vec<Effect>,
    /// The execution started, for starts and rollbacks.
    pub execution: Option<ExecutionId>,
}

/// One write; `Create` needs the item absent, the others need it as loaded.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A new item.
    Create(ItemKey, Item),
    /// A changed item.
    Replace(ItemKey, Item),
    /// A removed item.
    Delete(ItemKey),
}

/// What follows a commit.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// A work row, now or at its time.
    Work {
        /// What.
        work: Work,
        /// When; none is now.
        due: Option<Timestamp>,
    },
    /// One row that has these actions started.
    Dispatch(Vec<ActionKey>),
    /// A state change for outsiders.
    Publish(Box<StateChange>),
    /// Whoever drives this action should leave it.
    EndDriver(ActionKey),
    /// The action's deadline row is not needed any more.
    CancelDue(ActionKey, Timestamp),
}

/// Why nothing was to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// The pipeline was deleted.
    PipelineDeleted,
    /// The execution is unknown.
    UnknownExecution,
    /// The execution has ended.
    ExecutionEnded,
    /// The stage is not where this belongs to any more.
    StageMovedOn,
    /// The action is unknown.
    UnknownAction,
    /// The action has ended.
    ActionEnded,
    /// Another claim came first.
    AlreadyClaimed,
    /// A newer attempt exists.
    StaleAttempt,
    /// Others of the run order are still running.
    StillRunning,
    /// Nobody waits.
    NobodyWaits,
    /// The stage is occupied or held.
    StageNotFree,
    /// The deadline has not come, or there is none.
    NotDue,
    /// It is so already.
    AlreadySo,
}

/// Why a command was refused; maps one to one to an API error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// PipelineNotFoundException.
    PipelineNotFound,
    /// PipelineNameInUseException.
    PipelineNameInUse,
    /// PipelineExecutionNotFoundException.
    ExecutionNotFound,
    /// StageNotFoundException.
    StageNotFound(StageName),
    /// ActionNotFoundException.
    ActionNotFound,
    /// LimitExceededException: how many pipelines there may be.
    PipelinesLimit(usize),
    /// ConcurrentPipelineExecutionsLimitExceededException.
    ConcurrentExecutionsLimit(u32),
    /// DuplicatedStopRequestException.
    DuplicatedStop,
    /// PipelineExecutionNotStoppableException.
    NotStoppable(String),
    /// StageNotRetryableException.
    StageNotRetryable(String),
    /// NotLatestPipelineExecutionException.
    NotLatestExecution(String),
    /// ConflictException.
    Conflict(String),
    /// UnableToRollbackStageException.
    UnableToRollback(String),
    /// PipelineExecutionOutdatedException.
    ExecutionOutdated(String),
    /// ConditionNotOverridableException.
    ConditionNotOverridable(String),
    /// InvalidApprovalTokenException.
    InvalidApprovalToken,
    /// ApprovalAlreadyCompletedException.
    ApprovalAlreadyCompleted,
    /// ValidationException.
    Invalid(String),
}

/// What else a decision needs to see.
#[derive(Clone, Debug, PartialEq)]
pub struct Missing(pub Vec<Read>);

/// A state as events write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum State {
    /// `STARTED`.
    Started,
    /// `SUCCEEDED`.
    Succeeded,
    /// `FAILED`.
    Failed,
    /// `CANCELED`.
    Canceled,
    /// `RESUMED`.
    Resumed,
    /// `STOPPING`.
    Stopping,
    /// `STOPPED`.
    Stopped,
    /// `SUPERSEDED`.
    Superseded,
    /// `ABANDONED`.
    Abandoned,
}

impl State {
    /// The word in events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "STARTED",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Canceled => "CANCELED",
            Self::Resumed => "RESUMED",
            Self::Stopping => "STOPPING",
            Self::Stopped => "STOPPED",
            Self::Superseded => "SUPERSEDED",
            Self::Abandoned => "ABANDONED",
        }
    }

    /// The state of an action that has this status.
    pub fn of_action(status: ActionStatus) -> Self {
        match status {
            ActionStatus::InProgress => Self::Started,
            ActionStatus::Abandoned => Self::Abandoned,
            ActionStatus::Succeeded => Self::Succeeded,
            ActionStatus::Failed => Self::Failed,
            ActionStatus::Cancelled => Self::Canceled,
        }
    }
}

/// A state change for outsiders, with all that its event says (`events_samples.json`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StateChange {
    /// When it happened.
    pub at: Timestamp,
    /// The pipeline.
    pub pipeline: PipelineName,
    /// The version run.
    pub version: Version,
    /// The execution.
    pub execution: ExecutionId,
    /// The pipeline execution's attempt.
    pub attempt: u32,
    /// When what changed was started.
    pub started_at: Timestamp,
    /// The new state.
    pub state: State,
    /// What changed.
    pub subject: Subject,
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Subject {
    /// The pipeline execution.
    Pipeline {
        /// What started it.
        trigger: Option<Box<TriggerSubject>>,
        /// Why it was stopped.
        stop_comments: Option<String>,
    },
    /// A stage execution.
    Stage {
        /// The stage.
        stage: StageName,
        /// When it was last retried.
        retried_at: Option<Timestamp>,
    },
    /// An action or rule execution; rules are not published as action events.
    Action(Box<ActionSubject>),
}

/// `execution-trigger`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TriggerSubject {
    /// Who or what.
    pub trigger: TriggerDetail,
    /// The git fields, which stand instead of the above where there are any.
    pub origin: Option<Box<Origin>>,
}

/// The fields of an action event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActionSubject {
    /// Its stage.
    pub stage: StageName,
    /// Its name.
    pub action: model::ActionName,
    /// Its id.
    pub id: ActionExecutionId,
    /// Its type.
    pub action_type: model::ActionTypeId,
    /// Its region; the pipeline's when absent.
    pub region: Option<String>,
    /// Artifacts it reads (STARTED).
    pub inputs: Vec<ArtifactLocation>,
    /// Artifacts it made (SUCCEEDED).
    pub outputs: Vec<ArtifactLocation>,
    /// `execution-result`.
    pub external_id: Option<String>,
    /// `execution-result`.
    pub external_url: Option<String>,
    /// `execution-result`.
    pub summary: Option<String>,
    /// `execution-result`'s error code.
    pub error: Option<ErrorDetail>,
    /// When its stage was last retried.
    pub retried_at: Option<Timestamp>,
}
