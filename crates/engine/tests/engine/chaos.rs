//! Anything in any order: rows, results, commands, duplicates, stale deliveries, clock jumps. After each step what must hold is
//! checked; in the end everything that is live must come to its end.

use std::collections::BTreeMap;

use engine::{
    ActionKey, ActionReport, ApprovalDecision, Change, Command, Decision, Event, Item, ItemKey, Outcome, Override,
    Position, Retry, Rollback, SetTransition, Start, Started, State, Stop, Subject, TransitionSide, TriggerDetail,
    What, Why, Work,
};
use model::{ActionStatus, ConditionSlot, ExecutionId, Pipeline, RetryMode, StageName, TriggerType};

use crate::world::{Task, World};

/// A world in which anything happens.
pub struct Chaos {
    pub world: World,
    pipeline: Pipeline,
    consumed: Vec<Task>,
}

/// One thing to happen: what, and with which of those that there are.
pub type Step = (u8, u16);

impl Chaos {
    pub fn new(pipeline: Pipeline) -> Self {
        Self { world: World::with(pipeline.clone()), pipeline, consumed: Vec::new() }
    }

    /// Whatever the step means here.
    pub fn step(&mut self, (what, pick): Step) {
        let pick = usize::from(pick);
        match what % 100 {
            0..=39 => self.run_row(pick),
            40..=62 => self.end_action(pick),
            63..=70 => self.command(Command::Start(start())),
            71..=73 => self.stop(pick),
            74..=78 => self.retry(pick),
            79..=80 => self.roll_back(pick),
            81..=83 => self.override_condition(pick),
            84..=87 => self.set_transition(pick),
            88 if pick.is_multiple_of(4) => self.command(Command::Update(Box::new(self.pipeline.clone()))),
            89 if pick.is_multiple_of(8) => self.command(Command::Delete),
            90 => self.world.now = self.world.now.plus_millis(i64::try_from(pick % 3000).unwrap_or(0) * 60_000),
            91..=93 => self.decide_approval(pick),
            _ => self.stale(pick),
        }
    }

    fn run_row(&mut self, pick: usize) {
        let runnable = self.world.runnable();
        let Some(place) = chosen(&runnable, pick).copied() else { return };
        let Some(row) = self.world.rows.remove(place) else { return };
        self.consumed.push(row.task.clone());
        match row.task {
            Task::Work(work) => self.happens(What::Work(work)),
            Task::Dispatch(keys) => keys.iter().for_each(|key| self.claim(key, 1)),
        }
    }

    fn claim(&mut self, key: &ActionKey, drive: u32) {
        let claim = engine::Claim { drive, inputs: Vec::new(), outputs: Vec::new(), log: None };
        self.happens(What::Action(key.clone(), ActionReport::Claim(claim)));
    }

    fn end_action(&mut self, pick: usize) {
        let claimed = self.world.claimed();
        let Some(key) = chosen(&claimed, pick / 4) else { return };
        let outcome = match pick % 8 {
            0 => Outcome::failed("JobFailed", "it broke"),
            1 => Outcome::failed("StartOutcomeUnknown", "who knows"),
            _ => Outcome::default(),
        };
        self.happens(What::Action(key.clone(), ActionReport::Ended(Box::new(outcome))));
    }

    fn decide_approval(&mut self, pick: usize) {
        let approval = |key: &ActionKey| self.world.action(key).and_then(|action| action.approval.clone());
        let pending: Vec<_> = self.world.claimed().into_iter().filter(|key| approval(key).is_some()).collect();
        let Some(key) = chosen(&pending, pick / 4) else { return };
        let token = if pick.is_multiple_of(4) { "wrong".into() } else { approval(key).expect("it is one").token };
        let (at, by, summary) = (self.world.now, String::new(), String::new());
        let decision = ApprovalDecision { approved: pick % 4 != 1, summary, by, via: None, at };
        self.happens(What::Action(key.clone(), ActionReport::Decided { token, decision }));
    }

