//! Statuses: folds of what lies below, and final when they say so.

use std::collections::{BTreeMap, BTreeSet};

use engine::{Item, ItemKey, Phase};
use model::{ActionStatus, RetryTrigger};

use super::super::asked::Asked;
use super::super::history::{Actor, Commit, ItemChange, Record};
use super::executions_in;

/// The engine's own invariants hold after every commit: statuses are folds of what is stored below them, lanes agree with
/// executions, the admission with who is live.
pub fn invariants_hold(record: &Record) -> Vec<String> {
    record.invariants.iter().map(|(place, fault)| format!("step {place}: {fault}")).collect()
}

/// What ended stays as it ended, unless somebody retries it or overrides its condition.
pub fn terminal_is_terminal(record: &Record) -> Vec<String> {
    let revivals = |commit: &Commit| match commit.actor {
        Actor::Person(place) => {
            matches!(record.asked(place), Some(Asked::Retry { .. } | Asked::Override { .. }))
        }
        _ => false,
    };
    let changed = record.changes().filter(|(_, commit, change)| {
        change.after.is_some() && had_ended(change) && (!revivals(commit) || is_action(change))
    });
    changed.map(|(place, _, change)| format!("step {place}: changed after its end: {change}")).collect()
}

fn is_action(change: &ItemChange) -> bool {
    matches!(change.key, ItemKey::Action(_))
}

fn had_ended(change: &ItemChange) -> bool {
    match change.before.as_deref() {
        Some(Item::Execution(execution)) => execution.status.is_terminal(),
        Some(Item::StageExecution(stage)) => stage.phase == Phase::Ended,
        Some(Item::Action(action)) => action.status != ActionStatus::InProgress,
        _ => false,
    }
}

/// A stage execution is retried automatically once at most.
pub fn retries_once(record: &Record) -> Vec<String> {
    let mut retried = BTreeMap::new();
    for (_, _, change) in record.changes() {
        let Some(Item::StageExecution(after)) = change.after.as_deref() else { continue };
        let before = match change.before.as_deref() {
            Some(Item::StageExecution(before)) => before.last_retry.clone(),
            _ => None,
        };
        let automatic = after.last_retry.as_ref().is_some_and(|retry| retry.trigger == RetryTrigger::Automated);
        let attempt_before = match change.before.as_deref() {
            Some(Item::StageExecution(before)) => before.attempt,
            _ => 0,
        };
        if automatic && (after.last_retry != before || after.attempt > attempt_before) {
            *retried.entry((change.pipeline, change.key.clone())).or_insert(0) += 1;
        }
    }
    let too_often = retried.into_iter().filter(|(_, count)| *count > 1);
    too_often.map(|((_, key), count)| format!("{key:?} was retried {count} times by itself")).collect()
}

/// At rest the admission lists exactly the executions that have not ended.
pub fn admission_lists_live(record: &Record) -> Vec<String> {
    let mut faults = Vec::new();
    for still in [&record.quiet, &record.end].into_iter().flatten() {
        for (id, items) in &still.pipelines {
            let Some(Item::Admission(admission)) = items.get(&ItemKey::Admission).map(AsRef::as_ref) else { continue };
            let listed: BTreeSet<_> = admission.live.values().map(|live| live.id).collect();
            let live = executions_in(items).filter(|execution| !execution.status.is_terminal());
            let live: BTreeSet<_> = live.map(|execution| execution.id).collect();
            if listed != live {
                faults.push(format!("the admission of {id} lists {listed:?}, and {live:?} are live"));
            }
        }
    }
    faults
}
