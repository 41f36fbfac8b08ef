//! Conditions of a run that engaged, as they are told at its end.

use std::path::Path;

use engine::{ActionExecution, Slot, StageExecution};
use model::{ActionStatus, ConditionSlot, ConditionStatus};

use crate::progress::{Unmet, UnmetRule};

/// The conditions of these stages that did not hold, in the order of the declaration; logs are files below `data`.
pub fn unmet(order: &[String], stages: &[StageExecution], actions: &[ActionExecution], data: &Path) -> Vec<Unmet> {
    let stage_of = |name: &String| stages.iter().find(|stage| stage.stage.as_str() == name);
    let of_stage = |stage: &StageExecution| -> Vec<Unmet> {
        let is_unmet = |status| matches!(status, ConditionStatus::Failed | ConditionStatus::Errored);
        let unmet = stage.conditions.iter().filter(|(_, state)| is_unmet(state.status));
        unmet
            .map(|(slot, state)| Unmet {
                stage: stage.stage.to_string(),
                slot: *slot,
                status: state.status.as_str(),
                result: state.result,
                rules: rules(stage, *slot, actions, data),
            })
            .collect()
    };
    order.iter().filter_map(stage_of).flat_map(of_stage).collect()
}

/// The newest attempts of a condition's rules that did not succeed.
fn rules(stage: &StageExecution, slot: ConditionSlot, actions: &[ActionExecution], data: &Path) -> Vec<UnmetRule> {
    let slot = Slot::Rule(slot);
    let is_meant = |action: &&ActionExecution| {
        let key = &action.key;
        key.stage == stage.stage
            && key.slot == slot
            && key.attempt == stage.newest_attempt(slot, &key.name)
            && action.status != ActionStatus::Succeeded
    };
    let rule = |action: &ActionExecution| UnmetRule {
        name: action.key.name.to_string(),
        error: action.error.as_ref().map(|error| (error.code.clone(), error.message.clone())),
        log: log_path(action, data),
    };
    actions.iter().filter(is_meant).map(rule).collect()
}

/// The file with an action's whole output, if it said anything.
pub fn log_path(action: &ActionExecution, data: &Path) -> Option<String> {
    let path = data.join(&action.log.as_ref()?.location);
    path.exists().then(|| path.display().to_string())
}
