//! The changes of state that go to the event bus.

use model::{
    ActionExecutionId, ActionName, ActionStatus, ActionTypeId, ExecutionId, PipelineName, StageName, Timestamp, Version,
};
use serde::{Deserialize, Serialize};

use crate::item::{ArtifactLocation, ErrorDetail, Origin, TriggerDetail};

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
        /// What started it; none of one that failed in its source stage.
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
    pub action: ActionName,
    /// Its id.
    pub id: ActionExecutionId,
    /// Its type.
    pub action_type: ActionTypeId,
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
