//! What is stored of a pipeline: one item for each thing that changes on its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{
    ActionExecutionId, ActionName, ActionStatus, ActionTypeId, ArtifactName, ConditionResult, ConditionSlot,
    ConditionStatus, ExecutionId, ExecutionMode, ExecutionStatus, ExecutionType, Namespace, Ordinal, PipelineId,
    PipelineName, PipelineType, RetryMode, RetryTrigger, SourceRevisionType, Stage, StageName, StageStatus, StringMap,
    Timestamp, TriggerType, VariableDeclaration, Version,
};
use serde::{Deserialize, Serialize};

use crate::key::{ActionKey, Slot};

/// One stored thing; the variant agrees with its [`crate::ItemKey`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "most items are action executions; a box would cost each of them")]
pub enum Item {
    /// Of `ItemKey::Pipeline`.
    Pipeline(PipelineItem),
    /// Of `ItemKey::Header`.
    Header(Arc<Header>),
    /// Of `ItemKey::StagePart`.
    StagePart(Arc<Stage>),
    /// Of `ItemKey::Admission`.
    Admission(Admission),
    /// Of `ItemKey::SourceHead`.
    SourceHead(SourceHead),
    /// Of `ItemKey::Lane`.
    Lane(Lane),
    /// Of `ItemKey::Execution`.
    Execution(Execution),
    /// Of `ItemKey::StageExecution`.
    StageExecution(StageExecution),
    /// Of `ItemKey::Action`.
    Action(ActionExecution),
    /// Of `ItemKey::Success`.
    Success(Success),
}

/// A pipeline: its current version, or that it is gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PipelineItem {
    /// This creation of it.
    pub id: PipelineId,
    /// Its name.
    pub name: PipelineName,
    /// The version that new executions start with.
    pub version: Version,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last updated.
    pub updated_at: Timestamp,
    /// Set once it was deleted: nothing starts any more.
    pub deleted_at: Option<Timestamp>,
}

/// What a version says of the pipeline as a whole. Immutable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The version.
    pub version: Version,
    /// How executions wait for one another.
    pub mode: ExecutionMode,
    /// V1 or V2.
    pub kind: PipelineType,
    /// The stages, in order.
    pub stages: Vec<StageName>,
    /// The source actions: all actions of the first stage.
    pub sources: Vec<ActionName>,
    /// Pipeline variables.
    pub variables: Vec<VariableDeclaration>,
    /// Which action makes an artifact.
    pub producers: BTreeMap<ArtifactName, (StageName, ActionName)>,
    /// Which action fills a namespace.
    pub namespaces: BTreeMap<Namespace, (StageName, ActionName)>,
}

/// The order of starts. Every start and every end goes through it, in every mode.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Admission {
    /// The ordinal the next start is given.
    pub next: Ordinal,
    /// Executions that have not ended.
    pub live: BTreeMap<Ordinal, Live>,
}

/// A live execution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Live {
    /// Its id.
    pub id: ExecutionId,
    /// The version it runs.
    pub version: Version,
    /// The version that had it cancelled, where that takes several commits.
    #[serde(default)]
    pub cancelled_by: Option<Version>,
}

/// The newest order seen of a source action's ref: the last pushes, newest last, or an S3 sequencer.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct SourceHead {
    /// (`before`, `after`) of the last 50 pushes.
    pub pushes: Vec<(String, String)>,
    /// The greatest S3 sequencer.
    pub sequencer: Option<String>,
}

/// A stage's lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum LaneState {
    /// Nobody is in the stage.
    #[default]
    Free,
    /// This execution's beforeEntry condition is being evaluated.
    Entering(ExecutionId),
    /// This execution's actions run.
    Occupied(ExecutionId),
    /// This execution's onSuccess or onFailure condition is being evaluated.
    Leaving(ExecutionId),
}

impl LaneState {
    /// Who holds the stage.
    pub fn holder(self) -> Option<ExecutionId> {
        match self {
            Self::Free => None,
            Self::Entering(id) | Self::Occupied(id) | Self::Leaving(id) => Some(id),
        }
    }
}

