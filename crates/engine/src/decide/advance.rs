//! `Advance`: only here a stage is judged, by reading its run order consistently.

use std::sync::Arc;

use model::{ActionStatus, ConditionSlot, ExecutionStatus, Stage, StageName, StageStatus};

use super::draft::Draft;
use super::entering::{start_run_order, start_some};
use super::{Halt, MAX_PARALLEL_ACTIONS, Step, conditions, ending, rollback};
use crate::event::{Missing, Reason, State};
use crate::item::{ActionExecution, Execution, Phase, Position, StageExecution};
use crate::key::{ActionKey, ItemKey, Read, Slot};

/// How the newest attempts of a slot stand.
pub(super) struct Tally {
    pub running: usize,
    pub failed: usize,
}

impl Tally {
    pub fn of(actions: &[&ActionExecution]) -> Self {
        let count = |wanted: fn(ActionStatus) -> bool| actions.iter().filter(|action| wanted(action.status)).count();
        Self {
            running: count(|status| status == ActionStatus::InProgress),
            failed: count(|status| match status {
                ActionStatus::Failed | ActionStatus::Abandoned | ActionStatus::Cancelled => true,
                ActionStatus::InProgress | ActionStatus::Succeeded => false,
            }),
        }
    }
}

pub(super) fn advance(draft: &mut Draft<'_>, key: &ActionKey) -> Step {
    let execution = draft.execution(key.execution)?.ok_or(Reason::UnknownExecution)?;
    if execution.status.is_terminal() {
        return Err(Reason::ExecutionEnded.into());
    }
    if execution.at.get(&key.stage) != Some(&Position::Inside) {
        return Err(Reason::StageMovedOn.into());
    }
    let stage = draft.stage_execution(key.execution, &key.stage)?.ok_or(Reason::StageMovedOn)?;
    if stage.newest_attempt(key.slot, &key.name) != key.attempt {
        return Err(Reason::StaleAttempt.into());
    }
    if stage.phase.slot() != Some(key.slot) {
        return Err(Reason::StageMovedOn.into());
    }
    judge(draft, execution, stage, key.slot)
}

fn judge(draft: &mut Draft<'_>, mut execution: Execution, mut stage: StageExecution, slot: Slot) -> Step {
    let newest = draft.newest(&stage, slot)?;
    let tally = Tally::of(&newest);
    if let Slot::RunOrder(_) = slot {
        collect_revisions(&mut execution, &newest);
    }
    if let Some(end) = ending::withdrawn(draft, &execution)? {
        if tally.running > 0 {
            return Err(Reason::StillRunning.into());
        }
        ending::end_withdrawn(draft, &mut execution, Some(stage), end)?;
        draft.put_execution(execution);
        return Ok(());
    }
    need_part(draft, &execution, &stage, slot, &tally)?;
    let part = draft.part(execution.version, &stage.stage)?;
    match slot {
        Slot::RunOrder(order) => judge_run_order(draft, &mut execution, &mut stage, &part, order, &newest)?,
        Slot::Rule(condition) if tally.running == 0 => {
            conditions::judge(draft, &mut execution, &mut stage, &part, condition, &newest)?;
        }
        Slot::Rule(_) => return Err(Reason::StillRunning.into()),
    }
    draft.put_stage(stage);
    draft.put_execution(execution);
    Ok(())
}

/// Asks for the stage, and with it for the success that a failure may have to go back to: it saves a round.
fn need_part(
    draft: &Draft<'_>,
    execution: &Execution,
    stage: &StageExecution,
    slot: Slot,
    tally: &Tally,
) -> Result<(), Missing> {
    let may_fail = match slot {
        Slot::RunOrder(_) => tally.failed > 0,
        Slot::Rule(condition) => condition != ConditionSlot::BeforeEntry,
    };
    let success = (may_fail && tally.running == 0).then(|| rollback::last_success(execution, &stage.stage)).flatten();
    let part = Read::Item(ItemKey::StagePart(execution.version, stage.stage.clone()));
    if draft.slice.has(&part) {
        return Ok(());
    }
    draft.need(success.into_iter().chain([part]))
}

