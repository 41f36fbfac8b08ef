//! The commit being drafted: what was loaded, overlaid by what was already changed.

use std::sync::Arc;

use model::{ConditionSlot, ExecutionId, Ordinal, Seed, Stage, StageName, Timestamp, Version};

use super::{Halt, Step};
use crate::event::{
    ActionSubject, Change, Changed, Effect, Event, Missing, Reason, State, StateChange, Subject, TriggerSubject, Work,
};
use crate::item::{
    ActionExecution, Admission, Execution, Header, Item, Lane, LaneState, Phase, PipelineItem, StageExecution, Success,
};
use crate::key::{ActionKey, ItemKey, Read, Slot};
use crate::slice::Slice;

/// A commit being drafted.
pub(super) struct Draft<'a> {
    pub slice: &'a Slice,
    pub at: Timestamp,
    pub seed: Seed,
    changed: Changed,
}

macro_rules! overlaid {
    ($name:ident, $variant:ident, $type:ty, ($($arg:ident : $argtype:ty),*), $key:expr, $load:expr) => {
        pub fn $name(&self $(, $arg: $argtype)*) -> Result<Option<$type>, Missing> {
            match self.drafted(&$key) {
                Some(Change::Create(_, Item::$variant(item)) | Change::Replace(_, Item::$variant(item))) => Ok(Some(item.clone())),
                Some(Change::Create(..) | Change::Replace(..) | Change::Delete(_)) => Ok(None),
                None => Ok($load(self.slice)?.cloned()),
            }
        }
    };
}

impl<'a> Draft<'a> {
    pub fn new(slice: &'a Slice, event: &Event) -> Self {
        Self { slice, at: event.at, seed: event.seed, changed: Changed::default() }
    }

    pub fn finish(self) -> Changed {
        self.changed
    }

    /// Asks for all of these at once, so that a decision takes few rounds of loading.
    pub fn need(&self, reads: impl IntoIterator<Item = Read>) -> Result<(), Missing> {
        let absent: Vec<Read> = reads.into_iter().filter(|read| !self.slice.has(read)).collect();
        if absent.is_empty() { Ok(()) } else { Err(Missing(absent)) }
    }

    /// Asks for what the end of an execution writes, and for `more`.
    pub fn need_to_end(&self, execution: &Execution, more: impl IntoIterator<Item = Read>) -> Result<(), Missing> {
        let lanes = execution.at.keys().filter(|_| !execution.is_parallel());
        let lanes = lanes.map(|stage| Read::Item(ItemKey::Lane(stage.clone())));
        self.need(lanes.chain([Read::Item(ItemKey::Admission)]).chain(more))
    }

    fn drafted(&self, key: &ItemKey) -> Option<&Change> {
        self.changed.changes.iter().find(|change| change.key() == key)
    }

