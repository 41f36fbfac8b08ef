//! StopPipelineExecution, and carrying out a stop or cancel in pages.

use model::{ActionStatus, Category, ExecutionId, ExecutionStatus, StageName, StageStatus};

use super::advance::collect_revisions;
use super::draft::Draft;
use super::ending::{Withdrawal, end_withdrawn, withdrawn};
use super::{Halt, Step, conditions};
use crate::event::{Reason, Refusal, State, Stop, Work};
use crate::item::{ActionExecution, Execution, Position, StageExecution, StopRequest};
use crate::key::{ItemKey, Read, Slot};

/// How many actions one commit ends.
const PAGE: usize = 20;

pub(super) fn stop(draft: &mut Draft<'_>, stop: &Stop) -> Step {
    draft.live_pipeline()?.ok_or(Refusal::PipelineNotFound)?;
    let unknown = || Refusal::NotStoppable("The pipeline has no such execution.".into());
    let mut execution = draft.execution(stop.execution)?.ok_or_else(unknown)?;
    if execution.status.is_terminal() {
        let text = format!("The execution is {}, and only one in progress can be stopped.", execution.status);
        return Err(Refusal::NotStoppable(text).into());
    }
    if let Some(asked) = &execution.stop
        && (asked.abandon || !stop.abandon)
    {
        return Err(Refusal::DuplicatedStop.into());
    }
    let asked = execution.stop.take();
    let repeated = asked.is_some();
    let reason = stop.reason.clone().or(asked.and_then(|asked| asked.reason));
    execution.stop = Some(StopRequest { abandon: stop.abandon, reason });
    execution.status = ExecutionStatus::Stopping;
    if !repeated {
        draft.publish_pipeline(&execution, State::Stopping);
        show_stopping(draft, &execution)?;
    }
    draft.work(Work::Settle(execution.id));
    draft.put_execution(execution);
    Ok(())
}

fn show_stopping(draft: &mut Draft<'_>, execution: &Execution) -> Step {
    let inside = execution.at.iter().filter(|(_, position)| **position == Position::Inside);
    for (name, _) in inside {
        let Some(mut stage) = draft.stage_execution(execution.id, name)? else { continue };
        if stage.status == StageStatus::InProgress {
            stage.status = StageStatus::Stopping;
            draft.publish_stage(execution, &stage, State::Stopping);
            draft.put_stage(stage);
        }
    }
    Ok(())
}

pub(super) fn settle(draft: &mut Draft<'_>, id: ExecutionId) -> Step {
    let mut execution = draft.execution(id)?.ok_or(Reason::UnknownExecution)?;
    if execution.status.is_terminal() {
        return Err(Reason::ExecutionEnded.into());
    }
    let withdrawal = withdrawn(draft, &execution)?.ok_or(Reason::AlreadySo)?;
    let inside: Option<StageName> =
        execution.at.iter().find(|(_, position)| **position == Position::Inside).map(|(name, _)| name.clone());
    let stages = inside.iter().map(|name| Read::Item(ItemKey::StageExecution(id, name.clone())));
    draft.need_to_end(&execution, stages)?;
    let stage = match &inside {
        Some(name) => draft.stage_execution(id, name)?,
        None => None,
    };
    if let Some(stage) = &stage
        && leave_actions(draft, &execution, stage)? == Left::More
    {
        return Ok(());
    }
    if let Some(stage) = &stage
        && let Some(slot @ Slot::RunOrder(_)) = stage.phase.slot()
    {
        collect_revisions(&mut execution, &draft.newest(stage, slot)?);
    }
    end_withdrawn(draft, &mut execution, stage, withdrawal)?;
    draft.put_execution(execution);
    Ok(())
}

#[derive(PartialEq, Eq)]
enum Left {
    All,
    More,
}

/// Leaves what may be left: with `abandon` every action, else only rules, which change nothing outside, and approvals of
/// a deleted pipeline, which nobody can decide. `More`: something goes on, and its end (or the next page) will settle the
/// execution.
fn leave_actions(draft: &mut Draft<'_>, execution: &Execution, stage: &StageExecution) -> Result<Left, Halt> {
    let Some(slot) = stage.phase.slot() else { return Ok(Left::All) };
    let running: Vec<&ActionExecution> =
        draft.newest(stage, slot)?.into_iter().filter(|action| action.status == ActionStatus::InProgress).collect();
    let abandon = execution.stop.as_ref().is_some_and(|stop| stop.abandon);
    if running.is_empty() {
        return Ok(Left::All);
    }
    let deleted = draft.live_pipeline()?.is_none();
    let may_leave = |action: &ActionExecution| match slot {
        Slot::RunOrder(_) => abandon || (deleted && action.action_type.category == Category::Approval),
        Slot::Rule(_) => true,
    };
    let (leaving, staying): (Vec<_>, Vec<_>) = running.into_iter().partition(|action| may_leave(action));
    if leaving.is_empty() {
        return Err(Reason::StillRunning.into());
    }
    let more = leaving.len() > PAGE;
    for action in leaving.into_iter().take(PAGE) {
        conditions::abandon(draft, action.clone());
    }
    if more {
        draft.work(Work::Settle(execution.id));
    }
    Ok(if more || !staying.is_empty() { Left::More } else { Left::All })
}

impl Withdrawal {
    /// Whether the execution was cancelled rather than stopped.
    pub fn is_cancel(&self) -> bool {
        match self {
            Self::Cancelled(_) => true,
            Self::Stopped => false,
        }
    }
}
