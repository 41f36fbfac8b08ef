//! State changes for outsiders: as stored, complete, and in an order that makes sense.

use std::collections::BTreeMap;

use control::rows::Entry;
use engine::{Item, State, StateChange, Subject};
use model::{ExecutionId, ExecutionStatus, StageName, StageStatus};

use super::super::history::{Commit, ItemChange, Record, Step};
use super::super::trace::event;

/// A commit's events say what its items say, under their revisions; and no status changes without an event.
pub fn events_match_items(record: &Record) -> Vec<String> {
    let mut faults = Vec::new();
    for (place, commit) in record.commits() {
        let entries: Vec<&Entry> = commit.publications.iter().flat_map(|row| &row.entries).collect();
        for entry in &entries {
            let told = commit.items.iter().find(|change| tells_of(&entry.change, change));
            if told.is_none_or(|change| change.revision != entry.number) {
                faults.push(format!("step {place}: {} has the number {}", event(&entry.change), entry.number));
            }
        }
        for change in &commit.items {
            let last = entries.iter().rev().find(|entry| tells_of(&entry.change, change));
            let state = last.map(|entry| entry.change.state);
            if is_told(change) != state.is_some() || state.is_some_and(|state| !agrees(state, change)) {
                faults.push(format!("step {place}: told as {state:?}: {change}"));
            }
        }
    }
    faults
}

fn tells_of(told: &StateChange, change: &ItemChange) -> bool {
    match (&told.subject, change.after.as_deref()) {
        (Subject::Pipeline { .. }, Some(Item::Execution(execution))) => execution.id == told.execution,
        (Subject::Stage { stage, .. }, Some(Item::StageExecution(of))) => {
            of.execution == told.execution && of.stage == *stage
        }
        (Subject::Action(action), Some(Item::Action(of))) => of.id == action.id,
        _ => false,
    }
}

/// Whether outsiders must hear of a change: of a status, of a claim, of a retry. Rules have no events.
fn is_told(change: &ItemChange) -> bool {
    match (change.before.as_deref(), change.after.as_deref()) {
        (None, Some(Item::Execution(_) | Item::StageExecution(_))) => true,
        (Some(Item::Execution(before)), Some(Item::Execution(after))) => {
            before.status != after.status || before.attempt != after.attempt
        }
        (Some(Item::StageExecution(before)), Some(Item::StageExecution(after))) => {
            before.status != after.status || before.attempt != after.attempt
        }
        (Some(Item::Action(before)), Some(Item::Action(after))) => {
            !after.is_rule() && (before.status != after.status || before.drive == 0 && after.drive > 0)
        }
        _ => false,
    }
}

fn agrees(state: State, change: &ItemChange) -> bool {
    match change.after.as_deref() {
        Some(Item::Execution(execution)) => match execution.status {
            ExecutionStatus::InProgress => matches!(state, State::Started | State::Resumed),
            ExecutionStatus::Stopping => state == State::Stopping,
            ExecutionStatus::Stopped => state == State::Stopped,
            ExecutionStatus::Cancelled => state == State::Canceled,
            ExecutionStatus::Succeeded => state == State::Succeeded,
            ExecutionStatus::Superseded => state == State::Superseded,
            ExecutionStatus::Failed => state == State::Failed,
        },
        Some(Item::StageExecution(stage)) => match stage.status {
            StageStatus::InProgress => matches!(state, State::Started | State::Resumed),
            StageStatus::Stopping => state == State::Stopping,
            StageStatus::Stopped => state == State::Stopped,
            StageStatus::Cancelled => state == State::Canceled,
            StageStatus::Succeeded | StageStatus::Skipped => state == State::Succeeded,
            StageStatus::Failed => state == State::Failed,
        },
        Some(Item::Action(action)) => state == State::of_action(action.status),
        _ => false,
    }
}

