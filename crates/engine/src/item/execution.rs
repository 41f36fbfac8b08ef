//! What is stored of an execution and of its stages.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{
    ActionName, ArtifactName, ConditionResult, ConditionSlot, ConditionStatus, ExecutionId, ExecutionMode,
    ExecutionStatus, ExecutionType, Ordinal, PipelineName, RetryMode, RetryTrigger, SourceRevisionType, StageName,
    StageStatus, StringMap, Timestamp, TriggerType, Version,
};
use serde::{Deserialize, Serialize};

/// One stage of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedStage {
    /// The stage.
    pub stage: StageName,
    /// What must be done before.
    pub after: BTreeSet<StageName>,
}

/// Where in a plan an execution is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Position {
    /// Before the stage.
    Waiting,
    /// In the stage.
    Inside,
}

/// Who or what started an execution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TriggerDetail {
    /// What kind.
    pub kind: TriggerType,
    /// Who or what: an ARN as a rule.
    pub detail: String,
}

/// Where a triggered execution came from.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Origin {
    /// The source action.
    pub action: Option<ActionName>,
    /// GitHub, Bitbucket, …
    pub provider: Option<String>,
    /// `owner/name`.
    pub repository: Option<String>,
    /// Branch or tag, in full (`refs/heads/main`).
    pub git_ref: Option<String>,
    /// The commit before the push.
    pub before: Option<String>,
    /// The commit pushed.
    pub after: Option<String>,
    /// S3's sequencer.
    pub sequencer: Option<String>,
    /// The git fields of `execution-trigger` in events, as they are written there.
    pub trigger: BTreeMap<String, String>,
}

impl Origin {
    /// The source action and what the order of its source is kept under: the ref, and which repository's, so that an action
    /// that was changed to another repository begins anew.
    pub fn source_head(&self) -> Option<(&ActionName, String)> {
        let (action, git_ref) = self.action.as_ref().zip(self.git_ref.as_ref())?;
        let place = match &self.repository {
            Some(repository) => format!("{git_ref}#{}", short_hash(repository)),
            None => git_ref.clone(),
        };
        Some((action, place))
    }
}

/// Tells names from one another that may be too long for a key.
pub(crate) fn short_hash(name: &str) -> String {
    let hash = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, name.as_bytes()).simple().to_string();
    hash.chars().take(12).collect()
}

/// A source revision given at the start (`SourceRevisionOverride`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceOverride {
    /// The source action.
    pub action: ActionName,
    /// What the value is.
    pub kind: SourceRevisionType,
    /// The revision.
    pub value: String,
}

/// What a source action brought (`ArtifactRevision` and `SourceRevision`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceRevision {
    /// The source action.
    pub action: ActionName,
    /// The artifact it made.
    pub artifact: Option<ArtifactName>,
    /// Commit id, version id or digest.
    pub revision_id: String,
    /// Commit message or the like.
    pub summary: Option<String>,
    /// Where to look at it.
    pub url: Option<String>,
    /// When it was made.
    pub created: Option<Timestamp>,
}

/// A stop asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StopRequest {
    /// Whether actions in progress are abandoned at once.
    pub abandon: bool,
    /// Why.
    pub reason: Option<String>,
}

/// A pipeline execution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Execution {
    /// Its id.
    pub id: ExecutionId,
    /// Its place in the order of starts.
    pub ordinal: Ordinal,
    /// The pipeline's name, for events.
    pub pipeline: PipelineName,
    /// The version it runs.
    pub version: Version,
    /// The mode of that version.
    pub mode: ExecutionMode,
    /// Whole, or a rollback.
    pub kind: ExecutionType,
    /// Its status.
    pub status: ExecutionStatus,
    /// Its stages, with what must be done before each.
    pub plan: Arc<Vec<PlannedStage>>,
    /// Stages done.
    pub done: BTreeSet<StageName>,
    /// Where it is now.
    pub at: BTreeMap<StageName, Position>,
    /// 1, and one more at each retry.
    pub attempt: u32,
    /// Who or what started it.
    pub trigger: TriggerDetail,
    /// Where it came from.
    pub origin: Option<Box<Origin>>,
    /// The values of the pipeline variables.
    pub variables: StringMap,
    /// Source revisions given at the start.
    pub overrides: Vec<SourceOverride>,
    /// What its source actions brought.
    pub revisions: Vec<SourceRevision>,
    /// A stop asked for.
    pub stop: Option<StopRequest>,
    /// Why it is being cancelled.
    pub cancel: Option<String>,
    /// Who took its place.
    pub superseded_by: Option<ExecutionId>,
    /// For a rollback: the execution whose artifacts and variables it runs with.
    pub rollback_target: Option<ExecutionId>,
    /// The stage it failed or stopped in.
    pub ended_in: Option<StageName>,
    /// When it was started.
    pub started_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// How far a stage execution is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Its beforeEntry rules are being evaluated.
    BeforeEntry,
    /// The actions of this run order run.
    Actions(u16),
    /// Its onSuccess rules are being evaluated.
    OnSuccess,
    /// Its onFailure rules are being evaluated.
    OnFailure,
    /// It ended in the phase before: nothing happens by itself any more.
    Ended,
}

/// A condition as it was evaluated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConditionState {
    /// Its status.
    pub status: ConditionStatus,
    /// What it does when engaged.
    pub result: Option<ConditionResult>,
    /// What to tell people.
    pub summary: Option<String>,
    /// When that last changed.
    pub changed_at: Timestamp,
}

/// The last retry of a stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageRetry {
    /// By hand or by onFailure.
    pub trigger: RetryTrigger,
    /// Which actions ran again.
    pub mode: RetryMode,
    /// When.
    pub at: Timestamp,
    /// How many retries people asked for, this one counted.
    #[serde(default)]
    pub by_hand: u32,
    /// How many onFailure made, this one counted.
    #[serde(default)]
    pub automatic: u32,
}

/// A stage execution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageExecution {
    /// Its pipeline execution.
    pub execution: ExecutionId,
    /// The stage.
    pub stage: StageName,
    /// Its status.
    pub status: StageStatus,
    /// How far it is.
    pub phase: Phase,
    /// Where it failed: what a retry or an override takes up again.
    pub failed_in: Option<Phase>,
    /// The newest attempt of each action.
    pub attempts: BTreeMap<ActionName, u32>,
    /// The newest attempt of each rule, by condition.
    pub rule_attempts: BTreeMap<ConditionSlot, BTreeMap<ActionName, u32>>,
    /// Actions of the run order that wait for a place (PARALLEL runs five at a time).
    pub pending: Vec<ActionName>,
    /// The conditions as they were evaluated.
    pub conditions: BTreeMap<ConditionSlot, ConditionState>,
    /// 1, and one more at each retry of the stage.
    pub attempt: u32,
    /// Automatic retries left.
    pub retries_left: u32,
    /// The last retry.
    pub last_retry: Option<StageRetry>,
    /// When it was entered.
    pub started_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}