fn judge_run_order(
    draft: &mut Draft<'_>,
    execution: &mut Execution,
    stage: &mut StageExecution,
    part: &Arc<Stage>,
    order: u16,
    newest: &[&ActionExecution],
) -> Step {
    let tally = Tally::of(newest);
    if tally.failed > 0 {
        return judge_failure(draft, execution, stage, part, &tally, newest);
    }
    if !stage.pending.is_empty() {
        if tally.running >= MAX_PARALLEL_ACTIONS {
            return Err(Reason::StillRunning.into());
        }
        let pending = std::mem::take(&mut stage.pending);
        let actions = part.actions.iter().filter(|action| pending.contains(&action.name));
        return start_some(draft, execution, stage, order, actions.collect(), tally.running);
    }
    if tally.running > 0 {
        return Err(Halt::Ignored(Reason::StillRunning));
    }
    let next = part.actions.iter().map(model::Action::order).filter(|next| *next > order).min();
    match next {
        Some(next) => start_run_order(draft, execution, stage, part, next),
        None => conditions::after_success(draft, execution, stage, part),
    }
}

/// A stage with a failed action shows Failed at once; what follows waits until none of its actions is in progress.
fn judge_failure(
    draft: &mut Draft<'_>,
    execution: &mut Execution,
    stage: &mut StageExecution,
    part: &Arc<Stage>,
    tally: &Tally,
    newest: &[&ActionExecution],
) -> Step {
    let told = stage.status == StageStatus::Failed;
    if !told {
        stage.status = StageStatus::Failed;
        stage.failed_in = Some(stage.phase);
        stage.pending.clear();
        draft.publish_stage(execution, stage, State::Failed);
    }
    match (tally.running > 0, told) {
        (true, true) => Err(Reason::StillRunning.into()),
        (true, false) => Ok(()),
        (false, _) => conditions::after_failure(draft, execution, stage, part, newest),
    }
}

/// What source actions brought becomes part of the execution (`artifactRevisions`).
pub(super) fn collect_revisions(execution: &mut Execution, newest: &[&ActionExecution]) {
    for revision in newest.iter().filter_map(|action| action.revision.as_ref()) {
        execution.revisions.retain(|known| known.action != revision.action || known.artifact != revision.artifact);
        execution.revisions.push(revision.clone());
    }
}

/// A stage succeeded: on to what comes after it, or the end.
pub(super) fn stage_succeeded(draft: &mut Draft<'_>, execution: &mut Execution, stage: &mut StageExecution) -> Step {
    stage.status = StageStatus::Succeeded;
    draft.succeeded_once(execution, &stage.stage);
    stage_done(draft, execution, stage)
}

/// A stage is done with, by success or by being skipped.
pub(super) fn stage_done(draft: &mut Draft<'_>, execution: &mut Execution, stage: &mut StageExecution) -> Step {
    execution.done.insert(stage.stage.clone());
    let next_stages = execution.next_stages();
    need_to_go_on(draft, execution, &stage.stage, &next_stages)?;
    stage.phase = Phase::Ended;
    stage.failed_in = None;
    draft.publish_stage(execution, stage, State::Succeeded);
    execution.at.remove(&stage.stage);
    draft.leave_lane(execution, &stage.stage)?;
    for next in next_stages {
        super::entering::arrive(draft, execution, &next)?;
    }
    if !execution.at.is_empty() {
        return Ok(());
    }
    execution.status = ExecutionStatus::Succeeded;
    draft.publish_pipeline(execution, State::Succeeded);
    ending::leave_admission(draft, execution)
}

/// Asks for the lane left, and for what the next stages, or the end, need.
fn need_to_go_on(
    draft: &Draft<'_>,
    execution: &Execution,
    left: &StageName,
    next: &[StageName],
) -> Result<(), Missing> {
    let mut reads: Vec<Read> = next
        .iter()
        .map(|stage| Read::Item(ItemKey::StagePart(execution.version, stage.clone())))
        .chain(next.is_empty().then_some(Read::Item(ItemKey::Admission)))
        .collect();
    if !execution.is_parallel() {
        reads.extend(next.iter().chain([left]).map(|stage| Read::Item(ItemKey::Lane(stage.clone()))));
    }
    draft.need(reads)
}

impl Execution {
    /// The stages to go to: planned, not reached, everything before them done.
    pub fn next_stages(&self) -> Vec<StageName> {
        let open = self.plan.iter().filter(|planned| {
            !self.done.contains(&planned.stage)
                && !self.at.contains_key(&planned.stage)
                && planned.after.iter().all(|before| self.done.contains(before))
        });
        open.map(|planned| planned.stage.clone()).collect()
    }
}
