//! Answers: what people were told is so, and stays so.

use std::collections::{BTreeMap, BTreeSet};

use engine::ItemKey;

use super::super::asked::Asked;
use super::super::history::{Actor, Record, Step};

/// What somebody was told to be done is not lost by any crash, and an execution told of was made.
pub fn answers_hold(record: &Record) -> Vec<String> {
    let born: BTreeSet<_> = record
        .changes()
        .filter_map(|(_, _, change)| match &change.key {
            ItemKey::Execution(id) => Some(*id),
            _ => None,
        })
        .collect();
    let mut lost = BTreeSet::new();
    let mut faults = Vec::new();
    for (place, step) in record.steps.iter().enumerate() {
        match step {
            Step::Commit(commit) if commit.lost => {
                if let Actor::Person(asked) = commit.actor {
                    lost.insert(asked);
                }
            }
            Step::Answered(asked, Ok(execution)) => {
                if lost.contains(asked) {
                    faults.push(format!("step {place}: what was asked at {asked} was answered and lost"));
                }
                if execution.is_some_and(|id| !born.contains(&id)) {
                    faults.push(format!("step {place}: {execution:?} was told of, and is not there"));
                }
            }
            _ => {}
        }
    }
    faults
}

/// A client request token starts one execution of its pipeline.
pub fn tokens_start_once(record: &Record) -> Vec<String> {
    let mut started: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for (_, commit, change) in record.changes().filter(|(_, _, change)| change.before.is_none()) {
        let (ItemKey::Execution(id), Actor::Person(place)) = (&change.key, &commit.actor) else { continue };
        if let Some(Asked::Start { token: Some(token), .. }) = record.asked(*place) {
            started.entry((change.pipeline, token.clone())).or_default().insert(*id);
        }
    }
    let twice = started.into_iter().filter(|(_, ids)| ids.len() > 1);
    twice.map(|((_, token), ids)| format!("{token} started {ids:?}")).collect()
}
