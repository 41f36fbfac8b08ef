//! One run: what happens next is chosen, time passes when nothing can, and at the end everything comes to rest.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use control::keys::Place;
use control::rows::{Task as RowTask, WorkRow};
use control::{Control, Ports};
use engine::Work;
use model::{PipelineName, Timestamp};

use super::asked::Asked;
use super::dice::Dice;
use super::executor::{Task, Time};
use super::history::{Actor, Record, Step, Still};
use super::host::Host;
use super::mutation::Mutation;
use super::outside::{Around, Ended, Outside, Tending};
use super::people;
use super::recorder::Recorder;
use super::table::SimTable;
use super::trace::BEGIN;
use super::weather::Weather;
use crate::clock::ManualClock;
use crate::entropy::SeededEntropy;

/// The most steps while things go wrong.
const STORMY_STEPS: usize = 6000;
/// The most steps until everything rests.
const CALM_STEPS: usize = 60_000;

/// How far time may pass when nothing else can happen.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    /// To whatever comes next.
    Anything,
    /// Not to deadlines.
    Quiet,
}

/// How people ask in a run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    /// A few questions.
    Short,
    /// Many.
    Long,
    /// Many at once, most of them starts.
    Rush,
}

impl Style {
    fn of(dice: &Dice) -> Self {
        match dice.index(40) {
            0 => Self::Rush,
            1 => Self::Long,
            _ => Self::Short,
        }
    }
}

/// What may happen next.
enum Move {
    Poll(usize),
    Deliver(WorkRow),
    Publish,
    Ask,
}

/// One run.
pub(super) struct Simulation {
    pub(super) dice: Dice,
    pub(super) weather: Weather,
    pub(super) around: Around,
    pub(super) clock: Arc<ManualClock>,
    pub(super) entropy: Arc<SeededEntropy>,
    pub(super) place: Place,
    pub(super) controls: Vec<Rc<Control>>,
    pub(super) tasks: Vec<Task>,
    next_task: usize,
    pub(super) skew: i64,
    style: Style,
    questions: usize,
    ask_at: i64,
    names: Vec<PipelineName>,
}

impl Simulation {
    /// A run that follows from this seed; in a rush everybody starts executions at once.
    pub fn new(seed: u64, mutation: Mutation, rush: bool) -> Self {
        let dice = Dice::new(seed);
        let weather = Weather::of(&dice);
        let pace = dice.one(&[50, 2_000, 30_000, 300_000]);
        let place = Place { account: "123456789012".into(), region: "us-east-1".into() };
        let recorder = Arc::new(Recorder::new(place.clone()));
        let table = SimTable::new(recorder.clone(), place.clone(), mutation, dice.clone(), weather);
        let around = Rc::new(Outside {
            time: Time::default(),
            dice: dice.clone(),
            recorder,
            table: Arc::new(table),
            mutation,
            spawned: RefCell::default(),
            jobs: RefCell::default(),
            results: Cell::default(),
            ended: Arc::new(Ended::default()),
            pace,
            tended: RefCell::default(),
            orphans: RefCell::default(),
        });
        let names = if dice.chance(20) { vec!["one", "two"] } else { vec!["one"] };
        let style = if rush { Style::Rush } else { Style::of(&dice) };
        let questions = match style {
            Style::Short => dice.count(3, 25),
            Style::Long => dice.count(60, 90),
            Style::Rush => dice.count(60, 75),
        };
        let mut simulation = Self {
            weather,
            around,
            clock: Arc::new(ManualClock::at(Timestamp(BEGIN))),
            entropy: Arc::new(SeededEntropy::new(seed ^ 0x5EED)),
            place,
            controls: Vec::new(),
            tasks: Vec::new(),
            next_task: 0,
            skew: 0,
            style,
            questions,
            ask_at: 0,
            names: names.into_iter().map(PipelineName::from).collect(),
            dice,
        };
        simulation.tell_time();
        simulation.open();
        simulation
    }

