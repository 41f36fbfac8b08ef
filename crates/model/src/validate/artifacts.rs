//! Artifacts: each produced once, before it is read, as many as the action type takes.

use std::collections::{HashMap, HashSet};

use super::draft::{Draft, Moment, Task};
use crate::action_types::{Count, UNKNOWN_TYPE_ARTIFACTS};
use crate::finding::{Code, Findings};
use crate::suggestion::hint_or_list;

/// Who produces an artifact, and when.
type Producers<'a> = HashMap<&'a str, (Moment, &'a str)>;

pub(super) fn check(draft: &Draft<'_>, findings: &mut Findings) {
    let producers = producers(draft, findings);
    for task in draft.tasks() {
        check_inputs(task, &producers, findings);
        check_counts(task, findings);
    }
}

fn producers<'a>(draft: &Draft<'a>, findings: &mut Findings) -> Producers<'a> {
    let mut producers = Producers::new();
    for action in &draft.actions {
        for (index, name) in action.artifacts("outputArtifacts") {
            if let Some((_, first)) = producers.get(name) {
                let message = format!(
                    "output artifact \"{name}\" of {} is also produced by action \"{first}\"; output artifact names are \
                     unique in a pipeline",
                    action.describe()
                );
                findings.error(Code::DuplicateArtifact, artifact_path(action, "outputArtifacts", index), message);
            } else {
                producers.insert(name, (action.moment, action.name));
            }
        }
    }
    producers
}

fn check_inputs(task: &Task<'_>, producers: &Producers<'_>, findings: &mut Findings) {
    let mut seen = HashSet::new();
    for (index, name) in task.artifacts("inputArtifacts") {
        let path = || artifact_path(task, "inputArtifacts", index);
        match producers.get(name) {
            None => {
                let hint = hint_or_list(name, producers.keys().copied());
                let message =
                    format!("input artifact \"{name}\" of {} is produced by no action{hint}", task.describe());
                findings.error(Code::UnknownArtifact, path(), message);
            }
            Some((moment, producer)) if *moment >= task.moment => {
                let message = format!(
                    "input artifact \"{name}\" of {} is not there yet: action \"{producer}\" must produce it in an earlier \
                     stage or at a lower runOrder",
                    task.describe()
                );
                findings.error(Code::ArtifactOrder, path(), message);
            }
            Some(_) => {}
        }
        if !seen.insert(name) {
            let message = format!("input artifact \"{name}\" of {} is listed twice", task.describe());
            findings.error(Code::DuplicateArtifact, path(), message);
        }
    }
}

fn check_counts(task: &Task<'_>, findings: &mut Findings) {
    let (inputs, outputs) =
        task.known.map_or((UNKNOWN_TYPE_ARTIFACTS, UNKNOWN_TYPE_ARTIFACTS), |known| (known.inputs, known.outputs));
    check_count(task, "inputArtifacts", inputs, findings);
    if !task.is_rule() {
        check_count(task, "outputArtifacts", outputs, findings);
    }
}

fn check_count(task: &Task<'_>, field: &str, allowed: Count, findings: &mut Findings) {
    let count = super::draft::list(task.value, field).len();
    if !allowed.contains(count) {
        let message = format!("{} has {count} {field}; {} takes {allowed}", task.describe(), task.provider);
        findings.error(Code::ArtifactCount, task.path(field), message);
    }
}

fn artifact_path(task: &Task<'_>, field: &str, index: usize) -> String {
    format!("{}.{field}[{index}].name", task.place)
}
