//! What is stored of a pipeline: one item for each thing that changes on its own.

mod action;
mod execution;

pub use action::*;
pub use execution::*;

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{
    ActionName, ArtifactName, ExecutionId, ExecutionMode, Namespace, Ordinal, PipelineId, PipelineName, PipelineType,
    Stage, StageName, Timestamp, VariableDeclaration, Version,
};
use serde::{Deserialize, Serialize};

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

/// How many pushes of a ref are remembered.
const PUSHES_REMEMBERED: usize = 50;

impl SourceHead {
    /// Notes a push; the oldest are forgotten.
    pub fn note(&mut self, before: &str, after: &str) {
        self.pushes.push((before.to_owned(), after.to_owned()));
        let excess = self.pushes.len().saturating_sub(PUSHES_REMEMBERED);
        self.pushes.drain(..excess);
    }
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
    /// Who last enabled a transition into it.
    #[serde(default)]
    pub enabled: Option<Enabled>,
}

/// A transition that was enabled again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Enabled {
    /// Who asked for it.
    pub by: String,
    /// When.
    pub at: Timestamp,
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
