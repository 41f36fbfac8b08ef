//! How executions end without success.

use model::{ConditionStatus, ExecutionStatus, StageName, StageStatus};

use super::draft::Draft;
use super::{Halt, Step};
use crate::event::State;
use crate::item::{Execution, Phase, StageExecution};

/// What an execution that must not go on becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Withdrawal {
    /// Stopped by StopPipelineExecution.
    Stopped,
    /// Cancelled, with the reason.
    Cancelled(String),
}

/// Whether an execution must not go on: it was asked to stop, or its pipeline was updated or deleted. Executions in PARALLEL
/// mode outlive an update, with the version they started with (User Guide, execution-modes, "Mode change").
pub(super) fn withdrawn(draft: &Draft<'_>, execution: &Execution) -> Result<Option<Withdrawal>, Halt> {
    if execution.stop.is_some() {
        return Ok(Some(Withdrawal::Stopped));
    }
    Ok(match draft.live_pipeline()? {
        None => Some(Withdrawal::Cancelled("The pipeline was deleted.".into())),
        Some(pipeline) if pipeline.version > execution.version && !execution.is_parallel() => {
            Some(Withdrawal::Cancelled(format!("The pipeline was updated to version {}.", pipeline.version)))
        }
        Some(_) => None,
    })
}

/// Ends a withdrawn execution, in a stage or waiting before one.
pub(super) fn end_withdrawn(
    draft: &mut Draft<'_>,
    execution: &mut Execution,
    stage: Option<StageExecution>,
    withdrawal: Withdrawal,
) -> Step {
    draft.need_to_end(execution, [])?;
    let (status, stage_status, condition, state) = match &withdrawal {
        Withdrawal::Stopped => {
            (ExecutionStatus::Stopped, StageStatus::Stopped, ConditionStatus::Abandoned, State::Stopped)
        }
        Withdrawal::Cancelled(_) => {
            (ExecutionStatus::Cancelled, StageStatus::Cancelled, ConditionStatus::Cancelled, State::Canceled)
        }
    };
    if let Withdrawal::Cancelled(reason) = withdrawal {
        execution.cancel = Some(reason);
    }
    execution.status = status;
    if let Some(mut stage) = stage {
        if stage.status != StageStatus::Failed {
            stage.failed_in = Some(stage.phase);
            stage.status = stage_status;
            draft.publish_stage(execution, &stage, state);
        }
        for state in stage.conditions.values_mut().filter(|state| state.status == ConditionStatus::InProgress) {
            state.status = condition;
            state.changed_at = draft.at;
        }
        stage.phase = Phase::Ended;
        stage.pending.clear();
        execution.ended_in = Some(stage.stage.clone());
        draft.put_stage(stage);
    }
    draft.publish_pipeline(execution, state);
    leave_everywhere(draft, execution)
}

/// A stage failed, and with it its execution; whatever could have saved it was tried.
pub(super) fn fail(draft: &mut Draft<'_>, execution: &mut Execution, stage: &mut StageExecution) -> Step {
    draft.need_to_end(execution, [])?;
    if stage.status != StageStatus::Failed {
        stage.status = StageStatus::Failed;
        draft.publish_stage(execution, stage, State::Failed);
    }
    stage.phase = Phase::Ended;
    execution.status = ExecutionStatus::Failed;
    execution.ended_in = Some(stage.stage.clone());
    draft.publish_pipeline(execution, State::Failed);
    leave_everywhere(draft, execution)
}

/// A newer execution takes a waiting one's place.
pub(super) fn supersede(draft: &mut Draft<'_>, execution: &mut Execution, by: model::ExecutionId) -> Step {
    execution.status = ExecutionStatus::Superseded;
    execution.superseded_by = Some(by);
    draft.publish_pipeline(execution, State::Superseded);
    execution.at.clear();
    leave_admission(draft, execution)
}

fn leave_everywhere(draft: &mut Draft<'_>, execution: &mut Execution) -> Step {
    let stages: Vec<StageName> = execution.at.keys().cloned().collect();
    execution.at.clear();
    for stage in stages {
        draft.leave_lane(execution, &stage)?;
    }
    leave_admission(draft, execution)
}

/// The execution is live no more.
pub(super) fn leave_admission(draft: &mut Draft<'_>, execution: &Execution) -> Step {
    let mut admission = draft.admission()?.unwrap_or_default();
    admission.live.remove(&execution.ordinal);
    draft.put_admission(admission);
    Ok(())
}