    /// Runs until everything rests.
    pub fn run(mut self, seed: u64) -> Record {
        for _ in 0..STORMY_STEPS {
            self.disturb();
            if !self.step(Until::Anything) {
                break;
            }
        }
        self.calm_down();
        let quiet = self.rest(Until::Quiet);
        let end = if quiet.is_some() { self.rest(Until::Anything) } else { None };
        let mut known = self.around.recorder.known();
        Record {
            seed,
            steps: std::mem::take(&mut known.steps),
            invariants: std::mem::take(&mut known.invariants),
            disturbances: known.disturbances,
            quiet,
            end,
        }
    }

    fn rest(&mut self, until: Until) -> Option<Still> {
        for _ in 0..CALM_STEPS {
            if !self.step(until) {
                return Some(self.still());
            }
        }
        for task in &self.tasks {
            self.around.note(format!("still at work: {}, next at {}", task.actor, task.wake_at));
        }
        None
    }

    fn calm_down(&mut self) {
        self.weather = Weather::CALM;
        self.around.table.set_weather(Weather::CALM);
        self.questions = 0;
        self.around.recorder.note(Step::Calm);
    }

    /// Control planes of a new process.
    pub(super) fn open(&mut self) {
        let control = || {
            let ports = Ports {
                table: self.around.table.clone(),
                clock: self.clock.clone(),
                entropy: self.entropy.clone(),
                handoff: self.around.ended.clone(),
                sealer: None,
            };
            Rc::new(Control::new(ports, self.place.clone()))
        };
        self.controls = vec![control(), control()];
    }

    pub(super) fn host(&self) -> Option<Host> {
        let control = self.dice.pick(&self.controls)?.clone();
        Some(Host { control, around: self.around.clone() })
    }

    pub(super) fn tell_time(&mut self) {
        let now = Timestamp(BEGIN + self.around.time.elapsed() + self.skew);
        self.clock.set(now);
        self.around.recorder.known().now = now;
    }

    pub(super) fn begin(&mut self) {
        let spawned = std::mem::take(&mut *self.around.spawned.borrow_mut());
        for (actor, work) in spawned {
            self.tasks.push(Task { id: self.next_task, actor, work, wake_at: 0 });
            self.next_task += 1;
        }
    }

    /// Drivers leave the actions that they were told to leave, unless they did not hear it.
    fn leave(&mut self) {
        for key in self.around.ended.take() {
            let deaf = matches!(self.around.mutation, Mutation::StaleAttempts) || self.dice.rarely(self.weather.deaf);
            if !deaf {
                self.tasks.retain(|task| !matches!(&task.actor, Actor::Driver(driven, _) if *driven == key));
            }
        }
    }

    /// Lets one thing happen; false when nothing is left to happen.
    fn step(&mut self, until: Until) -> bool {
        self.begin();
        self.leave();
        self.adopt();
        self.begin();
        match self.choose() {
            Some(Move::Poll(place)) => self.poll(place),
            Some(Move::Deliver(row)) => self.deliver(row, false),
            Some(Move::Publish) => self.publish(),
            Some(Move::Ask) => self.ask(),
            None => return self.pass(until),
        }
        true
    }

    fn choose(&self) -> Option<Move> {
        let elapsed = self.around.time.elapsed();
        let ready: Vec<usize> =
            self.tasks.iter().enumerate().filter(|(_, task)| task.wake_at <= elapsed).map(|(place, _)| place).collect();
        let known = self.around.recorder.known();
        let due: Vec<&WorkRow> =
            known.rows.values().filter(|row| row.due <= known.now && !self.is_consumed(row)).collect();
        let publishing = self.tasks.iter().any(|task| task.actor == Actor::Publisher);
        let publish = !publishing && !known.publications.is_empty();
        let ask = self.questions > 0 && self.ask_at <= elapsed;
        let weights = [
            if ready.is_empty() { 0 } else { 12 },
            if due.is_empty() { 0 } else { 4 },
            usize::from(publish),
            if ask { 2 } else { 0 },
        ];
        let mut place = self.dice.index(weights.iter().sum());
        for (kind, weight) in weights.into_iter().enumerate() {
            if place < weight {
                return match kind {
                    0 => self.dice.pick(&ready).copied().map(Move::Poll),
                    1 => self.dice.pick(&due).map(|row| Move::Deliver((*row).clone())),
                    2 => Some(Move::Publish),
                    _ => Some(Move::Ask),
                };
            }
            place -= weight;
        }
        None
    }