    /// Old news, and work that was done.
    fn stale(&mut self, pick: usize) {
        let keys: Vec<ActionKey> = self.world.actions().map(|action| action.key.clone()).collect();
        let (kind, pick) = (pick % 8, pick / 8);
        let Some(key) = chosen(&keys, pick).cloned() else { return };
        match kind {
            0 => self.happens(What::Work(Work::Advance(key))),
            1 => self.happens(What::Work(Work::Due(key))),
            2 => self.happens(What::Work(Work::Admit(key.stage))),
            3 => self.happens(What::Work(Work::Settle(key.execution))),
            4 => self.claim(&key, u32::try_from(pick % 4).unwrap_or(1)),
            5 => self.happens(What::Action(
                key,
                ActionReport::Started(Started { external_id: Some(pick.to_string()), ..Started::default() }),
            )),
            // An action that was never claimed may have failed before it could be.
            6 => self.happens(What::Action(key, ActionReport::Ended(Box::default()))),
            _ => match chosen(&self.consumed, pick).cloned() {
                Some(Task::Work(work)) => self.happens(What::Work(work)),
                Some(Task::Dispatch(keys)) => keys.iter().for_each(|key| self.claim(key, 1)),
                None => {}
            },
        }
    }

    fn stop(&mut self, pick: usize) {
        let ids = self.ids();
        let Some(execution) = chosen(&ids, pick / 2).copied() else { return };
        self.command(Command::Stop(Stop { execution, abandon: pick.is_multiple_of(2), reason: None }));
    }

    fn retry(&mut self, pick: usize) {
        let entered = self.world.items.keys().filter_map(|key| match key {
            ItemKey::StageExecution(execution, stage) => Some((*execution, stage.clone())),
            _ => None,
        });
        let failed = |(execution, stage): &(ExecutionId, StageName)| {
            self.world.stage(*execution, stage.as_str()).is_some_and(|stage| stage.failed_in.is_some())
        };
        let (failed, others): (Vec<_>, Vec<_>) = entered.partition(failed);
        let of = if pick.is_multiple_of(8) { others } else { failed };
        let Some((execution, stage)) = chosen(&of, pick / 8).cloned() else { return };
        let mode = if pick.is_multiple_of(2) { RetryMode::AllActions } else { RetryMode::FailedActions };
        self.command(Command::Retry(Retry { execution, stage, mode }));
    }

    fn roll_back(&mut self, pick: usize) {
        let (ids, stages) = (self.ids(), self.stages());
        let (Some(target), Some(stage)) = (chosen(&ids, pick / 8).copied(), chosen(&stages, pick).cloned()) else {
            return;
        };
        self.command(Command::Rollback(Rollback { stage, target, by: String::new() }));
    }

    fn override_condition(&mut self, pick: usize) {
        let (ids, stages) = (self.ids(), self.stages());
        let (Some(execution), Some(stage)) = (chosen(&ids, pick / 16).copied(), chosen(&stages, pick / 2).cloned())
        else {
            return;
        };
        let condition = if pick.is_multiple_of(2) { ConditionSlot::BeforeEntry } else { ConditionSlot::OnSuccess };
        self.command(Command::Override(Override { execution, stage, condition }));
    }

    fn set_transition(&mut self, pick: usize) {
        let Some(stage) = chosen(&self.stages(), pick / 4).cloned() else { return };
        let side = if pick.is_multiple_of(2) { TransitionSide::Inbound } else { TransitionSide::Outbound };
        let disable = (pick % 4 > 1).then(|| "a freeze".to_owned());
        self.command(Command::SetTransition(SetTransition { stage, side, disable, by: String::new() }));
    }

    fn command(&mut self, command: Command) {
        self.happens(What::Command(command));
    }

    fn ids(&self) -> Vec<ExecutionId> {
        self.world.executions().map(|execution| execution.id).collect()
    }