/// Every state change that was committed is published: exactly once where nothing went wrong, else at least once and the
/// same each time; and nothing is published that was not committed for good.
pub fn publishes_everything(record: &Record) -> Vec<String> {
    let mut published: BTreeMap<_, Vec<&Entry>> = BTreeMap::new();
    for step in &record.steps {
        let Step::Published(entries) = step else { continue };
        for entry in entries {
            published.entry(entry.id).or_default().push(entry);
        }
    }
    let mut faults = Vec::new();
    let committed = record.commits().flat_map(|(_, commit)| &commit.publications).flat_map(|row| &row.entries);
    for entry in committed {
        let sent = published.remove(&entry.id).unwrap_or_default();
        let often = if record.disturbances == 0 { sent.len() == 1 } else { !sent.is_empty() };
        if record.quiet.is_some() && !often {
            faults.push(format!("{} was published {} times", event(&entry.change), sent.len()));
        }
        if sent.iter().any(|sent| *sent != entry) {
            faults.push(format!("{} was published as something else", event(&entry.change)));
        }
    }
    let strange = published.values().flatten();
    faults.extend(strange.map(|entry| format!("{} was published, and not committed", event(&entry.change))));
    faults
}

/// How far outsiders know an execution to be.
#[derive(Default)]
struct Told {
    execution: Option<State>,
    stages: BTreeMap<StageName, State>,
    actions: BTreeMap<model::ActionExecutionId, State>,
}

/// The events of an execution come in an order that makes sense: nothing before its start or after its end, no stage
/// outside of its execution, no action outside of its stage, nothing twice.
pub fn order_is_legal(record: &Record) -> Vec<String> {
    let mut told: BTreeMap<ExecutionId, Told> = BTreeMap::new();
    let mut faults = Vec::new();
    for (place, commit) in record.commits() {
        for change in changes_told(commit) {
            let known = told.entry(change.execution).or_default();
            if !known.hear(change) {
                faults.push(format!("step {place}: {} is told out of order", event(change)));
            }
        }
    }
    faults
}

fn changes_told(commit: &Commit) -> impl Iterator<Item = &StateChange> {
    commit.publications.iter().flat_map(|row| &row.entries).map(|entry| &entry.change)
}

impl Told {
    /// Takes one event in; whether it may follow those before.
    fn hear(&mut self, change: &StateChange) -> bool {
        let state = change.state;
        match &change.subject {
            Subject::Pipeline { .. } => {
                let legal = follows_execution(self.execution, state);
                self.execution = Some(state);
                legal
            }
            Subject::Stage { stage, .. } => {
                let before = self.stages.insert(stage.clone(), state);
                is_open(self.execution) && follows_stage(before, state)
            }
            Subject::Action(action) => {
                let before = self.actions.insert(action.id, state);
                let stage = self.stages.get(&action.stage).copied();
                let within =
                    is_open(self.execution) && !matches!(stage, None | Some(State::Succeeded | State::Canceled));
                within && follows_action(before, state)
            }
        }
    }
}

/// Whether an execution goes on.
fn is_open(execution: Option<State>) -> bool {
    matches!(execution, Some(State::Started | State::Resumed | State::Stopping))
}

fn follows_execution(before: Option<State>, state: State) -> bool {
    match (before, state) {
        (None, State::Started) => true,
        (None, _) | (Some(_), State::Started) => false,
        (Some(State::Started | State::Resumed | State::Failed | State::Stopped), State::Resumed) => true,
        (Some(State::Started | State::Resumed), _) => state != State::Abandoned,
        (Some(State::Stopping), _) => {
            matches!(state, State::Stopped | State::Canceled | State::Failed | State::Succeeded)
        }
        (Some(_), _) => false,
    }
}

fn follows_stage(before: Option<State>, state: State) -> bool {
    match (before, state) {
        (None, State::Started) => true,
        (None, _) | (Some(_), State::Started) => false,
        (Some(State::Started | State::Resumed), State::Abandoned | State::Superseded) => false,
        (Some(State::Started | State::Resumed), _) => true,
        (Some(State::Stopping), _) => {
            matches!(state, State::Stopped | State::Canceled | State::Failed | State::Succeeded)
        }
        (Some(State::Failed | State::Stopped), State::Resumed) => true,
        (Some(_), _) => false,
    }
}

fn follows_action(before: Option<State>, state: State) -> bool {
    match (before, state) {
        (None, State::Started | State::Canceled | State::Abandoned) => true,
        (Some(State::Started), State::Succeeded | State::Failed | State::Abandoned) => true,
        (None | Some(_), _) => false,
    }
}
