//! What happened in a run: every commit with what it changed, and what entered and left the simulated process.

use std::collections::BTreeMap;
use std::sync::Arc;

use control::ports::Key;
use control::rows::{Entry, PublicationRow, WorkRow};
use engine::{ActionKey, Item, ItemKey, Why};
use model::{ExecutionId, PipelineId, PipelineName, StringMap, Timestamp, Version};
use uuid::Uuid;

use super::asked::Asked;

/// Everything stored of one pipeline, by key.
pub type Items = BTreeMap<ItemKey, Arc<Item>>;
/// Everything stored of every pipeline.
pub type Pipelines = BTreeMap<PipelineId, Items>;

/// Who does something.
#[derive(Clone, Debug, PartialEq)]
pub enum Actor {
    /// Somebody asks for something: the place of the question in the trace.
    Person(usize),
    /// A work row is consumed.
    Row(Uuid, Vec<ActionKey>),
    /// An action is driven.
    Driver(ActionKey, u32),
    /// An action whose driver died is taken up again.
    Recovery(ActionKey),
    /// State changes are published.
    Publisher,
}

/// What a decision could see of its pipeline when it read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The current version.
    pub version: Version,
    /// Whether it was deleted.
    pub deleted: bool,
}

/// A changed item.
#[derive(Clone, Debug)]
pub struct ItemChange {
    /// Its pipeline.
    pub pipeline: PipelineId,
    /// Which.
    pub key: ItemKey,
    /// What it was.
    pub before: Option<Arc<Item>>,
    /// What it became.
    pub after: Option<Arc<Item>>,
    /// Its revision from now on.
    pub revision: u64,
}

/// A transaction that was carried out.
#[derive(Clone, Debug)]
pub struct Commit {
    /// When, by the run's clock.
    pub at: Timestamp,
    /// By whom.
    pub actor: Actor,
    /// Items changed.
    pub items: Vec<ItemChange>,
    /// Work rows written.
    pub rows: Vec<WorkRow>,
    /// Work rows removed, and whether each was there.
    pub removed: Vec<(Key, bool)>,
    /// Publications written.
    pub publications: Vec<PublicationRow>,
    /// What the actor last saw of the pipeline, as it truly was then.
    pub seen: Option<Seen>,
    /// Whether a crash lost it.
    pub lost: bool,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Step {
    /// Somebody asks for something.
    Asked(PipelineName, Asked),
    /// The answer to the question at this place; the execution it started, if any, or why not.
    Answered(usize, Result<Option<ExecutionId>, Refused>),
    /// A commit.
    Commit(Box<Commit>),
    /// A provider starts an action.
    Started(Box<Start>),
    /// A provider's result, by its number.
    Result(u64, ActionKey, u32),
    /// State changes left the process.
    Published(Vec<Entry>),
    /// The process ended; how many commits were lost.
    Crash(usize),
    /// A single task died.
    Killed(Actor),
    /// The clock jumped.
    Clock(i64),
    /// From here on nothing goes wrong any more.
    Calm,
    /// Something worth knowing.
    Note(String),
}

/// Why a question was not answered as asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Refused {
    /// The engine refused.
    By(engine::Refusal),
    /// A port failed: whether it happened is not known.
    Unknown(String),
}

/// A start at a provider.
#[derive(Clone, Debug)]
pub struct Start {
    /// The action.
    pub key: ActionKey,
    /// Its creation of the pipeline.
    pub pipeline: PipelineId,
    /// Under which drive.
    pub drive: u32,
    /// The keys of its input artifacts, by name.
    pub inputs: StringMap,
    /// Its resolved configuration.
    pub configuration: StringMap,
}

/// Everything as it was when nothing more was to be done.
#[derive(Clone, Debug, Default)]
pub struct Still {
    /// Items.
    pub pipelines: Pipelines,
    /// Names and what they lead to.
    pub names: BTreeMap<PipelineName, PipelineId>,
    /// Work rows.
    pub rows: Vec<WorkRow>,
    /// How many publications wait.
    pub publications: usize,
    /// Every key in the table.
    pub keys: Vec<Key>,
    /// What each live execution waits for.
    pub waits: Vec<(PipelineId, ExecutionId, Vec<Why>)>,
    /// Actions that somebody drives.
    pub driven: Vec<ActionKey>,
}

/// A whole run.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// What it follows from.
    pub seed: u64,
    /// What happened, in order.
    pub steps: Vec<Step>,
    /// What the engine's invariants found, with the place in the trace.
    pub invariants: Vec<(usize, String)>,
    /// How often something went wrong by chance: table faults, crashes, deaths.
    pub disturbances: usize,
    /// Nothing moves any more, but deadlines are still to come. None when that was not reached.
    pub quiet: Option<Still>,
    /// Every deadline has passed. None when that was not reached.
    pub end: Option<Still>,
}

impl Record {
    /// The commits that no crash lost, in order, with their places in the trace.
    pub fn commits(&self) -> impl Iterator<Item = (usize, &Commit)> {
        self.steps.iter().enumerate().filter_map(|(place, step)| match step {
            Step::Commit(commit) if !commit.lost => Some((place, commit.as_ref())),
            _ => None,
        })
    }

    /// Shows `look` each commit with everything stored after it.
    pub fn replay(&self, mut look: impl FnMut(usize, &Commit, &Pipelines)) {
        let mut pipelines = Pipelines::new();
        for (place, commit) in self.commits() {
            apply(&mut pipelines, commit);
            look(place, commit, &pipelines);
        }
    }

    /// Each changed item that no crash lost, with its commit and that commit's place in the trace.
    pub fn changes(&self) -> impl Iterator<Item = (usize, &Commit, &ItemChange)> {
        self.commits().flat_map(|(place, commit)| commit.items.iter().map(move |change| (place, commit, change)))
    }

    /// What was asked at a place of the trace.
    pub fn asked(&self, place: usize) -> Option<&Asked> {
        match self.steps.get(place) {
            Some(Step::Asked(_, asked)) => Some(asked),
            _ => None,
        }
    }
}

/// Makes a commit's changes.
pub fn apply(pipelines: &mut Pipelines, commit: &Commit) {
    for change in &commit.items {
        let items = pipelines.entry(change.pipeline).or_default();
        match &change.after {
            Some(item) => drop(items.insert(change.key.clone(), item.clone())),
            None => drop(items.remove(&change.key)),
        }
    }
}
