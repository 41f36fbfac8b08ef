//! Into a stage, and through its run orders.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{
    Action, ActionExecutionId, ActionName, ActionStatus, ActionTypeId, Condition, ConditionResult, ConditionSlot,
    ConditionStatus, ExecutionMode, SeedIds, Stage, StageName, StageStatus,
};

use super::draft::Draft;
use super::{MAX_PARALLEL_ACTIONS, Step};
use crate::event::{Effect, State, Work};
use crate::item::{ActionExecution, ConditionState, Execution, Item, LaneState, Phase, Position, StageExecution};
use crate::key::{ActionKey, ItemKey, Slot};
use crate::timeouts::default_minutes;

/// An execution comes to a stage: it enters at once if the lane is free, unheld and nobody waits; else it waits.
pub(super) fn arrive(draft: &mut Draft<'_>, execution: &mut Execution, stage: &StageName) -> Step {
    if execution.is_parallel() {
        return enter(draft, execution, stage);
    }
    let mut lane = draft.lane(stage)?;
    let open = lane.state == LaneState::Free && lane.holds.is_empty();
    if open && lane.waiting.is_empty() {
        return enter(draft, execution, stage);
    }
    lane.waiting.insert(execution.ordinal, execution.id);
    execution.at.insert(stage.clone(), Position::Waiting);
    if open || (execution.mode == ExecutionMode::Superseded && lane.waiting.len() > 1) {
        draft.work(Work::Admit(stage.clone()));
    }
    draft.put_lane(stage, lane)
}

/// An execution enters a stage: first its beforeEntry condition, else its first run order.
pub(super) fn enter(draft: &mut Draft<'_>, execution: &mut Execution, stage: &StageName) -> Step {
    let part = draft.part(execution.version, stage)?;
    execution.at.insert(stage.clone(), Position::Inside);
    let mut entered = new_stage_execution(draft, execution, &part);
    draft.publish_stage(execution, &entered, State::Started);
    match condition(&part, ConditionSlot::BeforeEntry) {
        Some(before) => start_rules(draft, execution, &mut entered, ConditionSlot::BeforeEntry, before)?,
        None => start_actions(draft, execution, &mut entered, &part)?,
    }
    let key = ItemKey::StageExecution(execution.id, stage.clone());
    draft.create(key, Item::StageExecution(entered));
    Ok(())
}

fn new_stage_execution(draft: &Draft<'_>, execution: &Execution, part: &Stage) -> StageExecution {
    let retry = part.on_failure.as_ref().is_some_and(|failure| failure.result == Some(ConditionResult::Retry));
    StageExecution {
        execution: execution.id,
        stage: part.name.clone(),
        status: StageStatus::InProgress,
        phase: Phase::BeforeEntry,
        failed_in: None,
        attempts: BTreeMap::new(),
        rule_attempts: BTreeMap::new(),
        pending: Vec::new(),
        conditions: BTreeMap::new(),
        attempt: 1,
        retries_left: u32::from(retry),
        last_retry: None,
        started_at: draft.at,
        updated_at: draft.at,
    }
}

/// The one condition of a slot, where it has rules.
pub(super) fn condition(part: &Stage, slot: ConditionSlot) -> Option<&Condition> {
    let conditions = match slot {
        ConditionSlot::BeforeEntry => part.before_entry.as_ref().map(|before| &before.conditions),
        ConditionSlot::OnSuccess => part.on_success.as_ref().map(|success| &success.conditions),
        ConditionSlot::OnFailure => part.on_failure.as_ref().map(|failure| &failure.conditions),
    };
    conditions.and_then(|all| all.first()).filter(|condition| !condition.rules.is_empty())
}

/// Starts the first run order.
pub(super) fn start_actions(
    draft: &mut Draft<'_>,
    execution: &Execution,
    stage: &mut StageExecution,
    part: &Arc<Stage>,
) -> Step {
    let first = part.actions.iter().map(Action::order).min().unwrap_or(1);
    start_run_order(draft, execution, stage, part, first)
}

/// Starts every action of a run order.
pub(super) fn start_run_order(
    draft: &mut Draft<'_>,
    execution: &Execution,
    stage: &mut StageExecution,
    part: &Arc<Stage>,
    order: u16,
) -> Step {
    let actions = part.actions.iter().filter(|action| action.order() == order);
    start_some(draft, execution, stage, order, actions.collect(), 0)
}

