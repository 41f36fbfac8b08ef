//! RetryStageExecution, and automatic retry.

use std::sync::Arc;

use model::{ActionStatus, ConditionSlot, ExecutionStatus, RetryMode, RetryTrigger, Stage, StageStatus, Version};

use super::draft::Draft;
use super::entering::{condition, start_actions, start_rules, start_some};
use super::start::check_limit;
use super::{Halt, Step, advance::Tally, conditions};
use crate::event::{Missing, Refusal, Retry, State};
use crate::item::{Execution, Live, Phase, Position, StageExecution, StageRetry};
use crate::key::{ItemKey, Read, Slot};

pub(super) fn by_hand(draft: &mut Draft<'_>, retry_command: &Retry) -> Step {
    let pipeline = draft.live_pipeline()?.ok_or(Refusal::PipelineNotFound)?;
    need_for_retry(draft, pipeline.version, retry_command)?;
    let header = draft.header(pipeline.version)?;
    if !header.stages.contains(&retry_command.stage) {
        return Err(Refusal::StageNotFound(retry_command.stage.clone()).into());
    }
    let mut execution = draft
        .execution(retry_command.execution)?
        .ok_or_else(|| Refusal::NotLatestExecution("The pipeline has no such execution.".into()))?;
    let mut stage = draft.stage_execution(retry_command.execution, &retry_command.stage)?.ok_or_else(|| {
        Refusal::StageNotRetryable(
            "The execution has not entered the stage: an inbound execution cannot be retried.".into(),
        )
    })?;
    check_latest(draft, &execution, &stage)?;
    check_retryable(&execution, &stage, pipeline.version)?;
    let part = draft.part(execution.version, &stage.stage)?;
    if execution.status.is_terminal() {
        revive_admission(draft, &mut execution)?;
    } else {
        check_idle(draft, &stage, retry_command.mode)?;
    }
    retry(draft, &mut execution, &mut stage, &part, retry_command.mode, RetryTrigger::Manual)?;
    draft.depends_on(ItemKey::Pipeline);
    draft.put_stage(stage);
    draft.put_execution(execution);
    Ok(())
}

/// Asks for the current version's header, and for what running the stage again needs.
fn need_for_retry(draft: &Draft<'_>, current: Version, retry_command: &Retry) -> Result<(), Missing> {
    let mut reads = vec![Read::Item(ItemKey::Header(current))];
    let stage = draft.slice.stage_execution(retry_command.execution, &retry_command.stage)?;
    if let (Some(execution), Some(stage)) = (draft.slice.execution(retry_command.execution)?, stage) {
        let name = &retry_command.stage;
        reads.push(Read::Item(ItemKey::StagePart(execution.version, name.clone())));
        let slot = stage.failed_in.and_then(Phase::slot);
        reads.extend(slot.map(|slot| Read::Slot(execution.id, name.clone(), slot)));
        reads.extend(execution.status.is_terminal().then_some(Read::Item(ItemKey::Admission)));
    }
    draft.need(reads)
}

fn check_retryable(execution: &Execution, stage: &StageExecution, current: Version) -> Result<(), Refusal> {
    let refuse = |text: String| Err(Refusal::StageNotRetryable(text));
    if execution.version != current {
        return refuse(format!(
            "The pipeline was updated to version {current} after the execution started with version {}.",
            execution.version
        ));
    }
    match (execution.status, stage.status) {
        (ExecutionStatus::Failed | ExecutionStatus::Stopped, StageStatus::Failed | StageStatus::Stopped)
            if execution.ended_in.as_ref() == Some(&stage.stage) =>
        {
            Ok(())
        }
        (ExecutionStatus::InProgress, StageStatus::Failed) => match stage.phase {
            Phase::Actions(_) => Ok(()),
            Phase::BeforeEntry | Phase::OnSuccess | Phase::OnFailure | Phase::Ended => {
                refuse("A condition of the stage is being evaluated.".into())
            }
        },
        (ExecutionStatus::Stopping, _) => refuse("The execution is being stopped: retry when it has stopped.".into()),
        (status, StageStatus::Failed | StageStatus::Stopped) => {
            refuse(format!("The execution is {status}, and this stage is not the one that it ended in."))
        }
        (_, status) => refuse(format!("The stage is {status}, and only a failed stage can be retried.")),
    }
}

/// While actions of the stage are in progress only the failed ones may run again.
fn check_idle(draft: &Draft<'_>, stage: &StageExecution, mode: RetryMode) -> Result<(), Halt> {
    let Phase::Actions(order) = stage.phase else { return Ok(()) };
    let running = Tally::of(&draft.newest(stage, Slot::RunOrder(order))?).running;
    match mode {
        RetryMode::AllActions if running > 0 => Err(Refusal::Conflict(
            "Actions of the stage are in progress: retry all actions when they have ended.".into(),
        )
        .into()),
        RetryMode::AllActions | RetryMode::FailedActions => Ok(()),
    }
}

