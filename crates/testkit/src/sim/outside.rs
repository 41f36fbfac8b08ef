//! What lies around the control plane in a run: time, tasks, and the work that providers do.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use control::Handoff;
use control::rows::{PublicationRow, WorkRow};
use engine::{ActionKey, Outcome};

use super::dice::Dice;
use super::executor::{Time, Work};
use super::history::{Actor, Step};
use super::mutation::Mutation;
use super::recorder::Recorder;
use super::table::SimTable;

/// Work that goes on at a provider whether or not the process lives.
#[derive(Clone)]
pub(super) struct Job {
    /// When it ends, in milliseconds since the run began.
    pub ends_at: i64,
    /// How.
    pub outcome: Outcome,
    /// How often it is asked for news, in milliseconds.
    pub interval: i64,
}

/// What lies around the control plane.
pub(super) struct Outside {
    /// The time that passes.
    pub time: Time,
    /// Choices.
    pub dice: Dice,
    /// What happened.
    pub recorder: Arc<Recorder>,
    /// The table.
    pub table: Arc<SimTable>,
    /// What is wrong on purpose.
    pub mutation: Mutation,
    /// Tasks to begin.
    pub spawned: RefCell<Vec<(Actor, Work)>>,
    /// Work at providers.
    pub jobs: RefCell<BTreeMap<(ActionKey, u32), Job>>,
    /// How long things take in this run, in milliseconds: pauses between questions, and most work.
    pub pace: i64,
    /// How many results providers gave.
    pub results: Cell<u64>,
    /// Drivers told to leave their actions.
    pub ended: Arc<Ended>,
    /// How many tasks tend each action: dispatch or drive it.
    pub tended: RefCell<BTreeMap<ActionKey, usize>>,
    /// Actions to take up once nobody tends them.
    pub orphans: RefCell<BTreeSet<ActionKey>>,
}

/// Tends actions as long as it lives.
pub(super) struct Tending {
    around: Around,
    keys: Vec<ActionKey>,
}

impl Tending {
    /// Tends these from now on.
    pub fn new(around: &Around, keys: Vec<ActionKey>) -> Self {
        for key in &keys {
            *around.tended.borrow_mut().entry(key.clone()).or_default() += 1;
        }
        Self { around: around.clone(), keys }
    }
}

impl Drop for Tending {
    fn drop(&mut self) {
        let mut tended = self.around.tended.borrow_mut();
        for key in &self.keys {
            if let Some(count) = tended.get_mut(key) {
                *count -= 1;
            }
        }
    }
}

impl Outside {
    /// Begins a task.
    pub fn spawn(&self, actor: Actor, work: impl Future<Output = ()> + 'static) {
        self.spawned.borrow_mut().push((actor, Box::pin(work)));
    }

    /// Writes down what is worth knowing.
    pub fn note(&self, text: String) {
        self.recorder.note(Step::Note(text));
    }

    /// Whether any task tends an action.
    pub fn is_tended(&self, key: &ActionKey) -> bool {
        self.tended.borrow().get(key).is_some_and(|count| *count > 0)
    }

    /// The number of a new result.
    pub fn next_result(&self) -> u64 {
        self.results.set(self.results.get() + 1);
        self.results.get()
    }
}

/// Drivers told to leave their actions.
#[derive(Default)]
pub(super) struct Ended(Mutex<Vec<ActionKey>>);

impl Ended {
    /// Those told since the last time.
    pub fn take(&self) -> Vec<ActionKey> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<ActionKey>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handoff for Ended {
    fn committed(&self, _: &[WorkRow], _: &[PublicationRow]) {}

    fn end_driver(&self, key: &ActionKey, _: Option<&engine::ActionExecution>) {
        self.lock().push(key.clone());
    }
}

/// A shared handle on the outside.
pub(super) type Around = Rc<Outside>;