/// Starts these actions of a run order, as many as there is place for; the rest wait.
pub(super) fn start_some(
    draft: &mut Draft<'_>,
    execution: &Execution,
    stage: &mut StageExecution,
    order: u16,
    mut actions: Vec<&Action>,
    running: usize,
) -> Step {
    stage.phase = Phase::Actions(order);
    draft.hold_lane(execution, &stage.stage, LaneState::Occupied(execution.id))?;
    let places = if execution.is_parallel() { MAX_PARALLEL_ACTIONS.saturating_sub(running) } else { actions.len() };
    let waiting = actions.split_off(places.min(actions.len()));
    stage.pending = waiting.into_iter().map(|action| action.name.clone()).collect();
    let mut starting = Starting::new(draft, execution, stage, Slot::RunOrder(order), actions.len());
    for action in actions {
        let minutes = action.timeout_in_minutes.unwrap_or_else(|| default_minutes(&action.action_type_id));
        starting.create(&action.name, &action.action_type_id, action.region.clone(), minutes);
    }
    let keys = starting.keys;
    if !keys.is_empty() {
        draft.effect(Effect::Dispatch(keys));
    }
    Ok(())
}

/// Starts the rules of a condition.
pub(super) fn start_rules(
    draft: &mut Draft<'_>,
    execution: &Execution,
    stage: &mut StageExecution,
    slot: ConditionSlot,
    condition: &Condition,
) -> Step {
    let (phase, lane) = match slot {
        ConditionSlot::BeforeEntry => (Phase::BeforeEntry, LaneState::Entering(execution.id)),
        ConditionSlot::OnSuccess => (Phase::OnSuccess, LaneState::Leaving(execution.id)),
        ConditionSlot::OnFailure => (Phase::OnFailure, LaneState::Leaving(execution.id)),
    };
    stage.phase = phase;
    draft.hold_lane(execution, &stage.stage, lane)?;
    let state = ConditionState {
        status: ConditionStatus::InProgress,
        result: condition.result,
        summary: None,
        changed_at: draft.at,
    };
    stage.conditions.insert(slot, state);
    let mut starting = Starting::new(draft, execution, stage, Slot::Rule(slot), condition.rules.len());
    for rule in &condition.rules {
        let kind = rule.rule_type_id.action_type();
        let minutes = rule.timeout_in_minutes.unwrap_or_else(|| default_minutes(&kind));
        starting.create(&rule.name, &kind, rule.region.clone(), minutes);
    }
    let keys = starting.keys;
    draft.effect(Effect::Dispatch(keys));
    Ok(())
}

/// Creates the actions or rules of a slot.
struct Starting<'d, 's> {
    draft: &'d mut Draft<'s>,
    execution: &'d Execution,
    stage: &'d mut StageExecution,
    slot: Slot,
    ids: SeedIds,
    /// Of those created.
    keys: Vec<ActionKey>,
}

impl<'d, 's> Starting<'d, 's> {
    fn new(
        draft: &'d mut Draft<'s>,
        execution: &'d Execution,
        stage: &'d mut StageExecution,
        slot: Slot,
        count: usize,
    ) -> Self {
        let ids = draft.seed.ids(&format!("{}/{slot:?}", stage.stage));
        draft.expect_more(count);
        Self { draft, execution, stage, slot, ids, keys: Vec::with_capacity(count) }
    }

    /// The next attempt of this name.
    fn attempt(&mut self, name: &ActionName) -> ActionKey {
        let attempts = match self.slot {
            Slot::RunOrder(_) => &mut self.stage.attempts,
            Slot::Rule(condition) => self.stage.rule_attempts.entry(condition).or_default(),
        };
        let attempt = *attempts.entry(name.clone()).and_modify(|attempt| *attempt += 1).or_insert(1);
        let (execution, stage) = (self.execution.id, self.stage.stage.clone());
        ActionKey { execution, stage, slot: self.slot, name: name.clone(), attempt }
    }

    fn create(&mut self, name: &ActionName, action_type: &ActionTypeId, region: Option<String>, timeout_minutes: u32) {
        let key = self.attempt(name);
        let execution = self.execution;
        let action = ActionExecution {
            id: ActionExecutionId(self.ids.next_id()),
            key: key.clone(),
            pipeline: execution.pipeline.clone(),
            version: execution.version,
            pipeline_attempt: execution.attempt,
            execution_started_at: execution.started_at,
            action_type: action_type.clone(),
            region,
            status: ActionStatus::InProgress,
            drive: 0,
            deadline: None,
            timeout_minutes,
            external_id: None,
            external_url: None,
            percent_complete: None,
            task_token: None,
            summary: None,
            error: None,
            inputs: Vec::new(),
            outputs: Vec::new(),
            revision: None,
            approval: None,
            log: None,
            stage_retried_at: self.stage.last_retry.as_ref().map(|retry| retry.at),
            started_at: self.draft.at,
            updated_at: self.draft.at,
        };
        self.draft.create(ItemKey::Action(key.clone()), Item::Action(action));
        self.keys.push(key);
    }
}