/// A stage's lock, its waiters and its holds. Of no use in PARALLEL mode.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Lane {
    /// The lock.
    pub state: LaneState,
    /// Who entered last; kept after it left.
    pub last: Option<ExecutionId>,
    /// Who waits, by ordinal.
    pub waiting: BTreeMap<Ordinal, ExecutionId>,
    /// What keeps everybody out.
    pub holds: Vec<Hold>,
}

/// Which hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HoldKind {
    /// The stage's inbound transition is disabled.
    InboundTransition,
    /// The outbound transition of the stage before is disabled.
    OutboundTransition,
}

/// What keeps everybody out of a stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hold {
    /// Which.
    pub kind: HoldKind,
    /// Who asked for it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub from: Timestamp,
}

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

/// Where an artifact lies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArtifactLocation {
    /// Its name.
    pub name: ArtifactName,
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// SHA-256 of its content, in hexadecimal, once it is there.
    pub digest: Option<String>,
    /// Its size in bytes, once it is there.
    pub size: Option<u64>,
    /// Its source revision, where it came from a source action.
    pub revision: Option<String>,
}

/// Where an action's output went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogLocation {
    /// `file` or `cloudwatch`.
    pub kind: String,
    /// The path below the data directory, or the log stream's address.
    pub location: String,
}

/// Why an action failed (`ErrorDetails`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDetail {
    /// A stable name, as `JobFailed`, `ConfigurationError`, `Timeout`.
    pub code: String,
    /// What happened and what to do.
    pub message: String,
}

/// What a person decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalDecision {
    /// Approved or Rejected.
    pub approved: bool,
    /// What they said.
    pub summary: String,
    /// Who: a principal's ARN, or a signed link's recipient.
    pub by: String,
    /// Address and agent of the request, where it came by a signed link.
    pub via: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// What an approval waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The token that PutApprovalResult must bring.
    pub token: String,
    /// How many decisions it takes.
    pub required: u32,
    /// Those made.
    pub decisions: Vec<ApprovalDecision>,
}

/// An action or rule execution: one attempt. It is its own history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActionExecution {
    /// Its id.
    pub id: ActionExecutionId,
    /// Its key.
    pub key: ActionKey,
    /// The pipeline's name, for events.
    pub pipeline: PipelineName,
    /// The version it runs.
    pub version: Version,
    /// The pipeline execution's attempt, for events.
    pub pipeline_attempt: u32,
    /// When its pipeline execution was started.
    pub execution_started_at: Timestamp,
    /// Its type.
    pub action_type: ActionTypeId,
    /// Its region, where it names one.
    pub region: Option<String>,
    /// Its status.
    pub status: ActionStatus,
    /// Under which drive it was claimed; 0 before.
    pub drive: u32,
    /// When it counts as timed out; set at its first claim.
    pub deadline: Option<Timestamp>,
    /// How long it may take.
    pub timeout_minutes: u32,
    /// The work's id at its provider.
    pub external_id: Option<String>,
    /// Where to look at the work.
    pub external_url: Option<String>,
    /// What wakes its driver, where one waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_token: Option<String>,
    /// What to tell people.
    pub summary: Option<String>,
    /// How far it is, of 100, as its worker said last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent_complete: Option<u8>,
    /// Why it failed.
    pub error: Option<ErrorDetail>,
    /// Artifacts it read.
    pub inputs: Vec<ArtifactLocation>,
    /// Artifacts it makes.
    pub outputs: Vec<ArtifactLocation>,
    /// What a source action brought.
    pub revision: Option<SourceRevision>,
    /// For an approval: what it waits for.
    pub approval: Option<Approval>,
    /// Where its output went.
    pub log: Option<LogLocation>,
    /// When the stage was last retried, for events.
    pub stage_retried_at: Option<Timestamp>,
    /// When it was created.
    pub started_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl ActionExecution {
    /// Whether it is a rule's.
    pub fn is_rule(&self) -> bool {
        match self.key.slot {
            Slot::Rule(_) => true,
            Slot::RunOrder(_) => false,
        }
    }
}

/// A success of a stage, for rollback and `succeededInStage`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Success {
    /// The execution.
    pub execution: ExecutionId,
    /// The version it ran.
    pub version: Version,
    /// Whole, or a rollback.
    pub kind: ExecutionType,
}