    fn stages(&self) -> Vec<StageName> {
        self.pipeline.stages.iter().map(|stage| stage.name.clone()).collect()
    }

    /// Decides, checks what the decision writes, commits, checks what is stored, and delivers it once more.
    fn happens(&mut self, what: What) {
        let event = self.world.event(what);
        let decision = self.world.decide(&event);
        if matches!(decision, Decision::Refused(_)) && !may_be_refused(&event.what) {
            panic!("{event:?} is refused: {decision:?}");
        }
        let Decision::Changed(changed) = decision else { return };
        changed.changes.iter().for_each(|change| self.check_change(change, &event.what));
        self.world.commit(&changed);
        self.check(&event);
        let again = self.world.decide(&event);
        assert!(may_go_on(&event.what) || !matches!(again, Decision::Changed(_)), "{event:?} again: {again:?}");
    }

    /// Terminal is terminal, but for a retry or an override; what ended stays as it ended.
    fn check_change(&self, change: &Change, what: &What) {
        match self.world.items.get(change.key()) {
            Some(Item::Execution(before)) if before.status.is_terminal() => {
                let revives = matches!(what, What::Command(Command::Retry(_) | Command::Override(_)));
                assert!(revives, "{what:?} changes {}, which is {}", before.id, before.status);
            }
            Some(Item::Action(before)) => {
                assert_eq!(before.status, ActionStatus::InProgress, "{what:?} changes {:?}", before.key);
            }
            _ => {}
        }
    }

    fn check(&self, event: &Event) {
        let faults = self.world.faults();
        assert!(faults.is_empty(), "after {event:?}: {faults:#?}");
        let mut inside: BTreeMap<&StageName, Vec<ExecutionId>> = BTreeMap::new();
        for execution in self.world.executions() {
            let places =
                execution.at.iter().filter(|(_, place)| **place == Position::Inside && !execution.is_parallel());
            places.for_each(|(stage, _)| inside.entry(stage).or_default().push(execution.id));
            let why = self.world.why(execution.id);
            assert_eq!(why.is_empty(), execution.status.is_terminal(), "after {event:?}: {} {why:?}", execution.status);
            assert!(
                why.is_empty() || self.is_moving(execution.id, &why),
                "after {event:?}: {} is lost: {why:?}",
                execution.id
            );
        }
        assert!(inside.values().all(|ids| ids.len() == 1), "after {event:?}: {inside:?} are in one stage");
    }

    /// Whether a live execution has something to go on by: a row, an action with a driver, or a wait for somebody else.
    fn is_moving(&self, id: ExecutionId, why: &[Why]) -> bool {
        let execution = self.world.execution(id);
        let rows = self.world.rows.iter().any(|row| match &row.task {
            Task::Work(Work::Advance(key)) => key.execution == id,
            Task::Work(Work::Settle(settled)) => *settled == id,
            Task::Work(Work::CancelOlderThan(version)) => execution.version < *version,
            Task::Work(Work::Admit(stage)) => execution.at.get(stage) == Some(&Position::Waiting),
            Task::Work(Work::Due(_)) => false,
            Task::Dispatch(keys) => keys.iter().any(|key| key.execution == id),
        });
        let driven = self.world.claimed().iter().any(|key| key.execution == id);
        let withdrawn = why.iter().any(|why| matches!(why, Why::Stop { .. } | Why::Cancel));
        let waits = why.iter().any(|why| matches!(why, Why::Transition { .. } | Why::OccupiedStage { .. }));
        let alone = execution.mode != model::ExecutionMode::Superseded
            || execution.at.keys().all(|stage| self.world.lane(stage.as_str()).waiting.len() <= 1);
        rows || driven || waits && alone && !withdrawn
    }

