//! Names of the things that change on their own, within one pipeline.

use model::{ActionName, ConditionSlot, ExecutionId, Ordinal, StageName, Version};
use serde::{Deserialize, Serialize};

/// Where in a stage an action or rule runs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Slot {
    /// An action of this run order.
    RunOrder(u16),
    /// A rule of this condition.
    Rule(ConditionSlot),
}

/// One attempt of an action or rule.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct ActionKey {
    /// Its pipeline execution.
    pub execution: ExecutionId,
    /// Its stage.
    pub stage: StageName,
    /// Its place in the stage.
    pub slot: Slot,
    /// Its name.
    pub name: ActionName,
    /// 1 for the first attempt.
    pub attempt: u32,
}

/// One stored thing of a pipeline.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum ItemKey {
    /// The pipeline itself.
    Pipeline,
    /// What a version says of the pipeline as a whole.
    Header(Version),
    /// What a version says of one stage.
    StagePart(Version, StageName),
    /// The order of starts, and who is live.
    Admission,
    /// The newest source order known of a source action and ref.
    SourceHead(ActionName, String),
    /// A stage's lock and who waits for it.
    Lane(StageName),
    /// A pipeline execution.
    Execution(ExecutionId),
    /// A stage execution.
    StageExecution(ExecutionId, StageName),
    /// An action execution.
    Action(ActionKey),
    /// A success of a stage.
    Success(StageName, Ordinal),
}

/// What a decision still needs to see.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Read {
    /// One item.
    Item(ItemKey),
    /// Every attempt of every action of one slot, read consistently.
    Slot(ExecutionId, StageName, Slot),
    /// The newest success of a stage under this version by an execution that was no rollback, older than the ordinal.
    LastSuccess {
        /// The stage.
        stage: StageName,
        /// The version it must have run under.
        version: Version,
        /// Only successes of older executions count.
        before: Ordinal,
    },
}
