//! News of an action. A completion writes only its own action execution; `Advance` judges what it means.

use model::{ActionStatus, Category};

use super::draft::Draft;
use super::ending::{Withdrawal, withdrawn};
use super::{Halt, Step};
use crate::event::{Claim, Effect, Outcome, Reason, Refusal, Started, State, Work};
use crate::item::{ActionExecution, Approval, ApprovalDecision, ErrorDetail};
use crate::key::ActionKey;

/// The code of an action that took too long.
pub const TIMEOUT: &str = "Timeout";

fn running(draft: &Draft<'_>, key: &ActionKey) -> Result<ActionExecution, Halt> {
    let action = draft.action(key)?.ok_or(Reason::UnknownAction)?;
    match action.status {
        ActionStatus::InProgress => Ok(action),
        ActionStatus::Abandoned | ActionStatus::Succeeded | ActionStatus::Failed | ActionStatus::Cancelled => {
            Err(Reason::ActionEnded.into())
        }
    }
}

/// A driver is about to start the action. One that is not wanted any more is cancelled instead.
pub(super) fn claim(draft: &mut Draft<'_>, key: &ActionKey, claim: &Claim) -> Step {
    let mut action = running(draft, key)?;
    if claim.drive <= action.drive {
        return Err(Reason::AlreadyClaimed.into());
    }
    if is_overdue(draft, &action) {
        return due(draft, key);
    }
    let execution = draft.execution(key.execution)?.ok_or(Reason::UnknownExecution)?;
    if action.drive == 0
        && let Some(withdrawal) = withdrawn(draft, &execution)?
    {
        return cancel(draft, action, &withdrawal);
    }
    let first = action.drive == 0;
    action.drive = claim.drive;
    action.inputs.clone_from(&claim.inputs);
    action.outputs.clone_from(&claim.outputs);
    action.log.clone_from(&claim.log);
    if first {
        let deadline = draft.at.plus_minutes(action.timeout_minutes);
        action.deadline = Some(deadline);
        action.started_at = draft.at;
        if action.action_type.category == Category::Approval {
            let token = draft.seed.id(&format!("approval/{}", action.id)).to_string();
            action.approval = Some(Approval { token, required: 1, decisions: Vec::new() });
        }
        draft.publish_action(&action, State::Started);
        draft.work_at(Work::Due(key.clone()), deadline);
    }
    draft.put_action(action);
    Ok(())
}

fn cancel(draft: &mut Draft<'_>, mut action: ActionExecution, withdrawal: &Withdrawal) -> Step {
    action.status = ActionStatus::Cancelled;
    let why = if withdrawal.is_cancel() { "cancelled" } else { "stopped" };
    action.summary = Some(format!("Not started: the execution was {why} first."));
    draft.publish_action(&action, State::Canceled);
    draft.work(Work::Advance(action.key.clone()));
    draft.put_action(action);
    Ok(())
}

/// The provider has started it.
pub(super) fn started(draft: &mut Draft<'_>, key: &ActionKey, started: &Started) -> Step {
    let mut action = running(draft, key)?;
    let before = action.clone();
    action.external_id = started.external_id.clone().or(action.external_id);
    action.external_url = started.external_url.clone().or(action.external_url);
    action.summary = started.summary.clone().or(action.summary);
    action.percent_complete = started.percent_complete.or(action.percent_complete);
    action.task_token = started.task_token.clone().or(action.task_token);
    if action == before {
        return Err(Reason::AlreadySo.into());
    }
    draft.put_action(action);
    Ok(())
}

/// It ended. A result after the deadline counts as timed out even if nobody has looked yet.
pub(super) fn ended(draft: &mut Draft<'_>, key: &ActionKey, outcome: &Outcome) -> Step {
    let action = running(draft, key)?;
    if is_overdue(draft, &action) {
        return end(draft, action, &timed_out());
    }
    end(draft, action, outcome)
}

