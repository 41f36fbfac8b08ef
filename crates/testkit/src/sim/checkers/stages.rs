//! Who is in a stage, who may enter, and how many.

use std::collections::{BTreeMap, BTreeSet};

use engine::{Item, ItemKey, Phase, Position};
use model::{ActionStatus, ExecutionId, ExecutionMode, ExecutionStatus, ExecutionType, PipelineId, StageName};

use super::super::history::{Actor, ItemChange, Record};
use super::{execution_in, executions_in, mode_of};

/// Executions that may be live at once in QUEUED and PARALLEL mode.
const LIVE: usize = 50;
/// Actions of one PARALLEL execution that may be in progress at once.
const ACTIONS: usize = 5;

/// Never two executions in a stage unless PARALLEL: by who entered and who left.
pub fn one_in_a_stage(record: &Record) -> Vec<String> {
    let mut inside: BTreeMap<(PipelineId, StageName), BTreeSet<ExecutionId>> = BTreeMap::new();
    let mut faults = Vec::new();
    record.replay(|place, commit, after| {
        for change in &commit.items {
            let ItemKey::StageExecution(id, stage) = &change.key else { continue };
            if mode_of(after, change.pipeline, *id) == Some(ExecutionMode::Parallel) {
                continue;
            }
            let within = inside.entry((change.pipeline, stage.clone())).or_default();
            match change.after.as_deref() {
                Some(Item::StageExecution(entered)) if entered.phase != Phase::Ended => within.insert(*id),
                _ => within.remove(id),
            };
        }
        for ((_, stage), within) in inside.iter().filter(|(_, within)| within.len() > 1) {
            faults.push(format!("step {place}: {within:?} are in {stage} at once"));
        }
    });
    faults
}

/// Nobody enters a stage before an older execution that waits for it (QUEUED keeps order, SUPERSEDED has the older one end
/// first). Rollbacks enter at once.
pub fn nobody_overtakes(record: &Record) -> Vec<String> {
    let mut faults = Vec::new();
    record.replay(|place, commit, after| {
        for change in commit.items.iter().filter(|change| change.before.is_none()) {
            let ItemKey::StageExecution(id, stage) = &change.key else { continue };
            let Some(items) = after.get(&change.pipeline) else { continue };
            let Some(entering) = execution_in(items, *id) else { continue };
            let parallel = mode_of(after, change.pipeline, *id) == Some(ExecutionMode::Parallel);
            if parallel || entering.kind == ExecutionType::Rollback {
                continue;
            }
            for other in executions_in(items) {
                if other.ordinal < entering.ordinal && other.at.get(stage) == Some(&Position::Waiting) {
                    faults.push(format!("step {place}: {id} enters {stage} before {}, which is older", other.id));
                }
            }
        }
    });
    faults
}

/// Superseding happens only in SUPERSEDED mode, only between stages, and only by a newer execution; an execution that is
/// stale from its start is superseded by what started before it.
pub fn superseded_by_newer(record: &Record) -> Vec<String> {
    let mut faults = Vec::new();
    record.replay(|place, commit, after| {
        for change in &commit.items {
            let (ItemKey::Execution(id), Some(Item::Execution(ended))) = (&change.key, change.after.as_deref()) else {
                continue;
            };
            if ended.status != ExecutionStatus::Superseded || status_before(change) == Some(ended.status) {
                continue;
            }
            if mode_of(after, change.pipeline, *id) != Some(ExecutionMode::Superseded) {
                faults.push(format!("step {place}: {id} was superseded outside of SUPERSEDED mode"));
            }
            if was_inside(change) {
                faults.push(format!("step {place}: {id} was superseded inside of a stage"));
            }
            let newer = ended.superseded_by.and_then(|by| execution_in(after.get(&change.pipeline)?, by));
            let right =
                newer.map_or(change.before.is_none() && ended.origin.is_some(), |newer| newer.ordinal > ended.ordinal);
            if !right {
                faults.push(format!(
                    "step {place}: {id} was superseded by {:?}, which is not newer",
                    ended.superseded_by
                ));
            }
        }
    });
    faults
}

fn status_before(change: &ItemChange) -> Option<ExecutionStatus> {
    match change.before.as_deref() {
        Some(Item::Execution(execution)) => Some(execution.status),
        _ => None,
    }
}

fn was_inside(change: &ItemChange) -> bool {
    match change.before.as_deref() {
        Some(Item::Execution(execution)) => execution.at.values().any(|position| *position == Position::Inside),
        _ => false,
    }
}

/// No start and no retry makes the fifty-first execution live in QUEUED or PARALLEL mode.
pub fn fifty_at_most(record: &Record) -> Vec<String> {
    let mut faults = Vec::new();
    record.replay(|place, commit, after| {
        let lives = |item: Option<&Item>| matches!(item, Some(Item::Execution(of)) if !of.status.is_terminal());
        let born = |change: &&ItemChange| !lives(change.before.as_deref()) && lives(change.after.as_deref());
        let Actor::Person(_) = commit.actor else { return };
        for change in commit.items.iter().filter(born) {
            let (ItemKey::Execution(id), Some(items)) = (&change.key, after.get(&change.pipeline)) else { continue };
            let limited = mode_of(after, change.pipeline, *id) != Some(ExecutionMode::Superseded);
            let live = executions_in(items).filter(|execution| !execution.status.is_terminal()).count();
            if limited && live > LIVE {
                faults.push(format!("step {place}: {id} makes {live} executions live"));
            }
        }
    });
    faults
}

/// A PARALLEL execution has five actions in progress at most.
pub fn five_actions_at_most(record: &Record) -> Vec<String> {
    let mut faults = Vec::new();
    record.replay(|place, commit, after| {
        for change in commit.items.iter().filter(|change| change.before.is_none()) {
            let (ItemKey::Action(key), Some(items)) = (&change.key, after.get(&change.pipeline)) else { continue };
            if mode_of(after, change.pipeline, key.execution) != Some(ExecutionMode::Parallel) {
                continue;
            }
            let running = items.values().filter(|item| {
                matches!(item.as_ref(), Item::Action(action) if action.key.execution == key.execution
                    && action.status == ActionStatus::InProgress && !action.is_rule())
            });
            let running = running.count();
            if running > ACTIONS {
                faults.push(format!("step {place}: {} runs {running} actions at once", key.execution));
            }
        }
    });
    faults
}