    overlaid!(pipeline, Pipeline, PipelineItem, (), ItemKey::Pipeline, |slice: &'a Slice| slice.pipeline());
    overlaid!(admission, Admission, Admission, (), ItemKey::Admission, |slice: &'a Slice| slice.admission());
    overlaid!(execution, Execution, Execution, (id: ExecutionId), ItemKey::Execution(id), |slice: &'a Slice| slice.execution(id));
    overlaid!(stage_execution, StageExecution, StageExecution, (id: ExecutionId, stage: &StageName),
        ItemKey::StageExecution(id, stage.clone()), |slice: &'a Slice| slice.stage_execution(id, stage));
    overlaid!(action, Action, ActionExecution, (key: &ActionKey), ItemKey::Action(key.clone()), |slice: &'a Slice| slice.action(key));

    /// A lane; one that was never used is free.
    pub fn lane(&self, stage: &StageName) -> Result<Lane, Missing> {
        match self.drafted(&ItemKey::Lane(stage.clone())) {
            Some(Change::Create(_, Item::Lane(lane)) | Change::Replace(_, Item::Lane(lane))) => Ok(lane.clone()),
            Some(Change::Create(..) | Change::Replace(..) | Change::Delete(_)) => Ok(Lane::default()),
            None => Ok(self.slice.lane(stage)?.cloned().unwrap_or_default()),
        }
    }

    /// The pipeline, unless it is gone.
    pub fn live_pipeline(&self) -> Result<Option<PipelineItem>, Missing> {
        Ok(self.pipeline()?.filter(|pipeline| pipeline.deleted_at.is_none()))
    }

    /// A version's header. It is there whenever the version is.
    pub fn header(&self, version: Version) -> Result<Arc<Header>, Halt> {
        self.slice.header(version)?.cloned().ok_or(Halt::Ignored(Reason::PipelineDeleted))
    }

    /// A version's stage. It is there whenever the version is.
    pub fn part(&self, version: Version, stage: &StageName) -> Result<Arc<Stage>, Halt> {
        self.slice.stage_part(version, stage)?.cloned().ok_or(Halt::Ignored(Reason::PipelineDeleted))
    }

    /// The newest attempt of each action of a slot. Those that wait for a place have none in this run of the stage yet.
    pub fn newest(&self, stage: &StageExecution, slot: Slot) -> Result<Vec<&'a ActionExecution>, Missing> {
        let all = self.slice.slot(stage.execution, &stage.stage, slot)?;
        let newest = |action: &&ActionExecution| {
            stage.newest_attempt(slot, &action.key.name) == action.key.attempt
                && !stage.pending.contains(&action.key.name)
        };
        Ok(all.iter().filter(newest).collect())
    }

    /// So many items are about to be created.
    pub fn expect_more(&mut self, count: usize) {
        self.changed.changes.reserve(count + 4);
    }

    pub fn create(&mut self, key: ItemKey, item: Item) {
        self.changed.changes.push(Change::Create(key, item));
    }

    /// Writes an item that was there when it was loaded, or was drafted before.
    pub fn replace(&mut self, key: ItemKey, item: Item) {
        match self.changed.changes.iter_mut().find(|change| change.key() == &key) {
            Some(Change::Create(_, drafted) | Change::Replace(_, drafted)) => *drafted = item,
            Some(Change::Delete(_)) | None => self.changed.changes.push(Change::Replace(key, item)),
        }
    }

    pub fn put_execution(&mut self, mut execution: Execution) {
        execution.updated_at = self.at;
        self.replace(ItemKey::Execution(execution.id), Item::Execution(execution));
    }

    pub fn put_stage(&mut self, mut stage: StageExecution) {
        stage.updated_at = self.at;
        self.replace(ItemKey::StageExecution(stage.execution, stage.stage.clone()), Item::StageExecution(stage));
    }

    pub fn put_action(&mut self, mut action: ActionExecution) {
        action.updated_at = self.at;
        self.replace(ItemKey::Action(action.key.clone()), Item::Action(action));
    }

    pub fn put_admission(&mut self, admission: Admission) {
        self.replace(ItemKey::Admission, Item::Admission(admission));
    }

    /// Writes a lane, which may never have been used.
    pub fn put_lane(&mut self, stage: &StageName, lane: Lane) -> Step {
        let key = ItemKey::Lane(stage.clone());
        let known = self.drafted(&key).is_some() || self.slice.lane(stage)?.is_some();
        if known {
            self.replace(key, Item::Lane(lane));
        } else {
            self.create(key, Item::Lane(lane));
        }
        Ok(())
    }

    /// The lane's lock as `execution` sees it; PARALLEL executions have none.
    pub fn hold_lane(&mut self, execution: &Execution, stage: &StageName, state: LaneState) -> Step {
        if execution.is_parallel() {
            return Ok(());
        }
        let mut lane = self.lane(stage)?;
        if lane.state == state {
            return Ok(());
        }
        lane.state = state;
        lane.last = Some(execution.id);
        lane.waiting.remove(&execution.ordinal);
        self.put_lane(stage, lane)
    }

    /// Gives the lane up and has the next waiter let in.
    pub fn leave_lane(&mut self, execution: &Execution, stage: &StageName) -> Step {
        if execution.is_parallel() {
            return Ok(());
        }
        let mut lane = self.lane(stage)?;
        if lane.state.holder() == Some(execution.id) {
            lane.state = LaneState::Free;
        }
        lane.waiting.remove(&execution.ordinal);
        if !lane.waiting.is_empty() {
            self.work(Work::Admit(stage.clone()));
        }
        self.put_lane(stage, lane)
    }

    pub fn depends_on(&mut self, key: ItemKey) {
        if !self.changed.depends_on.contains(&key) {
            self.changed.depends_on.push(key);
        }
    }

    pub fn succeeded_once(&mut self, execution: &Execution, stage: &StageName) {
        let success = Success { execution: execution.id, version: execution.version, kind: execution.kind };
        self.create(ItemKey::Success(stage.clone(), execution.ordinal), Item::Success(success));
    }

    pub fn last_success(
        &self,
        stage: &StageName,
        version: Version,
        before: Ordinal,
    ) -> Result<Option<Success>, Missing> {
        Ok(self.slice.last_success(stage, version, before)?.cloned())
    }

    pub fn work(&mut self, work: Work) {
        let effect = Effect::Work { work, due: None };
        if !self.changed.effects.contains(&effect) {
            self.changed.effects.push(effect);
        }
    }

    pub fn work_at(&mut self, work: Work, due: Timestamp) {
        self.changed.effects.push(Effect::Work { work, due: Some(due) });
    }

    pub fn effect(&mut self, effect: Effect) {
        self.changed.effects.push(effect);
    }

    pub fn started(&mut self, execution: ExecutionId) {
        self.changed.execution = Some(execution);
    }

    pub fn publish_pipeline(&mut self, execution: &Execution, state: State) {
        let trigger = || TriggerSubject { trigger: execution.trigger.clone(), origin: execution.origin.clone() };
        let says_what_started_it = state != State::Failed || !execution.failed_in_its_source();
        let stop_comments = match state {
            State::Stopping | State::Stopped => execution.stop.as_ref().and_then(|stop| stop.reason.clone()),
            State::Started
            | State::Succeeded
            | State::Failed
            | State::Canceled
            | State::Resumed
            | State::Superseded
            | State::Abandoned => None,
        };
        let subject = Subject::Pipeline { trigger: says_what_started_it.then(|| Box::new(trigger())), stop_comments };
        self.publish(execution, execution.started_at, state, subject);
    }

    pub fn publish_stage(&mut self, execution: &Execution, stage: &StageExecution, state: State) {
        let retried_at = stage.last_retry.as_ref().map(|retry| retry.at);
        let subject = Subject::Stage { stage: stage.stage.clone(), retried_at };
        self.publish(execution, stage.started_at, state, subject);
    }

    fn publish(&mut self, execution: &Execution, started_at: Timestamp, state: State, subject: Subject) {
        let change = StateChange {
            at: self.at,
            pipeline: execution.pipeline.clone(),
            version: execution.version,
            execution: execution.id,
            attempt: execution.attempt,
            started_at,
            state,
            subject,
        };
        self.effect(Effect::Publish(Box::new(change)));
    }

    /// Tells outsiders of an action; rules have no events of their own.
    pub fn publish_action(&mut self, action: &ActionExecution, state: State) {
        if action.is_rule() {
            return;
        }
        let change = StateChange {
            at: self.at,
            pipeline: action.pipeline.clone(),
            version: action.version,
            execution: action.key.execution,
            attempt: action.pipeline_attempt,
            started_at: action.started_at,
            state,
            subject: Subject::Action(Box::new(action_subject(action, state))),
        };
        self.effect(Effect::Publish(Box::new(change)));
    }
}

fn action_subject(action: &ActionExecution, state: State) -> ActionSubject {
    let started = state == State::Started;
    let succeeded = state == State::Succeeded;
    ActionSubject {
        stage: action.key.stage.clone(),
        action: action.key.name.clone(),
        id: action.id,
        action_type: action.action_type.clone(),
        region: action.region.clone(),
        inputs: if started { action.inputs.clone() } else { Vec::new() },
        outputs: if succeeded { action.outputs.clone() } else { Vec::new() },
        external_id: action.external_id.clone(),
        external_url: action.external_url.clone(),
        summary: action.summary.clone(),
        error: action.error.clone(),
        retried_at: action.stage_retried_at,
    }
}

impl Change {
    /// What it writes.
    pub fn key(&self) -> &ItemKey {
        match self {
            Self::Create(key, _) | Self::Replace(key, _) | Self::Delete(key) => key,
        }
    }
}

impl Execution {
    /// Whether it waits for nobody.
    pub fn is_parallel(&self) -> bool {
        self.mode == model::ExecutionMode::Parallel
    }

    /// Whether it ended in its first stage, the sources; a rollback has none.
    fn failed_in_its_source(&self) -> bool {
        let first = self.plan.first().map(|planned| &planned.stage);
        self.kind != model::ExecutionType::Rollback && self.ended_in.as_ref() == first
    }
}

impl Phase {
    /// Whose ends move a stage on in this phase; none once it ended.
    pub fn slot(self) -> Option<Slot> {
        match self {
            Self::BeforeEntry => Some(Slot::Rule(ConditionSlot::BeforeEntry)),
            Self::Actions(order) => Some(Slot::RunOrder(order)),
            Self::OnSuccess => Some(Slot::Rule(ConditionSlot::OnSuccess)),
            Self::OnFailure => Some(Slot::Rule(ConditionSlot::OnFailure)),
            Self::Ended => None,
        }
    }
}

impl StageExecution {
    /// The newest attempt of an action or rule; 0 when there was none.
    pub fn newest_attempt(&self, slot: Slot, name: &model::ActionName) -> u32 {
        let attempts = match slot {
            Slot::RunOrder(_) => Some(&self.attempts),
            Slot::Rule(condition) => self.rule_attempts.get(&condition),
        };
        attempts.and_then(|attempts| attempts.get(name)).copied().unwrap_or(0)
    }

    /// The key of the newest attempt of an action or rule.
    pub fn newest_key(&self, slot: Slot, name: &model::ActionName) -> ActionKey {
        ActionKey {
            execution: self.execution,
            stage: self.stage.clone(),
            slot,
            name: name.clone(),
            attempt: self.newest_attempt(slot, name),
        }
    }
}
