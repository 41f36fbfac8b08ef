//! Conditions and their rules: which results a slot may have, and which rules a result.

use std::collections::HashSet;

use serde_json::Value;

use super::draft::{Draft, StageDraft, conditions, has, list, text};
use crate::finding::{Code, Findings};
use crate::status::{ConditionResult, ConditionSlot, ExecutionMode};

/// The rules that can be asked before a stage is skipped.
const SKIP_RULES: &[&str] = &["LambdaInvoke", "VariableCheck"];

pub(super) fn check(draft: &Draft<'_>, findings: &mut Findings) {
    for stage in &draft.stages {
        check_failure(draft, stage, findings);
        for slot in ConditionSlot::ALL.iter().copied() {
            for (index, condition) in conditions(stage.value, slot).iter().enumerate() {
                let path = format!("$.stages[{}].{}.conditions[{index}]", stage.index, slot.field());
                check_condition(draft, stage, slot, (condition, &path), findings);
            }
        }
    }
}

fn result(value: &Value) -> Option<ConditionResult> {
    text(value, "result").and_then(ConditionResult::parse)
}

/// What is said beside the conditions of onFailure.
fn check_failure(draft: &Draft<'_>, stage: &StageDraft<'_>, findings: &mut Findings) {
    let Some(failure) = stage.value.get("onFailure").filter(|failure| failure.is_object()) else { return };
    let path = |field: &str| format!("$.stages[{}].onFailure.{field}", stage.index);
    let conditional = !list(failure, "conditions").is_empty();
    if let Some(result) = result(failure) {
        check_result(draft, stage, ConditionSlot::OnFailure, (result, true, &path("result")), findings);
        if conditional {
            let message = format!(
                "stage \"{}\" has both a result and conditions on failure; it can have one of them: {}",
                stage.name,
                if result == ConditionResult::Retry {
                    "an automatic retry takes no conditions"
                } else {
                    "keep the conditions"
                }
            );
            findings.error(Code::FailureConflict, path("result"), message);
        }
    }
    if has(failure, "retryConfiguration") && result(failure) != Some(ConditionResult::Retry) {
        let message = "retryConfiguration counts only with result \"RETRY\"";
        if conditional {
            findings.error(Code::FailureConflict, path("retryConfiguration"), message);
        } else {
            findings.warning(Code::FailureConflict, path("retryConfiguration"), message);
        }
    }
}

fn check_condition(
    draft: &Draft<'_>,
    stage: &StageDraft<'_>,
    slot: ConditionSlot,
    (condition, path): (&Value, &str),
    findings: &mut Findings,
) {
    let result = result(condition);
    if let Some(result) = result {
        check_result(draft, stage, slot, (result, false, &format!("{path}.result")), findings);
    } else if !has(condition, "result") {
        let message = "result is not given; the stage then fails: say \"FAIL\" if that is meant";
        findings.warning(Code::MissingField, format_args!("{path}.result"), message);
    }
    let rules = list(condition, "rules");
    if rules.is_empty() && !has(condition, "rules") && slot != ConditionSlot::OnFailure {
        let message = "a condition needs 1 to 5 rules";
        findings.error(Code::MissingField, format_args!("{path}.rules"), message);
    }
    let mut names = HashSet::new();
    for (index, rule) in rules.iter().enumerate() {
        if let Some(name) = text(rule, "name").filter(|name| !names.insert(*name)) {
            let message =
                format!("rule name \"{name}\" is used more than once in this condition; give every rule its own");
            findings.error(Code::DuplicateName, format_args!("{path}.rules[{index}].name"), message);
        }
        let provider = rule.get("ruleTypeId").and_then(|id| text(id, "provider")).unwrap_or_default();
        if result == Some(ConditionResult::Skip) && !provider.is_empty() && !SKIP_RULES.contains(&provider) {
            let message = format!("result SKIP goes with {} rules only, not with {provider}", SKIP_RULES.join(" and "));
            findings.error(Code::RuleNotAllowed, format_args!("{path}.rules[{index}].ruleTypeId.provider"), message);
        }
    }
}

/// `top` tells the result of onFailure itself from that of a condition.
fn check_result(
    draft: &Draft<'_>,
    stage: &StageDraft<'_>,
    slot: ConditionSlot,
    (result, top, path): (ConditionResult, bool, &str),
    findings: &mut Findings,
) {
    use ConditionResult::{Fail, Retry, Rollback, Skip};
    let allowed: &[ConditionResult] = match (slot, top) {
        (ConditionSlot::BeforeEntry, _) => &[Fail, Skip],
        (ConditionSlot::OnSuccess, _) => &[Rollback, Fail],
        (ConditionSlot::OnFailure, true) => &[Rollback, Retry, Fail],
        (ConditionSlot::OnFailure, false) => &[Rollback, Fail],
    };
    let field = slot.field();
    if slot == ConditionSlot::OnFailure && !top && result == Retry {
        let message = "an automatic retry takes no conditions: give onFailure the result \"RETRY\" instead";
        findings.error(Code::FailureConflict, path, message);
    } else if !allowed.contains(&result) {
        let words: Vec<_> = allowed.iter().map(|result| result.as_str()).collect();
        let message = format!("{result} is not a result of {field}; it can be {}", words.join(" or "));
        findings.error(Code::InvalidResult, path, message);
    } else if result == Rollback && draft.mode == ExecutionMode::Parallel {
        let message = format!("{field} with a ROLLBACK result cannot be added to a PARALLEL mode pipeline");
        findings.error(Code::ExecutionModeConflict, path, message);
    } else if result == Rollback && stage.index == 0 {
        let others = allowed.iter().filter(|other| **other != Rollback);
        let words: Vec<_> = others.map(|result| result.as_str()).collect();
        let message = format!(
            "the source stage cannot be rolled back: here {field} of the first stage can be {}",
            words.join(" or ")
        );
        findings.error(Code::InvalidResult, path, message);
    }
}
