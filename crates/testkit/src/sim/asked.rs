//! What people ask of the control plane in a run.

use engine::{ActionKey, Origin};
use model::{ConditionSlot, ExecutionId, Pipeline, RetryMode, StageName, StringMap};

/// One question.
#[derive(Clone, Debug, PartialEq)]
pub enum Asked {
    /// CreatePipeline.
    Create(Box<Pipeline>),
    /// UpdatePipeline.
    Update(Box<Pipeline>),
    /// DeletePipeline.
    Delete,
    /// StartPipelineExecution, or a push.
    Start {
        /// The client request token.
        token: Option<String>,
        /// Pipeline variables given.
        variables: StringMap,
        /// The push.
        origin: Option<Box<Origin>>,
    },
    /// StopPipelineExecution.
    Stop {
        /// The execution.
        execution: ExecutionId,
        /// Whether actions in progress are abandoned.
        abandon: bool,
    },
    /// RetryStageExecution.
    Retry {
        /// The execution.
        execution: ExecutionId,
        /// The stage.
        stage: StageName,
        /// Which actions run again.
        mode: RetryMode,
    },
    /// RollbackStage.
    Rollback {
        /// The stage.
        stage: StageName,
        /// The execution to go back to.
        target: ExecutionId,
    },
    /// OverrideStageCondition.
    Override {
        /// The execution.
        execution: ExecutionId,
        /// The stage.
        stage: StageName,
        /// Which condition.
        condition: ConditionSlot,
    },
    /// DisableStageTransition, EnableStageTransition.
    Transition {
        /// The stage.
        stage: StageName,
        /// Into it, or out of it.
        inbound: bool,
        /// Whether it is disabled.
        disable: bool,
    },
    /// PutApprovalResult.
    Approve {
        /// The action.
        key: ActionKey,
        /// The token brought.
        token: String,
        /// Whether that is the action's.
        right: bool,
        /// Approved or rejected.
        approved: bool,
        /// What identifies this decision.
        summary: String,
    },
}
