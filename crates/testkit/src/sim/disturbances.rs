//! What goes wrong in a run besides the table: crashes, deaths, jumps of the clock, rows delivered again.

use control::rows::{PipelineRef, Task as RowTask, WorkRow};
use engine::{ActionKey, Item, ItemKey, Work};

use super::executor::{Task, at_once};
use super::history::{Actor, Step};
use super::simulation::Simulation;

/// The most deliveries of one row at a time.
const DELIVERIES: usize = 3;

impl Simulation {
    /// Something goes wrong, perhaps.
    pub(super) fn disturb(&mut self) {
        let weather = self.weather;
        if self.dice.rarely(weather.crash) {
            self.crash();
        }
        if self.dice.rarely(weather.death) {
            self.kill_one();
        }
        if self.dice.rarely(weather.clock) {
            let jump = match self.dice.index(3) {
                0 => self.dice.range(-5_000, 5_000),
                1 => self.dice.range(-20 * 60_000, 20 * 60_000),
                _ => self.dice.range(-3_600_000, 3_600_000),
            };
            self.skew += jump;
            self.around.recorder.note(Step::Clock(jump));
            self.tell_time();
        }
        let again = if self.dice.rarely(weather.duplicate) {
            let known = self.around.recorder.known();
            let due: Vec<_> = known.rows.values().filter(|row| row.due <= known.now).collect();
            self.dice.pick(&due).map(|row| ((*row).clone(), false))
        } else if self.dice.rarely(weather.stale) {
            let known = self.around.recorder.known();
            self.dice.pick(&known.rows_ever).map(|row| (row.clone(), true))
        } else {
            None
        };
        // Not without end: what is delivered must come to an end, too.
        let few = |row: &WorkRow| {
            let same = |task: &&Task| matches!(&task.actor, Actor::Row(id, _) if *id == row.id);
            self.tasks.iter().filter(same).count() < DELIVERIES
        };
        if let Some((row, blind)) = again.filter(|(row, _)| few(row)) {
            self.deliver(row, blind);
        }
    }

    /// The process ends; the next one takes up what was claimed.
    fn crash(&mut self) {
        self.tasks.clear();
        self.around.spawned.borrow_mut().clear();
        self.around.ended.take();
        self.around.orphans.borrow_mut().clear();
        let table = &self.around.table.memory;
        if self.weather.lossy {
            table.crash();
        } else {
            let _ = at_once(control::ports::Table::flush(table));
            self.around.recorder.flushed();
        }
        let lost = self.around.recorder.crashed(&table.items());
        self.around.recorder.note(Step::Crash(lost));
        self.around.recorder.known().disturbances += 1;
        self.open();
        let known = self.around.recorder.known();
        let claimed: Vec<_> = known
            .rows
            .values()
            .filter_map(|row| match &row.task {
                RowTask::Engine(Work::Due(key)) => Some((row.pipeline.clone(), key.clone())),
                _ => None,
            })
            .collect();
        drop(known);
        for (pipeline, key) in claimed {
            self.take_up(pipeline, key);
        }
    }

    fn take_up(&self, pipeline: PipelineRef, key: ActionKey) {
        if let Some(host) = self.host() {
            self.around.spawn(Actor::Recovery(key.clone()), host.take_up(pipeline, key));
        }
    }

    /// One task dies; whoever it drove is taken up by another.
    fn kill_one(&mut self) {
        self.begin();
        if self.tasks.is_empty() {
            return;
        }
        let Task { actor, work, .. } = self.tasks.swap_remove(self.dice.index(self.tasks.len()));
        drop(work);
        self.around.recorder.note(Step::Killed(actor.clone()));
        self.around.recorder.known().disturbances += 1;
        let keys = match &actor {
            Actor::Driver(key, _) | Actor::Recovery(key) => vec![key.clone()],
            Actor::Row(_, keys) => keys.clone(),
            Actor::Person(_) | Actor::Publisher => Vec::new(),
        };
        self.around.orphans.borrow_mut().extend(keys);
    }

    /// Actions whose driver or dispatcher died are taken up once nobody tends them any more.
    pub(super) fn adopt(&mut self) {
        let tended = |key: &ActionKey| {
            self.around.is_tended(key) || self.tasks.iter().any(|task| task.actor == Actor::Recovery(key.clone()))
        };
        let alone: Vec<_> = self.around.orphans.borrow().iter().filter(|key| !tended(key)).cloned().collect();
        for key in alone {
            self.around.orphans.borrow_mut().remove(&key);
            if let Some(pipeline) = self.pipeline_of(&key) {
                self.take_up(pipeline, key);
            }
        }
    }

    fn pipeline_of(&self, key: &ActionKey) -> Option<PipelineRef> {
        let known = self.around.recorder.known();
        known.pipelines.iter().find_map(|(id, items)| match items.get(&ItemKey::Action(key.clone()))?.as_ref() {
            Item::Action(action) => Some(PipelineRef { id: *id, name: action.pipeline.clone() }),
            _ => None,
        })
    }
}