/// The deadline is here.
pub(super) fn due(draft: &mut Draft<'_>, key: &ActionKey) -> Step {
    let action = running(draft, key)?;
    if !is_overdue(draft, &action) {
        return Err(Reason::NotDue.into());
    }
    draft.effect(Effect::EndDriver(key.clone()));
    end(draft, action, &timed_out())
}

fn is_overdue(draft: &Draft<'_>, action: &ActionExecution) -> bool {
    action.deadline.is_some_and(|deadline| draft.at >= deadline)
}

fn timed_out() -> Outcome {
    Outcome::failed(TIMEOUT, "The action did not end within its timeout.")
}

fn end(draft: &mut Draft<'_>, mut action: ActionExecution, outcome: &Outcome) -> Step {
    // What fails before its claim, as a configuration that cannot be resolved, was told to nobody yet.
    if action.drive == 0 {
        action.started_at = draft.at;
        draft.publish_action(&action, State::Started);
    }
    action.external_id = outcome.external_id.clone().or(action.external_id);
    action.external_url = outcome.external_url.clone().or(action.external_url);
    action.summary = outcome.summary.clone().or(action.summary);
    action.percent_complete = outcome.percent_complete.or(action.percent_complete);
    match &outcome.error {
        None => succeed(&mut action, outcome),
        Some(error) => fail(&mut action, error),
    }
    draft.publish_action(&action, State::of_action(action.status));
    if let Some(deadline) = action.deadline {
        draft.effect(Effect::CancelDue(action.key.clone(), deadline));
    }
    draft.work(Work::Advance(action.key.clone()));
    draft.put_action(action);
    Ok(())
}

fn succeed(action: &mut ActionExecution, outcome: &Outcome) {
    action.status = ActionStatus::Succeeded;
    action.revision.clone_from(&outcome.revision);
    for output in &mut action.outputs {
        if let Some(made) = outcome.outputs.iter().find(|made| made.name == output.name) {
            output.clone_from(made);
        }
    }
}

fn fail(action: &mut ActionExecution, error: &ErrorDetail) {
    action.status = ActionStatus::Failed;
    if action.action_type.category == Category::Approval && error.code == TIMEOUT {
        action.error = Some(ErrorDetail {
            code: TIMEOUT.into(),
            message: format!("Nobody approved or rejected within {} minutes.", action.timeout_minutes),
        });
        return;
    }
    let message = if error.code == TIMEOUT {
        format!("{} Its timeout is {} minutes.", error.message, action.timeout_minutes)
    } else {
        error.message.clone()
    };
    action.error = Some(ErrorDetail { code: error.code.clone(), message });
}

/// A person decided.
pub(super) fn decided(draft: &mut Draft<'_>, key: &ActionKey, token: &str, decision: &ApprovalDecision) -> Step {
    let mut action = draft.action(key)?.ok_or(Refusal::ActionNotFound)?;
    let Some(approval) = action.approval.as_mut() else { return Err(Refusal::InvalidApprovalToken.into()) };
    if approval.token != token {
        return Err(Refusal::InvalidApprovalToken.into());
    }
    let overdue = action.deadline.is_some_and(|deadline| draft.at >= deadline);
    if action.status != ActionStatus::InProgress || overdue {
        return Err(Refusal::ApprovalAlreadyCompleted.into());
    }
    approval.decisions.push(decision.clone());
    let approved = approval.decisions.iter().filter(|made| made.approved).count();
    if decision.approved && approved < usize::try_from(approval.required).unwrap_or(usize::MAX) {
        draft.put_action(action);
        return Ok(());
    }
    let outcome = if decision.approved {
        Outcome { summary: Some(decision.summary.clone()), ..Outcome::default() }
    } else {
        let said = if decision.summary.is_empty() { String::new() } else { format!(": {}", decision.summary) };
        Outcome {
            summary: Some(decision.summary.clone()),
            ..Outcome::failed("Rejected", format!("Rejected by {}{said}", decision.by))
        }
    };
    draft.effect(Effect::EndDriver(key.clone()));
    end(draft, action, &outcome)
}
