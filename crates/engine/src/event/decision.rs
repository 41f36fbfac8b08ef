//! What comes of an event.

use model::{ExecutionId, StageName, Timestamp};
use serde::{Deserialize, Serialize};

use super::{StateChange, Work};
use crate::item::Item;
use crate::key::{ActionKey, ItemKey, Read};

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
