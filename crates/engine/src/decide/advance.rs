//! `Advance`: only here a stage is judged, by reading its run order consistently.

use std::sync::Arc;

use model::{ActionStatus, ExecutionStatus, Stage, StageStatus};

use super::draft::Draft;
use super::entering::{start_run_order, start_some};
use super::{Halt, Step, conditions, ending};
use crate::event::{Reason, State};
use crate::item::{ActionExecution, Execution, Phase, Position, StageExecution};
use crate::key::{ActionKey, ItemKey, Slot};

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
    let slot = match stage.phase {
        Phase::Actions(order) => Slot::RunOrder(order),
        Phase::BeforeEntry => Slot::Rule(model::ConditionSlot::BeforeEntry),
        Phase::OnSuccess => Slot::Rule(model::ConditionSlot::OnSuccess),
        Phase::OnFailure => Slot::Rule(model::ConditionSlot::OnFailure),
        Phase::Ended => return Err(Reason::StageMovedOn.into()),
    };
    if slot != key.slot {
        return Err(Reason::StageMovedOn.into());
    }
    judge(draft, execution, stage, slot)
}

fn judge(draft: &mut Draft<'_>, mut execution: Execution, mut stage: StageExecution, slot: Slot) -> Step {
    let part = draft.part(execution.version, &stage.stage)?;
    let newest = draft.newest(&stage, slot)?;
    let tally = Tally::of(&newest);
    if let Some(end) = ending::withdrawn(draft, &execution)? {
        if tally.running > 0 {
            return Err(Reason::StillRunning.into());
        }
        ending::end_withdrawn(draft, &mut execution, Some(stage), end)?;
        draft.put_execution(execution);
        return Ok(());
    }
    match slot {
        Slot::RunOrder(order) => {
            collect_revisions(&mut execution, &newest);
            judge_run_order(draft, &mut execution, &mut stage, &part, order, &newest)?;
        }
        Slot::Rule(condition) if tally.running == 0 => {
            conditions::judge(draft, &mut execution, &mut stage, &part, condition, &newest)?;
        }
        Slot::Rule(_) => return Err(Reason::StillRunning.into()),
    }
    draft.depends_on(ItemKey::Pipeline);
    draft.put_stage(stage);
    draft.put_execution(execution);
    Ok(())
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
        let pending = std::mem::take(&mut stage.pending);
        return start_some(draft, execution, stage, part, order, pending, tally.running);
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
        draft.publish_stage(execution, stage, State::Failed);
    }
    match (tally.running > 0, told) {
        (true, true) => Err(Reason::StillRunning.into()),
        (true, false) => Ok(()),
        (false, _) => conditions::after_failure(draft, execution, stage, part, newest),
    }
}

/// What source actions brought becomes part of the execution (`artifactRevisions`).
fn collect_revisions(execution: &mut Execution, newest: &[&ActionExecution]) {
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
    stage.phase = Phase::Ended;
    stage.failed_in = None;
    draft.publish_stage(execution, stage, State::Succeeded);
    execution.at.remove(&stage.stage);
    execution.done.insert(stage.stage.clone());
    draft.leave_lane(execution, &stage.stage)?;
    for next in execution.next_stages() {
        super::entering::arrive(draft, execution, &next)?;
    }
    if !execution.at.is_empty() {
        return Ok(());
    }
    execution.status = ExecutionStatus::Succeeded;
    draft.publish_pipeline(execution, State::Succeeded);
    ending::leave_admission(draft, execution)
}

impl Execution {
    /// The stages to go to: planned, not reached, everything before them done.
    pub fn next_stages(&self) -> Vec<model::StageName> {
        let open = self.plan.iter().filter(|planned| {
            !self.done.contains(&planned.stage)
                && !self.at.contains_key(&planned.stage)
                && planned.after.iter().all(|before| self.done.contains(before))
        });
        open.map(|planned| planned.stage.clone()).collect()
    }
}
