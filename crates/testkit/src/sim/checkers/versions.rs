//! Versions: nothing starts by an old one, nothing in a deleted pipeline, and a rollback runs as its target did.

use std::collections::BTreeSet;

use engine::{ActionExecution, Item, ItemKey};
use model::{ActionStatus, ExecutionMode, ExecutionType};

use super::super::history::{Actor, Commit, ItemChange, Pipelines, Record, Step};
use super::super::trace::name;
use super::{actions, execution_in, mode_of};

/// What people start, retry, override or roll back runs by the version that is current at its commit.
pub fn starts_are_current(record: &Record) -> Vec<String> {
    let mut faults = Vec::new();
    record.replay(|place, commit, after| {
        let Actor::Person(_) = commit.actor else { return };
        for change in commit.items.iter().filter(|change| change.before.is_none()) {
            let version = match change.after.as_deref() {
                Some(Item::Action(action)) => action.version,
                Some(Item::Execution(execution)) => execution.version,
                _ => continue,
            };
            let Some(Item::Pipeline(pipeline)) =
                after.get(&change.pipeline).and_then(|items| items.get(&ItemKey::Pipeline)).map(AsRef::as_ref)
            else {
                continue;
            };
            if pipeline.version != version || pipeline.deleted_at.is_some() {
                faults.push(format!(
                    "step {place}: {:?} of version {version} begins when {} is current",
                    change.key, pipeline.version
                ));
            }
        }
    });
    faults
}

/// After an update no action of an older version starts: neither is it claimed nor made by whoever could have seen the
/// update. Executions in PARALLEL mode go on.
pub fn old_starts_nothing(record: &Record) -> Vec<String> {
    begun(record, |commit, action, pipelines, change| {
        let parallel = mode_of(pipelines, change.pipeline, action.key.execution) == Some(ExecutionMode::Parallel);
        !parallel && commit.seen.is_none_or(|seen| seen.version > action.version)
    })
}

/// In a deleted pipeline no action starts: neither is it claimed nor made by whoever could have seen the deletion.
pub fn deleted_starts_nothing(record: &Record) -> Vec<String> {
    begun(record, |commit, _, _, _| commit.seen.is_none_or(|seen| seen.deleted))
}

/// The beginnings of actions (made, or claimed for the first time) that should not have been.
fn begun(record: &Record, wrong: impl Fn(&Commit, &ActionExecution, &Pipelines, &ItemChange) -> bool) -> Vec<String> {
    let mut faults = Vec::new();
    record.replay(|place, commit, after| {
        for change in commit.items.iter().filter(|change| actions::is_action(&change.key)) {
            let Some(Item::Action(action)) = change.after.as_deref() else { continue };
            let drive_before = match change.before.as_deref() {
                Some(Item::Action(before)) => Some(before.drive),
                _ => None,
            };
            let begins = drive_before.is_none() || drive_before == Some(0) && action.drive > 0;
            if begins && action.status == ActionStatus::InProgress && wrong(commit, action, after, change) {
                let what = if drive_before.is_none() { "is made" } else { "is claimed" };
                faults.push(format!("step {place}: {} of version {} {what}", name(&action.key), action.version));
            }
        }
    });
    faults
}

/// A rollback runs its target's version with its target's variables and revisions, of a stage where the target succeeded.
pub fn rollback_runs_as_target(record: &Record) -> Vec<String> {
    let mut faults = Vec::new();
    let mut rollbacks = BTreeSet::new();
    record.replay(|place, commit, after| {
        for change in commit.items.iter().filter(|change| change.before.is_none()) {
            let Some(Item::Execution(execution)) = change.after.as_deref() else { continue };
            if execution.kind != ExecutionType::Rollback {
                continue;
            }
            rollbacks.insert(execution.id);
            let items = after.get(&change.pipeline);
            let target = items.zip(execution.rollback_target).and_then(|(items, id)| execution_in(items, id));
            let right = target.is_some_and(|target| {
                let stage = execution.plan.first().map(|planned| planned.stage.clone());
                let success = stage.map(|stage| ItemKey::Success(stage, target.ordinal));
                target.variables == execution.variables
                    && target.version == execution.version
                    && target.revisions == execution.revisions
                    && execution.plan.len() == 1
                    && success.is_some_and(|key| items.is_some_and(|items| items.contains_key(&key)))
            });
            if !right {
                faults.push(format!("step {place}: {} does not run as its target {target:?} did", execution.id));
            }
        }
    });
    let starts = record.steps.iter().filter_map(|step| match step {
        Step::Started(start) => Some(&start.key),
        _ => None,
    });
    let source = starts.filter(|key| rollbacks.contains(&key.execution) && key.stage == "Source");
    faults.extend(source.map(|key| format!("the rollback starts {}", name(key))));
    faults
}
