//! What happens to a pipeline, and what comes of it.

mod decision;
mod state;

pub use decision::*;
pub use state::*;

use model::{
    ConditionSlot, ExecutionId, Pipeline, PipelineId, RetryMode, Seed, StageName, StringMap, Timestamp, Version,
};
use serde::{Deserialize, Serialize};

use crate::item::{
    ApprovalDecision, ArtifactLocation, ErrorDetail, LogLocation, Origin, SourceOverride, SourceRevision, TriggerDetail,
};
use crate::key::ActionKey;

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
