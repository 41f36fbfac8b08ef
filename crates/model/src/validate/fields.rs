//! Fields that only some action types have: commands and their environment, output variables, files, timeouts.

use super::draft::{Draft, Task, has, list};
use crate::finding::{Code, Findings};
use crate::status::Category;

pub(super) fn check(draft: &Draft<'_>, findings: &mut Findings) {
    for task in draft.tasks().filter(|task| task.known.is_some()) {
        check_commands(task, findings);
        check_environment(task, findings);
        check_timeout(task, findings);
    }
}

fn runs_commands(task: &Task<'_>) -> bool {
    task.is(Category::Compute, "Commands") || task.is(Category::Rule, "Commands")
}

fn check_commands(task: &Task<'_>, findings: &mut Findings) {
    if runs_commands(task) {
        if !has(task.value, "commands") {
            let message = format!("{} has no commands; a Commands {} runs 1 to 50", task.describe(), word(task));
            findings.error(Code::MissingField, task.path("commands"), message);
        }
        for (index, command) in task.commands().filter(|(_, command)| command.contains(['\n', '\r'])) {
            let lines = command.lines().count();
            let message = format!(
                "AWS CodePipeline takes single lines only; this command has {lines}: make each line a command of its own"
            );
            findings.warning(Code::InvalidPattern, format_args!("{}.commands[{index}]", task.place), message);
        }
        return;
    }
    for field in ["commands", "outputVariables"] {
        if !list(task.value, field).is_empty() {
            findings.error(Code::MisplacedField, task.path(field), misplaced(task, field, "Commands"));
        }
    }
    for (index, artifact) in list(task.value, "outputArtifacts").iter().enumerate() {
        if has(artifact, "files") {
            let path = format!("{}.outputArtifacts[{index}].files", task.place);
            findings.error(Code::MisplacedField, path, misplaced(task, "files", "Commands"));
        }
    }
}

fn check_environment(task: &Task<'_>, findings: &mut Findings) {
    let takes = runs_commands(task) || task.is(Category::Deploy, "EKS");
    if !takes && !list(task.value, "environmentVariables").is_empty() {
        let message = misplaced(task, "environmentVariables", "Commands and EKS");
        findings.error(Code::MisplacedField, task.path("environmentVariables"), message);
    }
}

/// CodePipeline takes a timeout on approvals only; here it bounds every action, within its type's limit.
fn check_timeout(task: &Task<'_>, findings: &mut Findings) {
    let Some((known, minutes)) = task.known.zip(task.value.get("timeoutInMinutes").and_then(serde_json::Value::as_u64))
    else {
        return;
    };
    if task.is_rule() || task.category == Some(Category::Approval) {
        return;
    }
    let path = task.path("timeoutInMinutes");
    let limit = known.timeout_minutes;
    if minutes > u64::from(limit) {
        let message =
            format!("is {minutes}; a {} {} action can take at most {limit} minutes", known.provider, known.category);
        findings.error(Code::InvalidTimeout, path, message);
    } else {
        let message = "AWS CodePipeline takes timeoutInMinutes on Manual approval actions only and may refuse it here";
        findings.warning(Code::InvalidTimeout, path, message);
    }
}

fn misplaced(task: &Task<'_>, field: &str, which: &str) -> String {
    format!("{field} has no meaning for {}, a {} {}; only {which} takes it", task.describe(), task.provider, word(task))
}

fn word(task: &Task<'_>) -> &'static str {
    if task.is_rule() { "rule" } else { "action" }
}
