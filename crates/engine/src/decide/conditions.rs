//! Conditions of a stage: what their rules' ends mean, and overriding them.

use std::sync::Arc;

use model::{
    ActionStatus, Condition, ConditionResult, ConditionSlot, ConditionStatus, ExecutionStatus, RetryMode, RetryTrigger,
    Stage, StageStatus,
};

use super::draft::Draft;
use super::entering::{condition, start_actions, start_rules};
use super::{Step, advance, ending, retrying, rollback};
use crate::event::{Effect, Override, Refusal, State};
use crate::item::{ActionExecution, Execution, Phase, StageExecution};
use crate::key::{ItemKey, Read, Slot};

/// Every rule of a condition has ended.
pub(super) fn judge(
    draft: &mut Draft<'_>,
    execution: &mut Execution,
    stage: &mut StageExecution,
    part: &Arc<Stage>,
    slot: ConditionSlot,
    rules: &[&ActionExecution],
) -> Step {
    let failed: Vec<_> = rules.iter().filter(|rule| rule.status != ActionStatus::Succeeded).collect();
    let passed = failed.is_empty();
    let status = match failed.iter().find_map(|rule| rule.error.as_ref()) {
        None if passed => ConditionStatus::Succeeded,
        Some(error) if error.code == "ConfigurationError" => ConditionStatus::Errored,
        Some(_) | None => ConditionStatus::Failed,
    };
    let reasons = failed.iter().map(|rule| {
        let message = rule.error.as_ref().map_or("it was left", |error| error.message.as_str());
        format!("{}: {message}", rule.key.name)
    });
    set_status(
        draft,
        stage,
        slot,
        status,
        Some(reasons.collect::<Vec<_>>().join("; ")).filter(|text| !text.is_empty()),
    );
    let result = condition(part, slot).and_then(|condition: &Condition| condition.result);
    match (slot, passed) {
        (ConditionSlot::BeforeEntry, true) => start_actions(draft, execution, stage, part),
        // A rule that is itself at fault says nothing of the stage: to skip it would be a success that did not happen.
        (ConditionSlot::BeforeEntry, false)
            if result == Some(ConditionResult::Skip) && status != ConditionStatus::Errored =>
        {
            stage.status = StageStatus::Skipped;
            advance::stage_done(draft, execution, stage)
        }
        (ConditionSlot::OnSuccess, true) => advance::stage_succeeded(draft, execution, stage),
        (ConditionSlot::OnFailure, true) => engage(draft, execution, stage, result),
        (ConditionSlot::OnFailure, false) => ending::fail(draft, execution, stage),
        (ConditionSlot::BeforeEntry | ConditionSlot::OnSuccess, false) => {
            stage.failed_in = Some(stage.phase);
            engage(draft, execution, stage, result)
        }
    }
}

fn engage(
    draft: &mut Draft<'_>,
    execution: &mut Execution,
    stage: &mut StageExecution,
    result: Option<ConditionResult>,
) -> Step {
    match result {
        Some(ConditionResult::Rollback) => rollback::automatic(draft, execution, stage),
        Some(ConditionResult::Fail | ConditionResult::Retry | ConditionResult::Skip) | None => {
            ending::fail(draft, execution, stage)
        }
    }
}

pub(super) fn set_status(
    draft: &Draft<'_>,
    stage: &mut StageExecution,
    slot: ConditionSlot,
    status: ConditionStatus,
    summary: Option<String>,
) {
    if let Some(state) = stage.conditions.get_mut(&slot) {
        state.status = status;
        state.summary = summary;
        state.changed_at = draft.at;
    }
}

/// Every action succeeded: the onSuccess condition, else success.
pub(super) fn after_success(
    draft: &mut Draft<'_>,
    execution: &mut Execution,
    stage: &mut StageExecution,
    part: &Arc<Stage>,
) -> Step {
    match condition(part, ConditionSlot::OnSuccess) {
        Some(condition) => start_rules(draft, execution, stage, ConditionSlot::OnSuccess, condition),
        None => advance::stage_succeeded(draft, execution, stage),
    }
}

/// An action failed and none is in progress: automatic retry, the onFailure condition, rollback, else failure.
pub(super) fn after_failure(
    draft: &mut Draft<'_>,
    execution: &mut Execution,
    stage: &mut StageExecution,
    part: &Arc<Stage>,
    newest: &[&ActionExecution],
) -> Step {
    let failure = part.on_failure.as_ref();
    // A condition without rules engages its result straight away.
    let without_rules = failure.and_then(|failure| failure.conditions.first()).filter(|only| only.rules.is_empty());
    let result = failure.and_then(|failure| failure.result).or(without_rules.and_then(|condition| condition.result));
    if let Some(condition) = condition(part, ConditionSlot::OnFailure) {
        return start_rules(draft, execution, stage, ConditionSlot::OnFailure, condition);
    }
    match result {
        Some(ConditionResult::Retry) if stage.retries_left > 0 && may_retry(newest) => {
            stage.retries_left -= 1;
            let configured = part.on_failure.as_ref().and_then(|failure| failure.retry_configuration.as_ref());
            let mode = configured.and_then(|retry| retry.retry_mode).unwrap_or(RetryMode::FailedActions);
            retrying::retry(draft, execution, stage, part, mode, RetryTrigger::Automated)
        }
        Some(ConditionResult::Rollback) => rollback::automatic(draft, execution, stage),
        Some(ConditionResult::Fail | ConditionResult::Retry | ConditionResult::Skip) | None => {
            ending::fail(draft, execution, stage)
        }
    }
}

