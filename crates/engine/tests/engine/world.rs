//! A world for decisions: stored items, rows and published events in memory, and nothing else.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use engine::{
    ActionExecution, ActionKey, ActionReport, Change, Changed, Claim, Command, Create, Decision, Effect, Event,
    Execution, Item, ItemKey, Lane, Missing, Outcome, Read, Slice, Slot, StageExecution, StateChange, Success, What,
    Why, Work, decide, explain,
};
use model::{
    ActionStatus, ExecutionId, ExecutionType, Ordinal, Pipeline, PipelineId, Seed, StageName, Timestamp, Version,
};
use uuid::Uuid;

/// What waits to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Task {
    Work(Work),
    Dispatch(Vec<ActionKey>),
}

/// A row: something to do, now or at its time.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub task: Task,
    pub due: Option<Timestamp>,
}

/// Everything stored, everything to do, everything told.
#[derive(Clone)]
pub struct World {
    pub items: BTreeMap<ItemKey, Item>,
    pub rows: VecDeque<Row>,
    pub published: Vec<StateChange>,
    pub drivers_ended: Vec<ActionKey>,
    pub now: Timestamp,
    seeds: u128,
    /// Executions by the number that scripts give them.
    pub numbered: Vec<ExecutionId>,
    /// Whether each decision is taken again with everything loaded.
    pub twice: bool,
    /// The most rounds of loading that a decision took.
    pub most_rounds: usize,
}

impl World {
    pub fn new() -> Self {
        Self {
            items: BTreeMap::new(),
            rows: VecDeque::new(),
            published: Vec::new(),
            drivers_ended: Vec::new(),
            now: Timestamp(1_700_000_000_000),
            seeds: 0,
            numbered: Vec::new(),
            twice: true,
            most_rounds: 0,
        }
    }

    /// A world with a pipeline.
    pub fn with(pipeline: Pipeline) -> Self {
        let mut world = Self::new();
        let id = PipelineId(Uuid::from_u128(1));
        world.happens(What::Command(Command::Create(Create { id, declaration: Box::new(pipeline) })));
        world
    }

    pub fn event(&mut self, what: What) -> Event {
        self.seeds += 1;
        Event { at: self.now, seed: Seed(Uuid::from_u128(self.seeds)), what }
    }

    /// Decides about something and commits it.
    pub fn happens(&mut self, what: What) -> Decision {
        let event = self.event(what);
        self.happens_as(&event)
    }

    pub fn happens_as(&mut self, event: &Event) -> Decision {
        let decision = self.decide(event);
        if let Decision::Changed(changed) = &decision {
            self.commit(changed);
        }
        decision
    }

    /// Decides, loading what is missing: in three rounds at most, and to the same end when everything is loaded.
    pub fn decide(&mut self, event: &Event) -> Decision {
        let mut slice = Slice::default();
        let mut rounds = 0;
        let decision = loop {
            match decide(&slice, event) {
                Ok(decision) => break decision,
                Err(Missing(reads)) => {
                    rounds += 1;
                    assert!(rounds <= 3, "{event:?} takes more than three rounds of loading: now {reads:?}");
                    assert!(reads.iter().all(|read| !slice.has(read)), "asks again for {reads:?}");
                    reads.iter().for_each(|read| self.load(&mut slice, read));
                }
            }
        };
        self.most_rounds = self.most_rounds.max(rounds);
        if self.twice {
            self.load_everything(&mut slice);
            assert_eq!(
                Ok(&decision),
                decide(&slice, event).as_ref(),
                "additional items change the decision of {event:?}"
            );
        }
        decision
    }

    fn load(&self, slice: &mut Slice, read: &Read) {
        match read {
            Read::Item(key) => slice.put(key.clone(), self.items.get(key).cloned()),
            Read::Slot(execution, stage, slot) => {
                slice.put_slot(*execution, stage.clone(), *slot, self.slot(*execution, stage, *slot));
            }
            Read::LastSuccess { stage, version, before } => {
                let success = self.last_success(stage, *version, *before);
                slice.put_last_success(stage.clone(), *version, *before, success);
            }
        }
    }

    fn load_everything(&self, slice: &mut Slice) {
        for (key, item) in &self.items {
            slice.put(key.clone(), Some(item.clone()));
            if let Item::Action(action) = item {
                let key = &action.key;
                self.load(slice, &Read::Slot(key.execution, key.stage.clone(), key.slot));
            }
        }
    }

    fn slot(&self, execution: ExecutionId, stage: &StageName, slot: Slot) -> Vec<ActionExecution> {
        let of_slot = |action: &&ActionExecution| {
            action.key.execution == execution && action.key.stage == *stage && action.key.slot == slot
        };
        self.actions().filter(of_slot).cloned().collect()
    }

    fn last_success(&self, stage: &StageName, version: Version, before: Ordinal) -> Option<Success> {
        let counts = |(key, item): (&ItemKey, &Item)| match (key, item) {
            (ItemKey::Success(name, ordinal), Item::Success(success)) => {
                let counts = name == stage
                    && *ordinal < before
                    && success.version == version
                    && success.kind == ExecutionType::Standard;
                counts.then(|| (*ordinal, success.clone()))
            }
            _ => None,
        };
        self.items.iter().filter_map(counts).max_by_key(|(ordinal, _)| *ordinal).map(|(_, success)| success)
    }

