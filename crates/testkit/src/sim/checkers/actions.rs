//! Actions: started once, ended once, by a result of their own, with what was declared for them.

use std::collections::{BTreeMap, BTreeSet};

use engine::{ActionExecution, Item, ItemKey, State, Subject};
use model::{ActionStatus, ExecutionId};

use super::super::asked::Asked;
use super::super::history::{Record, Start, Step};
use super::super::trace::name;

/// Every action with a STARTED event has exactly one event of its end when all deadlines have passed, and never a second
/// of either.
pub fn ends_once(record: &Record) -> Vec<String> {
    let mut told: BTreeMap<_, (usize, usize)> = BTreeMap::new();
    for entry in record.commits().flat_map(|(_, commit)| &commit.publications).flat_map(|row| &row.entries) {
        let Subject::Action(action) = &entry.change.subject else { continue };
        let (started, ended) = told.entry(action.id).or_default();
        match entry.change.state {
            State::Started => *started += 1,
            _ => *ended += 1,
        }
    }
    let over = record.end.is_some();
    let wrong = told.into_iter().filter(|(_, (started, ended))| *started > 1 || *ended > 1 || over && *ended != 1);
    wrong
        .map(|(id, (started, ended))| format!("action execution {id} started {started} and ended {ended} times"))
        .collect()
}

/// No attempt is started twice under the same drive, and none before its claim was safe.
pub fn starts_once(record: &Record) -> Vec<String> {
    let mut claimed = BTreeSet::new();
    let mut started = BTreeSet::new();
    let mut faults = Vec::new();
    for (place, step) in record.steps.iter().enumerate() {
        match step {
            Step::Commit(commit) if !commit.lost => {
                let drives = commit.items.iter().filter_map(|change| match change.after.as_deref() {
                    Some(Item::Action(action)) => Some((action.key.clone(), action.drive)),
                    _ => None,
                });
                claimed.extend(drives);
            }
            Step::Started(start) => {
                let drive = (start.key.clone(), start.drive);
                if !claimed.contains(&drive) {
                    faults.push(format!(
                        "step {place}: {} starts under drive {} without a claim",
                        name(&start.key),
                        start.drive
                    ));
                }
                if !started.insert(drive) {
                    faults.push(format!("step {place}: {} starts again under drive {}", name(&start.key), start.drive));
                }
            }
            _ => {}
        }
    }
    faults
}

/// A provider's result ends the attempt and drive that it is of, once, and no other.
pub fn results_count_once(record: &Record) -> Vec<String> {
    let mut given = BTreeMap::new();
    let mut applied = BTreeSet::new();
    let mut faults = Vec::new();
    for (place, step) in record.steps.iter().enumerate() {
        match step {
            Step::Result(number, key, drive) => drop(given.insert(*number, (key.clone(), *drive))),
            Step::Commit(commit) if !commit.lost => {
                for change in &commit.items {
                    let Some(Item::Action(action)) = change.after.as_deref() else { continue };
                    let Some(number) = result_of(action) else { continue };
                    if given.get(&number) != Some(&(action.key.clone(), action.drive)) {
                        faults
                            .push(format!("step {place}: {} ends by result-{number}, not its own", name(&action.key)));
                    }
                    if !applied.insert(number) {
                        faults.push(format!("step {place}: result-{number} is applied again"));
                    }
                }
            }
            _ => {}
        }
    }
    faults
}

fn result_of(action: &ActionExecution) -> Option<u64> {
    action.summary.as_ref()?.strip_prefix("result-")?.parse().ok()
}

/// An approval is decided by the right token only, and every decision that was acknowledged is stored once.
pub fn approvals_count_once(record: &Record) -> Vec<String> {
    let mut decisions: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for (_, _, change) in record.changes() {
        let Some(Item::Action(action)) = change.after.as_deref() else { continue };
        let Some(approval) = &action.approval else { continue };
        let said = approval.decisions.iter().map(|decision| decision.summary.clone()).collect();
        decisions.insert(action.key.clone(), said);
    }
    let mut faults = Vec::new();
    for step in &record.steps {
        let Step::Answered(place, Ok(_)) = step else { continue };
        let Some(Asked::Approve { key, right, summary, .. }) = record.asked(*place) else { continue };
        let stored = decisions.get(key).map_or(0, |said| said.iter().filter(|said| *said == summary).count());
        if !right {
            faults.push(format!("{} was decided by a wrong token (asked at step {place})", name(key)));
        } else if stored != 1 {
            faults.push(format!("the decision {summary} of {} is stored {stored} times", name(key)));
        }
    }
    faults
}

/// Every start at a provider has the values of its execution's variables, nothing unresolved, and artifacts that its own
/// execution (or the one it rolls back to) made.
pub fn runs_what_it_should(record: &Record) -> Vec<String> {
    let mut made: BTreeMap<String, ExecutionId> = BTreeMap::new();
    let mut executions = BTreeMap::new();
    let mut faults = Vec::new();
    for (place, step) in record.steps.iter().enumerate() {
        match step {
            Step::Commit(commit) if !commit.lost => {
                for change in &commit.items {
                    match change.after.as_deref() {
                        Some(Item::Execution(execution)) => drop(executions.insert(execution.id, execution.clone())),
                        Some(Item::Action(action)) if action.status == ActionStatus::Succeeded => {
                            made.extend(action.outputs.iter().map(|output| (output.key.clone(), action.key.execution)));
                        }
                        _ => {}
                    }
                }
            }
            Step::Started(start) => {
                let Some(execution) = executions.get(&start.key.execution) else { continue };
                let sources = [Some(execution.id), execution.rollback_target];
                let strange = |(_, key): &(&String, &String)| !sources.contains(&made.get(key.as_str()).copied());
                if let Some((input, _)) = start.inputs.iter().find(strange) {
                    faults.push(format!("step {place}: {} reads {input}, made by another", name(&start.key)));
                }
                faults.extend(misread(start, &execution.variables).map(|fault| format!("step {place}: {fault}")));
            }
            _ => {}
        }
    }
    faults
}

fn misread(start: &Start, variables: &model::StringMap) -> Option<String> {
    let wrong = start.configuration.get("Color").is_some_and(|color| Some(color) != variables.get("color"));
    let open = start.configuration.values().any(|value| value.contains("#{"));
    (wrong || open)
        .then(|| format!("{} runs with {:?}, and not with {variables:?}", name(&start.key), start.configuration))
}

/// The action that a change's key names, if it is one.
pub(super) fn is_action(key: &ItemKey) -> bool {
    matches!(key, ItemKey::Action(_))
}