    fn is_consumed(&self, row: &WorkRow) -> bool {
        self.tasks.iter().any(|task| matches!(&task.actor, Actor::Row(id, _) if *id == row.id))
    }

    fn poll(&mut self, place: usize) {
        let Some(task) = self.tasks.get_mut(place) else { return };
        self.around.recorder.known().actor = Some((task.id, task.actor.clone()));
        let ended = task.poll(&self.around.time);
        self.around.recorder.known().actor = None;
        if ended {
            self.tasks.swap_remove(place);
        } else if task.wake_at == 0 && self.dice.rarely(self.weather.stall) {
            task.wake_at = self.around.time.elapsed() + self.dice.range(0, self.around.pace);
        }
    }

    pub(super) fn deliver(&self, row: WorkRow, blind: bool) {
        let Some(host) = self.host() else { return };
        let keys = match &row.task {
            RowTask::Dispatch(keys) => keys.clone(),
            RowTask::Engine(_) | RowTask::Poll(_) | RowTask::Clean | RowTask::Webhook(_) => Vec::new(),
        };
        let tending = Tending::new(&self.around, keys.clone());
        self.around.spawn(Actor::Row(row.id, keys), host.consume(row, blind, tending));
    }

    fn publish(&self) {
        let rows = self.around.recorder.known().publications.clone();
        if let Some(host) = self.host() {
            self.around.spawn(Actor::Publisher, host.publish(rows));
        }
    }

    fn ask(&mut self) {
        self.questions -= 1;
        let (Some(name), Some(host)) = (self.dice.pick(&self.names).cloned(), self.host()) else { return };
        let asked = people::choose(&self.around, &name, self.style == Style::Rush);
        // Who changes a pipeline is often not alone.
        let change = matches!(asked, Asked::Update(_) | Asked::Delete);
        let gap = match self.dice.index(10) {
            _ if self.style == Style::Rush => self.dice.range(0, 20),
            0..=6 if change => 0,
            0..=8 => self.dice.range(0, self.around.pace),
            _ => self.dice.range(0, 12 * 60_000),
        };
        self.ask_at = self.around.time.elapsed() + gap;
        // Some ask twice at once.
        for _ in 0..if self.dice.chance(10) { 2 } else { 1 } {
            let place = self.around.recorder.note(Step::Asked(name.clone(), asked.clone()));
            let asking = people::ask(host.control.clone(), self.around.clone(), name.clone(), asked.clone(), place);
            self.around.spawn(Actor::Person(place), asking);
        }
    }

    /// Lets time pass until something can happen; false when nothing ever will.
    fn pass(&mut self, until: Until) -> bool {
        let elapsed = self.around.time.elapsed();
        let wakes = self.tasks.iter().map(|task| task.wake_at).filter(|wake| *wake < i64::MAX);
        let known = self.around.recorder.known();
        let rows = known.rows.values().filter(|row| !self.is_consumed(row)).filter(|row| match &row.task {
            RowTask::Engine(Work::Due(_)) => until == Until::Anything,
            RowTask::Engine(_) | RowTask::Dispatch(_) | RowTask::Poll(_) | RowTask::Clean | RowTask::Webhook(_) => true,
        });
        let dues = rows.map(|row| row.due.0 - BEGIN - self.skew);
        let asks = (self.questions > 0).then_some(self.ask_at);
        let next = wakes.chain(dues).chain(asks).filter(|then| *then > elapsed).min();
        drop(known);
        let Some(next) = next else { return false };
        self.around.time.pass_until(next);
        self.tell_time();
        true
    }
}