/// Only the execution that was last in the stage may take it up again.
pub(super) fn check_latest(draft: &Draft<'_>, execution: &Execution, stage: &StageExecution) -> Result<(), Halt> {
    if execution.is_parallel() {
        return Ok(());
    }
    let lane = draft.lane(&stage.stage)?;
    let others = lane.state.holder().is_some_and(|holder| holder != execution.id);
    if others || lane.last.is_some_and(|last| last != execution.id) {
        return Err(Refusal::NotLatestExecution("Another execution has entered the stage since.".into()).into());
    }
    Ok(())
}

/// Makes an ended execution live again.
fn revive_admission(draft: &mut Draft<'_>, execution: &mut Execution) -> Result<(), Halt> {
    let mut admission = draft.admission()?.unwrap_or_default();
    check_limit(&admission, execution.mode)?;
    admission.live.insert(execution.ordinal, Live { id: execution.id, version: execution.version, cancelled_by: None });
    draft.put_admission(admission);
    execution.stop = None;
    Ok(())
}

/// Makes a failed execution go on in its stage: one attempt more, RESUMED.
pub(super) fn revive(draft: &mut Draft<'_>, execution: &mut Execution, stage: &mut StageExecution) -> Result<(), Halt> {
    revive_admission(draft, execution)?;
    resume(draft, execution, stage);
    Ok(())
}

fn resume(draft: &mut Draft<'_>, execution: &mut Execution, stage: &mut StageExecution) {
    execution.attempt += 1;
    execution.status = ExecutionStatus::InProgress;
    execution.ended_in = None;
    execution.at.insert(stage.stage.clone(), Position::Inside);
    stage.attempt += 1;
    stage.status = StageStatus::InProgress;
    draft.publish_pipeline(execution, State::Resumed);
    draft.publish_stage(execution, stage, State::Resumed);
}

/// Runs a failed stage again.
pub(super) fn retry(
    draft: &mut Draft<'_>,
    execution: &mut Execution,
    stage: &mut StageExecution,
    part: &Arc<Stage>,
    mode: RetryMode,
    trigger: RetryTrigger,
) -> Step {
    let (by_hand, automatic) = stage.last_retry.as_ref().map_or((0, 0), |last| (last.by_hand, last.automatic));
    let (by_hand, automatic) = match trigger {
        RetryTrigger::Manual => (by_hand + 1, automatic),
        RetryTrigger::Automated => (by_hand, automatic + 1),
    };
    stage.last_retry = Some(StageRetry { trigger, mode, at: draft.at, by_hand, automatic });
    // What came of its actions before is not said of them now.
    stage.conditions.retain(|slot, _| *slot == ConditionSlot::BeforeEntry);
    resume(draft, execution, stage);
    let failed_in = stage.failed_in.take().unwrap_or(Phase::Actions(0));
    match (failed_in, mode) {
        (Phase::BeforeEntry, _) => evaluate_again(draft, execution, stage, part, ConditionSlot::BeforeEntry),
        (Phase::OnSuccess, RetryMode::FailedActions) => {
            evaluate_again(draft, execution, stage, part, ConditionSlot::OnSuccess)
        }
        (Phase::Actions(order), RetryMode::FailedActions) if order > 0 => {
            rerun_failed(draft, execution, stage, part, order)
        }
        (Phase::Actions(_) | Phase::OnSuccess | Phase::OnFailure | Phase::Ended, _) => {
            start_actions(draft, execution, stage, part)
        }
    }
}

fn evaluate_again(
    draft: &mut Draft<'_>,
    execution: &mut Execution,
    stage: &mut StageExecution,
    part: &Arc<Stage>,
    slot: ConditionSlot,
) -> Step {
    match condition(part, slot) {
        Some(condition) => start_rules(draft, execution, stage, slot, condition),
        None => start_actions(draft, execution, stage, part),
    }
}

/// Runs again what of a run order neither succeeded nor is in progress; stopped ones count as failed.
fn rerun_failed(
    draft: &mut Draft<'_>,
    execution: &mut Execution,
    stage: &mut StageExecution,
    part: &Arc<Stage>,
    order: u16,
) -> Step {
    let newest = draft.newest(stage, Slot::RunOrder(order))?;
    let keep = |name: &model::ActionName| {
        newest.iter().any(|action| {
            action.key.name == *name
                && match action.status {
                    ActionStatus::Succeeded | ActionStatus::InProgress => true,
                    ActionStatus::Failed | ActionStatus::Abandoned | ActionStatus::Cancelled => false,
                }
        })
    };
    let again: Vec<_> = part.actions.iter().filter(|action| action.order() == order && !keep(&action.name)).collect();
    let running = Tally::of(&newest).running;
    if again.is_empty() && running == 0 {
        return next_or_success(draft, execution, stage, part, order);
    }
    start_some(draft, execution, stage, order, again, running)
}

/// A stopped stage whose run order had succeeded goes on with the next.
fn next_or_success(
    draft: &mut Draft<'_>,
    execution: &mut Execution,
    stage: &mut StageExecution,
    part: &Arc<Stage>,
    order: u16,
) -> Step {
    let next = part.actions.iter().map(model::Action::order).filter(|next| *next > order).min();
    match next {
        Some(next) => super::entering::start_run_order(draft, execution, stage, part, next),
        None => conditions::after_success(draft, execution, stage, part),
    }
}