    /// Brings everything to its end, with success from now on.
    pub fn drain(&mut self) {
        for stage in self.stages() {
            for side in [TransitionSide::Inbound, TransitionSide::Outbound] {
                let (stage, by) = (stage.clone(), String::new());
                self.command(Command::SetTransition(SetTransition { stage, side, disable: None, by }));
            }
        }
        for _ in 0..10_000 {
            let claimed = self.world.claimed();
            if let Some(place) = self.world.runnable().first() {
                self.run_row_at(*place);
            } else if let Some(key) = claimed.first() {
                self.happens(What::Action(key.clone(), ActionReport::Ended(Box::default())));
            } else {
                break;
            }
        }
        let live = self.world.executions().filter(|execution| !execution.status.is_terminal());
        assert_eq!(live.map(|execution| execution.id).collect::<Vec<_>>(), [], "are lost");
        assert!(self.world.rows.is_empty(), "{:?} are left", self.world.rows);
        self.check_events();
    }

    fn run_row_at(&mut self, place: usize) {
        let Some(row) = self.world.rows.remove(place) else { return };
        match row.task {
            Task::Work(work) => self.happens(What::Work(work)),
            Task::Dispatch(keys) => keys.iter().for_each(|key| self.claim(key, 1)),
        }
    }

    /// What began was told to have begun before it was told to have ended, and it ended once each time.
    fn check_events(&self) {
        let mut told: BTreeMap<String, Vec<State>> = BTreeMap::new();
        for change in &self.world.published {
            let name = match &change.subject {
                Subject::Pipeline { .. } => change.execution.to_string(),
                Subject::Stage { stage, .. } => format!("{} {stage}", change.execution),
                Subject::Action(action) => action.id.to_string(),
            };
            told.entry(name).or_default().push(change.state);
        }
        for action in self.world.actions().filter(|action| !action.is_rule()) {
            let states = told.remove(&action.id.to_string()).unwrap_or_default();
            let unclaimed =
                matches!(action.status, ActionStatus::Cancelled | ActionStatus::Abandoned) && action.drive == 0;
            let begun: &[State] = if unclaimed { &[] } else { &[State::Started] };
            assert_eq!(states, [begun, &[State::of_action(action.status)]].concat(), "{:?}", action.key);
        }
        for (name, states) in told {
            let execution_alone = !name.contains(' ');
            let mut live = false;
            for state in &states {
                live = match state {
                    State::Started | State::Resumed => {
                        // A stage that is retried while its execution is live resumes both.
                        assert!(!live || execution_alone && *state == State::Resumed, "{name}: {states:?}");
                        true
                    }
                    State::Stopping => live,
                    State::Succeeded
                    | State::Failed
                    | State::Canceled
                    | State::Stopped
                    | State::Superseded
                    | State::Abandoned => {
                        assert!(live, "{name} ends twice: {states:?}");
                        false
                    }
                };
            }
            assert!(!live, "{name} does not end: {states:?}");
        }
    }
}

pub fn start() -> Start {
    let trigger = TriggerDetail { kind: TriggerType::StartPipelineExecution, detail: String::new() };
    Start { trigger, origin: None, variables: Default::default(), overrides: Vec::new() }
}

fn chosen<T>(of: &[T], pick: usize) -> Option<&T> {
    if of.is_empty() { None } else { of.get(pick % of.len()) }
}

fn may_be_refused(what: &What) -> bool {
    match what {
        What::Command(_) | What::Action(_, ActionReport::Decided { .. }) => true,
        What::Work(_) | What::Action(..) => false,
    }
}

/// What is a new request each time, or goes on page by page.
fn may_go_on(what: &What) -> bool {
    match what {
        What::Command(command) => match command {
            Command::Start(_) | Command::Update(_) => true,
            Command::SetTransition(set) => set.disable.is_some(),
            Command::Create(_)
            | Command::Stop(_)
            | Command::Retry(_)
            | Command::Rollback(_)
            | Command::Override(_)
            | Command::Delete => false,
        },
        What::Work(Work::Admit(_) | Work::Settle(_) | Work::CancelOlderThan(_)) => true,
        What::Work(Work::Advance(_) | Work::Due(_)) | What::Action(..) => false,
    }
}
