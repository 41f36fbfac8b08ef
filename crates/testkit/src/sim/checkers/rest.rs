//! At rest: nothing lost, nothing left over, nothing waiting without a reason.

use std::collections::BTreeSet;

use control::rows::Task;
use engine::{ActionExecution, ActionKey, Item, Why, Work};
use model::{ActionStatus, Category, ExecutionId};

use super::super::history::{Actor, Record, Still};
use super::super::trace::name;

/// Once nothing goes wrong any more everything comes to rest: first but for deadlines, then after them.
pub fn comes_to_rest(record: &Record) -> Vec<String> {
    match (&record.quiet, &record.end) {
        (None, _) => vec!["it never became quiet".into()],
        (Some(_), None) => vec!["it went on after all deadlines".into()],
        (Some(_), Some(_)) => Vec::new(),
    }
}

/// At rest every live execution waits for something that is there, and never for a next step that nobody takes; after all
/// deadlines only for disabled transitions.
pub fn nothing_is_lost(record: &Record) -> Vec<String> {
    let mut faults = Vec::new();
    for still in [&record.quiet, &record.end].into_iter().flatten() {
        let live: BTreeSet<ExecutionId> = still.waits.iter().map(|(_, id, _)| *id).collect();
        for (_, id, reasons) in &still.waits {
            let vain = reasons.iter().any(|why| match why {
                Why::NextStep => true,
                Why::OccupiedStage { by, .. } => !live.contains(by),
                _ => false,
            });
            if reasons.is_empty() || vain {
                faults.push(format!("{id} is lost: it waits for {reasons:?}"));
            }
        }
    }
    for (_, id, reasons) in record.end.iter().flat_map(|still| &still.waits) {
        if !reasons.iter().any(|why| matches!(why, Why::Transition { .. } | Why::Queue { .. })) {
            faults.push(format!("{id} waits for {reasons:?} although every deadline has passed"));
        }
    }
    faults
}

fn actions_in_progress(still: &Still) -> impl Iterator<Item = &ActionExecution> {
    still.pipelines.values().flat_map(|items| items.values()).filter_map(|item| match item.as_ref() {
        Item::Action(action) if action.status == ActionStatus::InProgress => Some(action),
        _ => None,
    })
}

/// At rest every action in progress was claimed, and is driven, unless it waits for a person.
pub fn is_driven(record: &Record) -> Vec<String> {
    let Some(still) = &record.quiet else { return Vec::new() };
    let driven: BTreeSet<&ActionKey> = still.driven.iter().collect();
    let alone = actions_in_progress(still).filter(|action| {
        action.drive == 0 || action.action_type.category != Category::Approval && !driven.contains(&action.key)
    });
    alone.map(|action| format!("nobody drives {} (drive {})", name(&action.key), action.drive)).collect()
}

/// At rest no row is left but the deadline of each action in progress, which is there; after all deadlines no row at all.
pub fn rows_are_consumed(record: &Record) -> Vec<String> {
    let mut faults = Vec::new();
    if let Some(still) = &record.quiet {
        let running: BTreeSet<&ActionKey> = actions_in_progress(still).map(|action| &action.key).collect();
        let mut awaited = BTreeSet::new();
        for row in &still.rows {
            match &row.task {
                Task::Engine(Work::Due(key)) if running.contains(key) => drop(awaited.insert(key)),
                task => faults.push(format!("a row is left: {task:?}")),
            }
        }
        faults.extend(running.difference(&awaited).map(|key| format!("the deadline of {} is lost", name(key))));
    }
    for still in [&record.quiet, &record.end].into_iter().flatten() {
        if still.publications > 0 {
            faults.push(format!("{} publications are left", still.publications));
        }
    }
    let left = record.end.iter().flat_map(|still| &still.rows);
    faults.extend(left.map(|row| format!("a row is left after all deadlines: {:?}", row.task)));
    faults
}

/// A row's consumption counts once: whoever comes late changes nothing.
pub fn rows_count_once(record: &Record) -> Vec<String> {
    let again = record.commits().filter(|(_, commit)| {
        let Actor::Row(id, _) = &commit.actor else { return false };
        let own = format!("#{id}");
        let late = commit.removed.iter().any(|(key, was_there)| key.sk.ends_with(&own) && !was_there);
        late && !(commit.items.is_empty() && commit.rows.is_empty())
    });
    again.map(|(place, commit)| format!("step {place}: {} counts again", commit.actor)).collect()
}

/// Once everything rests nothing of a deleted pipeline is left, and nothing of any that no name leads to.
pub fn is_cleaned_up(record: &Record) -> Vec<String> {
    let Some(still) = &record.end else { return Vec::new() };
    let named: BTreeSet<String> = still.names.values().map(|id| format!("/p/{id}")).collect();
    let left =
        still.keys.iter().filter(|key| key.pk.rfind("/p/").is_some_and(|place| !named.contains(&key.pk[place..])));
    left.map(|key| format!("{} {} is left behind", key.pk, key.sk)).collect()
}
