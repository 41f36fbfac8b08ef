//! What a job is, as it is stored and as its worker gets it, and why calls about one are refused.

use engine::ActionKey;
use model::{ActionTypeId, Owner, Timestamp};
use serde::{Deserialize, Serialize};

use super::results::MAX_VARIABLES_BYTES;
use crate::control::ControlError;
use crate::ports::{ActionRequest, PortError};
use crate::rows::PipelineRef;

/// Why a call about a job is refused.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// JobNotFoundException.
    #[error("the job is not found")]
    NotFound,
    /// InvalidJobException.
    #[error("the job is of another kind")]
    Invalid,
    /// InvalidNonceException.
    #[error("the nonce is not the job's: another worker has taken it, or it went on")]
    InvalidNonce,
    /// InvalidJobStateException.
    #[error("{0}")]
    InvalidState(String),
    /// OutputVariablesSizeExceededException.
    #[error("the output variables have {0} bytes; they may have {MAX_VARIABLES_BYTES}")]
    VariablesTooLarge(usize),
    /// Anything else.
    #[error(transparent)]
    Control(#[from] ControlError),
}

impl From<PortError> for JobError {
    fn from(error: PortError) -> Self {
        Self::Control(error.into())
    }
}

/// How far a job is (`JobStatus`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobStatus {
    /// Nobody has taken it.
    Queued,
    /// A worker has it.
    InProgress,
    /// Its action took too long.
    TimedOut,
    /// It ended well; a continuation may have followed.
    Succeeded,
    /// It failed, or its action was stopped.
    Failed,
}

impl JobStatus {
    /// The word as the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "Queued",
            Self::InProgress => "InProgress",
            Self::TimedOut => "TimedOut",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
        }
    }
}

/// A job as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobItem {
    /// Its id.
    pub id: String,
    /// Its action execution.
    pub action: ActionKey,
    /// Its action's type.
    pub action_type: ActionTypeId,
    /// How far it is.
    pub status: JobStatus,
    /// When it was made.
    pub created_at: Timestamp,
    /// The configuration key and value that workers can ask for it by.
    pub queryable: Option<(String, String)>,
    /// The ARN of whoever acknowledged it, without a role's session.
    pub worker: Option<String>,
    /// What the job before gave, where this one continues it.
    pub continuation_token: Option<String>,
}

impl JobItem {
    /// Whether it is a partner's.
    pub fn is_third_party(&self) -> bool {
        self.action_type.owner == Owner::ThirdParty
    }
}

/// A job with all that its worker needs.
#[derive(Clone, Debug)]
pub struct Job {
    /// The job.
    pub item: JobItem,
    /// What AcknowledgeJob must bring.
    pub nonce: u64,
    /// Its action with everything resolved.
    pub request: ActionRequest,
}

/// A job as it was read.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) pipeline: PipelineRef,
    pub(super) item: JobItem,
    pub(super) revision: u64,
}
