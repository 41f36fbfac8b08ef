//! Stages, names, where sources stand, quotas, and what only V2 pipelines have.

use std::collections::HashSet;

use super::draft::{Draft, StageDraft, conditions, has, list, text};
use crate::finding::{Code, Findings};
use crate::status::{Category, ConditionSlot, ExecutionMode, PipelineType};

const MIN_STAGES: usize = 2;
const MAX_STAGES: usize = 50;
const MAX_ACTIONS_OF_STAGE: usize = 50;
const MAX_ACTIONS: usize = 1000;

pub(super) fn check(draft: &Draft<'_>, findings: &mut Findings) {
    check_counts(draft, findings);
    check_names(draft, findings);
    check_sources(draft, findings);
    check_blockers(draft, findings);
    if draft.kind == PipelineType::V1 {
        check_v1(draft, findings);
    }
}

fn check_counts(draft: &Draft<'_>, findings: &mut Findings) {
    let count = draft.stages.len();
    if count < MIN_STAGES && draft.value.get("stages").is_some_and(serde_json::Value::is_array) {
        let message = format!(
            "Pipeline has only {count} stage(s). There should be a minimum of {MIN_STAGES} stages in a pipeline"
        );
        findings.error(Code::TooFewStages, "$.stages", message);
    }
    if count > MAX_STAGES {
        let message = format!("Pipeline has {count} stages. There can only be up to {MAX_STAGES} stages in a pipeline");
        findings.error(Code::TooManyStages, "$.stages", message);
    }
    if draft.actions.len() > MAX_ACTIONS {
        let message = format!("Pipeline has {} actions; it can have at most {MAX_ACTIONS}", draft.actions.len());
        findings.error(Code::TooManyActions, "$.stages", message);
    }
    for stage in &draft.stages {
        let path = format_args!("$.stages[{}].actions", stage.index).to_string();
        let count = draft.actions_of(stage).len();
        if count == 0 && stage.value.get("actions").is_some_and(serde_json::Value::is_array) {
            findings.error(
                Code::EmptyStage,
                path,
                format!("stage \"{}\" has no action; it needs at least one", stage.name),
            );
        } else if count > MAX_ACTIONS_OF_STAGE {
            let message =
                format!("stage \"{}\" has {count} actions; it can have at most {MAX_ACTIONS_OF_STAGE}", stage.name);
            findings.error(Code::TooManyActions, path, message);
        }
    }
}

fn check_names(draft: &Draft<'_>, findings: &mut Findings) {
    let mut stages = HashSet::new();
    for stage in draft.stages.iter().filter(|stage| !stage.name.is_empty()) {
        if !stages.insert(stage.name) {
            let message = format!("stage name \"{}\" is used more than once; give every stage its own", stage.name);
            findings.error(Code::DuplicateName, format_args!("$.stages[{}].name", stage.index), message);
        }
        let mut actions = HashSet::new();
        for action in draft.actions_of(stage).iter().filter(|action| !action.name.is_empty()) {
            if !actions.insert(action.name) {
                let message = format!(
                    "action name \"{}\" is used more than once in stage \"{}\"; give every action its own",
                    action.name, stage.name
                );
                findings.error(Code::DuplicateName, action.path("name"), message);
            }
        }
    }
    let mut variables = HashSet::new();
    for (index, variable) in list(draft.value, "variables").iter().enumerate() {
        if let Some(name) = text(variable, "name").filter(|name| !variables.insert(*name)) {
            let message = format!("variable name \"{name}\" is used more than once; give every variable its own");
            findings.error(Code::DuplicateName, format_args!("$.variables[{index}].name"), message);
        }
    }
}

fn check_sources(draft: &Draft<'_>, findings: &mut Findings) {
    for action in &draft.actions {
        let Some(category) = action.category.filter(|category| *category != Category::Rule) else { continue };
        let first = action.moment.0 == 0;
        let message = match (first, category == Category::Source) {
            (true, true) | (false, false) => continue,
            (true, false) => format!(
                "action \"{}\" of category {category} is in the first stage; the first stage contains only Source actions: \
                 move it to a later stage",
                action.name
            ),
            (false, true) => format!(
                "action \"{}\" is a Source action in stage \"{}\"; Source actions can only be included in the first stage \
                 of the pipeline",
                action.name, action.stage_name
            ),
        };
        findings.error(Code::SourcePlacement, action.path("actionTypeId.category"), message);
    }
}

/// A blocker that nothing heeds would let through what its declaration says is held.
fn check_blockers(draft: &Draft<'_>, findings: &mut Findings) {
    for stage in draft.stages.iter().filter(|stage| !list(stage.value, "blockers").is_empty()) {
        let message = format!(
            "stage \"{}\" has blockers, which are reserved for future use; leave them out: a condition beforeEntry or a \
             disabled transition holds a stage",
            stage.name
        );
        findings.error(Code::ReservedBlocker, format_args!("$.stages[{}].blockers", stage.index), message);
    }
}

const SET_V2: &str = "set pipelineType to \"V2\"";

fn check_v1(draft: &Draft<'_>, findings: &mut Findings) {
    if draft.mode != ExecutionMode::Superseded {
        let message = format!("{} mode can only be used with V2 pipelines: {SET_V2}", draft.mode);
        findings.error(Code::RequiresV2, "$.executionMode", message);
    }
    for (field, what) in [("variables", "pipeline variables"), ("triggers", "triggers")] {
        if !list(draft.value, field).is_empty() {
            let message = format!("{what} can only be used with V2 pipelines: {SET_V2}");
            findings.error(Code::RequiresV2, format_args!("$.{field}"), message);
        }
    }
    for action in draft.actions.iter().filter(|action| action.known.is_some_and(|known| known.v2_only)) {
        let message = format!("the {} action can only be used with V2 pipelines: {SET_V2}", action.provider);
        findings.error(Code::RequiresV2, action.path("actionTypeId.provider"), message);
    }
    for stage in &draft.stages {
        check_v1_conditions(stage, findings);
    }
}

/// Conditions are refused in V1. A failure result without conditions is documented for V2, yet templates of V1
/// pipelines with it are deployed and accepted: that is a warning.
fn check_v1_conditions(stage: &StageDraft<'_>, findings: &mut Findings) {
    for field in ["beforeEntry", "onSuccess"] {
        if has(stage.value, field) {
            let path = format!("$.stages[{}].{field}", stage.index);
            findings.error(
                Code::RequiresV2,
                path,
                format!("stage conditions can only be used with V2 pipelines: {SET_V2}"),
            );
        }
    }
    let path = format!("$.stages[{}].onFailure", stage.index);
    if !conditions(stage.value, ConditionSlot::OnFailure).is_empty() {
        let message = format!("stage conditions can only be used with V2 pipelines: {SET_V2}");
        findings.error(Code::RequiresV2, path, message);
    } else if has(stage.value, "onFailure") {
        let message = format!("onFailure is documented for V2 pipelines only: {SET_V2}");
        findings.warning(Code::RequiresV2, path, message);
    }
}