/// An action whose start had an unknown outcome may be running: only a person may start another beside it.
fn may_retry(newest: &[&ActionExecution]) -> bool {
    !newest.iter().filter_map(|action| action.error.as_ref()).any(|error| error.code == "StartOutcomeUnknown")
}

/// OverrideStageCondition: the condition counts as passed, and the execution goes on.
pub(super) fn override_condition(draft: &mut Draft<'_>, over: &Override) -> Step {
    let pipeline = draft.live_pipeline()?.ok_or(Refusal::PipelineNotFound)?;
    let found = draft.execution(over.execution)?;
    let mut execution =
        found.ok_or_else(|| Refusal::NotLatestExecution("The pipeline has no such execution.".into()))?;
    let Some(mut stage) = draft.stage_execution(over.execution, &over.stage)? else {
        let header = draft.header(pipeline.version)?;
        return Err(if header.stages.contains(&over.stage) {
            Refusal::NotLatestExecution("The execution has not reached the stage.".into()).into()
        } else {
            Refusal::StageNotFound(over.stage.clone()).into()
        });
    };
    check_overridable(&execution, &stage, over)?;
    let part = Read::Item(ItemKey::StagePart(execution.version, over.stage.clone()));
    draft.need([part, Read::Item(ItemKey::Admission)])?;
    if pipeline.version != execution.version {
        let text = "The pipeline was updated after the execution started.";
        return Err(Refusal::ConditionNotOverridable(text.into()).into());
    }
    retrying::check_latest(draft, &execution, &stage)?;
    leave_rules(draft, &stage, over.condition)?;
    set_status(draft, &mut stage, over.condition, ConditionStatus::Overridden, None);
    if execution.status == ExecutionStatus::Failed {
        retrying::revive(draft, &mut execution, &mut stage)?;
    }
    let part = draft.part(execution.version, &over.stage)?;
    stage.failed_in = None;
    match over.condition {
        ConditionSlot::BeforeEntry => start_actions(draft, &execution, &mut stage, &part)?,
        ConditionSlot::OnSuccess | ConditionSlot::OnFailure => {
            advance::stage_succeeded(draft, &mut execution, &mut stage)?;
        }
    }
    draft.depends_on(ItemKey::Pipeline);
    draft.put_stage(stage);
    draft.put_execution(execution);
    Ok(())
}

fn check_overridable(execution: &Execution, stage: &StageExecution, over: &Override) -> Result<(), Refusal> {
    let refuse = |text: &str| Err(Refusal::ConditionNotOverridable(text.into()));
    let result = stage.conditions.get(&over.condition).and_then(|condition| condition.result);
    if result == Some(ConditionResult::Skip) {
        return refuse("A condition whose result is SKIP cannot be overridden.");
    }
    let phase = match over.condition {
        ConditionSlot::BeforeEntry => Phase::BeforeEntry,
        ConditionSlot::OnSuccess => Phase::OnSuccess,
        ConditionSlot::OnFailure => return refuse("An onFailure condition cannot be overridden."),
    };
    if execution.stop.is_some() || execution.cancel.is_some() {
        return refuse("The execution is being stopped or cancelled.");
    }
    let evaluating = stage.phase == phase && execution.status == ExecutionStatus::InProgress;
    let failed = stage.failed_in == Some(phase) && execution.status == ExecutionStatus::Failed;
    if !evaluating && !failed {
        return refuse("The condition is neither being evaluated nor did it fail the stage.");
    }
    Ok(())
}

/// Leaves the rules of a condition that are still being evaluated.
pub(super) fn leave_rules(draft: &mut Draft<'_>, stage: &StageExecution, slot: ConditionSlot) -> Step {
    let running: Vec<_> = draft
        .newest(stage, Slot::Rule(slot))?
        .into_iter()
        .filter(|rule| rule.status == ActionStatus::InProgress)
        .cloned()
        .collect();
    for rule in running {
        abandon(draft, rule);
    }
    Ok(())
}

/// Leaves an action or rule; the work outside is not cancelled, its driver is told to leave it.
pub(super) fn abandon(draft: &mut Draft<'_>, mut action: ActionExecution) {
    action.status = ActionStatus::Abandoned;
    draft.publish_action(&action, State::Abandoned);
    draft.effect(Effect::EndDriver(action.key.clone()));
    if let Some(deadline) = action.deadline {
        draft.effect(Effect::CancelDue(action.key.clone(), deadline));
    }
    draft.put_action(action);
}
