//! What is stored of an action, and what it brings.

use model::{
    ActionExecutionId, ActionStatus, ActionTypeId, ArtifactName, ExecutionId, ExecutionType, PipelineName, Timestamp,
    Version,
};
use serde::{Deserialize, Serialize};

use super::SourceRevision;
use crate::key::{ActionKey, Slot};

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
