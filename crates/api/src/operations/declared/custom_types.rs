//! Actions of custom and third-party types, checked against the definitions that are stored.

use control::action_types::CustomActionType;
use model::action_types::{self, Count};
use model::{Action, Owner, Pipeline, references};

use super::joined;
use crate::error::ApiError;
use crate::operations::Call;

/// Checks every action of these types.
///
/// # Errors
///
/// One `InvalidActionDeclarationException` with every fault: unknown types, wrong counts of artifacts, configuration keys
/// that are missing or unknown, values of another type.
pub(super) async fn check(call: &Call, pipeline: &Pipeline) -> Result<(), ApiError> {
    let mut faults = Vec::new();
    for (stage_index, stage) in pipeline.stages.iter().enumerate() {
        for (index, action) in stage.actions.iter().enumerate() {
            if action.action_type_id.owner == Owner::Aws {
                continue;
            }
            let path = format!("$.stages[{stage_index}].actions[{index}]");
            match call.control.custom_action_type(&action.action_type_id).await? {
                Some(known) => {
                    faults.extend(faults_of(action, &known).into_iter().map(|fault| format!("{path}: {fault}")));
                }
                None if action_types::lookup(&action.action_type_id).is_some() => {}
                None => faults.push(format!("{path}: {}", unknown(call, action))),
            }
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(ApiError::new("InvalidActionDeclarationException", joined(&faults))) }
}

fn unknown(call: &Call, action: &Action) -> String {
    let id = &action.action_type_id;
    let region = call.control.place().region.to_uppercase().replace('-', "_");
    format!(
        "ActionType (Category: '{}', Provider: '{}', Owner: '{}', Version: '{}') in action '{}' is not available in \
         region {region}: create it with CreateCustomActionType",
        id.category, id.provider, id.owner, id.version, action.name
    )
}

fn faults_of(action: &Action, known: &CustomActionType) -> Vec<String> {
    let mut faults = Vec::new();
    let name = &action.name;
    let mut count = |what: &str, has: usize, takes: Count| {
        if !takes.contains(has) {
            faults.push(format!("action '{name}' has {has} {what} artifacts; its type takes {takes}"));
        }
    };
    count("input", action.input_artifacts.len(), known.input_count());
    count("output", action.output_artifacts.len(), known.output_count());
    for property in &known.properties {
        match action.configuration.get(&property.name) {
            None if property.required => {
                faults.push(format!("action '{name}' is missing required configuration '{}'", property.name));
            }
            Some(value) if !is_kind(value, property.kind.as_deref()) => {
                let kind = property.kind.as_deref().unwrap_or_default();
                faults.push(format!("configuration '{}' of action '{name}' must be a {kind}", property.name));
            }
            Some(_) | None => {}
        }
    }
    for key in action.configuration.keys() {
        if !known.properties.iter().any(|property| property.name == *key) {
            faults.push(format!("action '{name}' has the unknown configuration key '{key}'"));
        }
    }
    faults
}

/// Values with references are known only when the action runs.
fn is_kind(value: &str, kind: Option<&str>) -> bool {
    if !references::find(value).is_empty() {
        return true;
    }
    match kind {
        Some("Number") => value.trim().parse::<f64>().is_ok(),
        Some("Boolean") => matches!(value, "true" | "false"),
        Some(_) | None => true,
    }
}
