//! Triggers: which source action they start from, and which filters go together.

use std::collections::HashSet;

use serde_json::Value;

use super::draft::{Draft, has, list, text};
use crate::finding::{Code, Findings};
use crate::status::Category;
use crate::suggestion::hint_or_list;

/// The most of all triggers (semantics: Limits, "triggers array 200 KB").
const MOST_BYTES: usize = 200 * 1024;

const INVALID: &str = "the trigger configuration for the source action is not valid";

pub(super) fn check(draft: &Draft<'_>, findings: &mut Findings) {
    let size =
        draft.value.get("triggers").and_then(|triggers| serde_json::to_vec(triggers).ok()).map_or(0, |text| text.len());
    if size > MOST_BYTES {
        let message = format!("has {size} bytes as JSON; triggers have at most {MOST_BYTES} together");
        findings.error(Code::TooLarge, "$.triggers", message);
    }
    let mut sources = HashSet::new();
    for (index, trigger) in list(draft.value, "triggers").iter().enumerate() {
        let path = format!("$.triggers[{index}].gitConfiguration");
        let Some(git) = trigger.get("gitConfiguration").filter(|git| git.is_object()) else { continue };
        if let Some(name) = text(git, "sourceActionName") {
            check_source(draft, name, &path, findings);
            if !sources.insert(name) {
                let message =
                    format!("source action \"{name}\" has more than one trigger; put all filters into its first one");
                findings.error(Code::DuplicateTrigger, format_args!("{path}.sourceActionName"), message);
            }
        }
        check_filters(git, &path, findings);
    }
}

fn check_source(draft: &Draft<'_>, name: &str, path: &str, findings: &mut Findings) {
    let path = format_args!("{path}.sourceActionName");
    let mut sources = draft.actions.iter().filter(|action| action.category == Some(Category::Source));
    let names: Vec<_> = sources.clone().map(|action| action.name).collect();
    match sources.find(|action| action.name == name) {
        None => {
            let message = format!("there is no source action \"{name}\"{}", hint_or_list(name, names));
            findings.error(Code::TriggerSource, path, message);
        }
        Some(action) if action.provider != "CodeStarSourceConnection" => {
            let message = format!(
                "triggers must reference a CodeStarSourceConnection action; \"{name}\" is a {} action",
                action.provider
            );
            findings.error(Code::TriggerSource, path, message);
        }
        Some(_) => {}
    }
}

fn check_filters(git: &Value, path: &str, findings: &mut Findings) {
    if !has(git, "push") && !has(git, "pullRequest") {
        let message = format!("{INVALID}: it needs at least one filter in push or pullRequest");
        findings.error(Code::InvalidTrigger, path, message);
    }
    for (index, filter) in list(git, "push").iter().enumerate() {
        let path = format!("{path}.push[{index}]");
        check_combination(filter, &["tags", "branches", "filePaths"], &path, findings);
        if has(filter, "tags") && (has(filter, "branches") || has(filter, "filePaths")) {
            let message = format!(
                "{INVALID}: tags cannot be combined with branches or filePaths; make them a filter of their own"
            );
            findings.error(Code::InvalidTrigger, &path, message);
        }
        if !has(filter, "tags") {
            check_file_paths(filter, &path, findings);
        }
    }
    for (index, filter) in list(git, "pullRequest").iter().enumerate() {
        let path = format!("{path}.pullRequest[{index}]");
        check_combination(filter, &["branches", "filePaths"], &path, findings);
        check_file_paths(filter, &path, findings);
    }
}

fn check_file_paths(filter: &Value, path: &str, findings: &mut Findings) {
    if has(filter, "filePaths") && !has(filter, "branches") {
        let message = format!("{INVALID}: filePaths need branches beside them; for all branches include \"**\"");
        findings.error(Code::InvalidTrigger, path, message);
    }
}

fn check_combination(filter: &Value, fields: &[&str], path: &str, findings: &mut Findings) {
    if filter.is_object() && !fields.iter().any(|field| has(filter, field)) {
        let message = format!("{INVALID}: a filter needs at least one of {}", fields.join(", "));
        findings.error(Code::InvalidTrigger, path, message);
    }
    for field in fields {
        let Some(criteria) = filter.get(*field).filter(|criteria| criteria.is_object()) else { continue };
        if !has(criteria, "includes") && !has(criteria, "excludes") {
            let message = format!("{INVALID}: {field} needs includes or excludes");
            findings.error(Code::InvalidTrigger, format_args!("{path}.{field}"), message);
        }
        for side in ["includes", "excludes"] {
            check_globs(criteria, side, &format!("{path}.{field}.{side}"), findings);
        }
    }
}

fn check_globs(criteria: &Value, side: &str, path: &str, findings: &mut Findings) {
    for (index, pattern) in list(criteria, side).iter().enumerate() {
        if let Some(error) = pattern.as_str().and_then(|pattern| globset::Glob::new(pattern).err()) {
            let message = format!("{INVALID}: {}; patterns have *, **, ?, [a-z] and {{a,b}}", error.kind());
            findings.error(Code::InvalidTrigger, format_args!("{path}[{index}]"), message);
        }
    }
}
