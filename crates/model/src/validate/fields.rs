//! Fields that only some action types have: commands and their environment, output variables, files, timeouts.

use std::collections::HashSet;

use super::draft::{Draft, Task, has, list, text};
use crate::finding::{Code, Findings};
use crate::shapes::quote;
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
            let right = match command.trim_end_matches(['\n', '\r']).lines().count() {
                0 | 1 => "this command ends with a line break: leave that out".to_owned(),
                lines => format!("this command has {lines}: make each line a command of its own"),
            };
            let message = format!("AWS CodePipeline takes single lines only; {right}");
            findings.warning(Code::InvalidPattern, format_args!("{}.commands[{index}]", task.place), message);
        }
        check_outputs(task, findings);
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

/// What a Commands action hands on: files of artifacts, variables of its environment.
fn check_outputs(task: &Task<'_>, findings: &mut Findings) {
    for (index, artifact) in list(task.value, "outputArtifacts").iter().enumerate() {
        if artifact.is_object() && !has(artifact, "files") {
            let message = format!(
                "output artifact \"{}\" names no files, so all go into it; say which, such as \"files\": [\"dist/**/*\"]",
                text(artifact, "name").unwrap_or_default()
            );
            let path = format!("{}.outputArtifacts[{index}].files", task.place);
            findings.warning(Code::MissingField, path, message);
        }
        for (place, pattern) in list(artifact, "files").iter().enumerate() {
            if let Some(fault) = pattern.as_str().and_then(pattern_fault) {
                let path = format!("{}.outputArtifacts[{index}].files[{place}]", task.place);
                findings.error(Code::InvalidPattern, path, fault);
            }
        }
    }
    let mut seen = HashSet::new();
    for (index, name) in list(task.value, "outputVariables").iter().enumerate() {
        let Some(name) = name.as_str() else { continue };
        let path = format!("{}.outputVariables[{index}]", task.place);
        if !is_variable_name(name) {
            let message = format!(
                "{} is no name of an environment variable: letters, digits and underscores, the first no digit",
                quote(name)
            );
            findings.error(Code::InvalidPattern, path, message);
        } else if !seen.insert(name) {
            findings.error(Code::DuplicateName, path, format!("output variable \"{name}\" is listed twice"));
        }
    }
}

/// What keeps a pattern of files from ever matching.
fn pattern_fault(pattern: &str) -> Option<String> {
    if pattern.starts_with('/') || pattern.split('/').any(|part| part == "..") {
        return Some(format!("{} leads out of the directory; patterns are relative to it", quote(pattern)));
    }
    let error = globset::Glob::new(pattern).err()?;
    Some(format!("{} is no pattern of files: {}", quote(pattern), error.kind()))
}

fn is_variable_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric())
}

fn check_environment(task: &Task<'_>, findings: &mut Findings) {
    let takes = runs_commands(task) || task.is(Category::Deploy, "EKS");
    if !takes && !list(task.value, "environmentVariables").is_empty() {
        let message = misplaced(task, "environmentVariables", "Commands and EKS");
        findings.error(Code::MisplacedField, task.path("environmentVariables"), message);
    }
    let mut seen = HashSet::new();
    for (index, variable) in list(task.value, "environmentVariables").iter().enumerate() {
        if let Some(name) = text(variable, "name").filter(|name| !seen.insert(*name)) {
            let message = format!("environment variable \"{name}\" of {} is set twice; keep one", task.describe());
            findings.error(
                Code::DuplicateName,
                format_args!("{}.environmentVariables[{index}].name", task.place),
                message,
            );
        }
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
    format!(
        "{field} has no meaning for {}, a {} {}; it is for {which} only",
        task.describe(),
        task.provider,
        word(task)
    )
}

fn word(task: &Task<'_>) -> &'static str {
    if task.is_rule() { "rule" } else { "action" }
}