    /// Applies a commit whole, after checking its conditions.
    pub fn commit(&mut self, changed: &Changed) {
        let mut written = BTreeSet::new();
        for change in &changed.changes {
            let key = change.key();
            assert!(written.insert(key.clone()), "{key:?} is written twice");
            let there = self.items.contains_key(key);
            match change {
                Change::Create(..) => assert!(!there, "{key:?} is created and is there"),
                Change::Replace(..) | Change::Delete(_) => assert!(there, "{key:?} is replaced and is not there"),
            }
        }
        for change in &changed.changes {
            match change {
                Change::Create(key, item) | Change::Replace(key, item) => {
                    self.items.insert(key.clone(), item.clone());
                }
                Change::Delete(key) => drop(self.items.remove(key)),
            }
        }
        assert!(writes(changed) <= 99, "a commit of {} writes", writes(changed));
        self.numbered.extend(changed.execution);
        changed.effects.iter().for_each(|effect| self.follow(effect));
    }

    fn follow(&mut self, effect: &Effect) {
        match effect {
            Effect::Work { work, due } => self.rows.push_back(Row { task: Task::Work(work.clone()), due: *due }),
            Effect::Dispatch(keys) => self.rows.push_back(Row { task: Task::Dispatch(keys.clone()), due: None }),
            Effect::Publish(change) => self.published.push((**change).clone()),
            Effect::EndDriver(key) => self.drivers_ended.push(key.clone()),
            Effect::CancelDue(key, due) => {
                let cancelled = Row { task: Task::Work(Work::Due(key.clone())), due: Some(*due) };
                self.rows.retain(|row| *row != cancelled);
            }
        }
    }

    /// The rows that can be run now.
    pub fn runnable(&self) -> Vec<usize> {
        let now = self.now;
        (0..self.rows.len()).filter(|place| self.rows[*place].due.is_none_or(|due| due <= now)).collect()
    }

    /// Runs a row: its commit takes it away.
    pub fn run(&mut self, place: usize) -> Vec<Decision> {
        let Some(row) = self.rows.remove(place) else { return Vec::new() };
        self.run_task(&row.task)
    }

    pub fn run_task(&mut self, task: &Task) -> Vec<Decision> {
        match task {
            Task::Work(work) => vec![self.happens(What::Work(work.clone()))],
            Task::Dispatch(keys) => keys.iter().map(|key| self.claim(key, 1)).collect(),
        }
    }

    pub fn claim(&mut self, key: &ActionKey, drive: u32) -> Decision {
        let claim = Claim { drive, inputs: Vec::new(), outputs: Vec::new(), log: None };
        self.happens(What::Action(key.clone(), ActionReport::Claim(claim)))
    }

    pub fn end(&mut self, key: &ActionKey, outcome: Outcome) -> Decision {
        self.happens(What::Action(key.clone(), ActionReport::Ended(Box::new(outcome))))
    }

    /// Runs every row that is due, in order, until there is none. Dispatches stay where `dispatch` is false.
    pub fn settle(&mut self, dispatch: bool) {
        for _ in 0..100_000 {
            let runs = |place: &usize| dispatch || !matches!(self.rows[*place].task, Task::Dispatch(_));
            let Some(place) = self.runnable().into_iter().find(runs) else { return };
            self.run(place);
        }
        panic!("rows make rows without end: {:?}", self.rows);
    }

    pub fn executions(&self) -> impl Iterator<Item = &Execution> {
        self.items
            .values()
            .filter_map(|item| if let Item::Execution(execution) = item { Some(execution) } else { None })
    }

    pub fn actions(&self) -> impl Iterator<Item = &ActionExecution> {
        self.items.values().filter_map(|item| if let Item::Action(action) = item { Some(action) } else { None })
    }

    /// Actions that were claimed and have not ended.
    pub fn claimed(&self) -> Vec<ActionKey> {
        let claimed = |action: &&ActionExecution| action.status == ActionStatus::InProgress && action.drive > 0;
        self.actions().filter(claimed).map(|action| action.key.clone()).collect()
    }

    pub fn execution(&self, id: ExecutionId) -> &Execution {
        match self.items.get(&ItemKey::Execution(id)) {
            Some(Item::Execution(execution)) => execution,
            _ => panic!("no execution {id}"),
        }
    }

    pub fn stage(&self, id: ExecutionId, stage: &str) -> Option<&StageExecution> {
        match self.items.get(&ItemKey::StageExecution(id, stage.into())) {
            Some(Item::StageExecution(stage)) => Some(stage),
            _ => None,
        }
    }

    pub fn action(&self, key: &ActionKey) -> Option<&ActionExecution> {
        match self.items.get(&ItemKey::Action(key.clone())) {
            Some(Item::Action(action)) => Some(action),
            _ => None,
        }
    }

    pub fn lane(&self, stage: &str) -> Lane {
        match self.items.get(&ItemKey::Lane(stage.into())) {
            Some(Item::Lane(lane)) => lane.clone(),
            _ => Lane::default(),
        }
    }

    /// Why an execution does not move.
    pub fn why(&self, id: ExecutionId) -> Vec<Why> {
        let mut slice = Slice::default();
        loop {
            match explain(&slice, id) {
                Ok(reasons) => return reasons,
                Err(Missing(reads)) => reads.iter().for_each(|read| self.load(&mut slice, read)),
            }
        }
    }

    pub fn faults(&self) -> Vec<String> {
        engine::invariants::check(&self.items)
    }
}

/// How many writes a commit takes, without the row it consumes: items, rows, and ten events a publication.
pub fn writes(changed: &Changed) -> usize {
    let published = changed.effects.iter().filter(|effect| matches!(effect, Effect::Publish(_))).count();
    let rows = changed.effects.iter().filter(|effect| !matches!(effect, Effect::Publish(_) | Effect::EndDriver(_)));
    changed.changes.len() + rows.count() + published.div_ceil(10)
}
