//! `Admit`: lets the next waiter into a stage, and ends those that a newer one supersedes.

use model::{ExecutionMode, Ordinal, StageName};

use super::draft::Draft;
use super::ending::withdrawn;
use super::entering::enter;
use super::{Step, ending};
use crate::event::{Reason, Work};
use crate::item::{Execution, Lane, LaneState, Position};

pub(super) fn admit(draft: &mut Draft<'_>, stage: &StageName) -> Step {
    let lane = draft.lane(stage)?;
    let Some((&ordinal, &id)) = lane.waiting.first_key_value() else { return Err(Reason::NobodyWaits.into()) };
    let Some(execution) = draft.execution(id)? else { return forget(draft, stage, lane, ordinal) };
    let waits = !execution.status.is_terminal() && execution.at.get(stage) == Some(&Position::Waiting);
    if !waits {
        return forget(draft, stage, lane, ordinal);
    }
    if withdrawn(draft, &execution)?.is_some() {
        draft.work(Work::Settle(id));
        return hand_to_settle(draft, execution, stage, lane);
    }
    if execution.mode == ExecutionMode::Superseded && lane.waiting.len() > 1 {
        return supersede_oldest(draft, execution, stage, lane);
    }
    if lane.state != LaneState::Free || !lane.holds.is_empty() {
        return Err(Reason::StageNotFree.into());
    }
    let mut execution = execution;
    enter(draft, &mut execution, stage)?;
    draft.put_execution(execution);
    Ok(())
}

/// A waiter that waits no more is taken off the list.
fn forget(draft: &mut Draft<'_>, stage: &StageName, mut lane: Lane, ordinal: Ordinal) -> Step {
    lane.waiting.remove(&ordinal);
    if !lane.waiting.is_empty() {
        draft.work(Work::Admit(stage.clone()));
    }
    draft.put_lane(stage, lane)
}

/// A withdrawn waiter leaves the list at once, so that the next can be let in; its own work row ends it.
fn hand_to_settle(draft: &mut Draft<'_>, mut execution: Execution, stage: &StageName, lane: Lane) -> Step {
    let ordinal = execution.ordinal;
    execution.at.remove(stage);
    draft.put_execution(execution);
    forget(draft, stage, lane, ordinal)
}

/// Ends the oldest of several waiters; one a commit, until one is left.
fn supersede_oldest(draft: &mut Draft<'_>, mut execution: Execution, stage: &StageName, mut lane: Lane) -> Step {
    lane.waiting.remove(&execution.ordinal);
    let Some((_, &newest)) = lane.waiting.last_key_value() else { return Err(Reason::NobodyWaits.into()) };
    draft.put_lane(stage, lane)?;
    draft.work(Work::Admit(stage.clone()));
    ending::supersede(draft, &mut execution, newest)?;
    draft.put_execution(execution);
    Ok(())
}
