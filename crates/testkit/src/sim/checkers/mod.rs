//! What must hold of every run. Each checker is shown to see a fault that was seeded on purpose.

mod actions;
mod answers;
mod events;
mod rest;
mod stages;
mod statuses;
mod versions;

pub use actions::{approvals_count_once, ends_once, results_count_once, runs_what_it_should, starts_once};
pub use answers::{answers_hold, tokens_start_once};
pub use events::{events_match_items, order_is_legal, publishes_everything};
pub use rest::{comes_to_rest, is_cleaned_up, is_driven, nothing_is_lost, rows_are_consumed, rows_count_once};
pub use stages::{fifty_at_most, five_actions_at_most, nobody_overtakes, one_in_a_stage, superseded_by_newer};
pub use statuses::{admission_lists_live, invariants_hold, retries_once, terminal_is_terminal};
pub use versions::{deleted_starts_nothing, old_starts_nothing, rollback_runs_as_target, starts_are_current};

use engine::{Execution, Item, ItemKey};
use model::{ExecutionId, ExecutionMode, PipelineId};

use super::history::{Items, Pipelines, Record};

/// Looks at a run and tells what is wrong with it, a sentence a fault.
pub type Check = fn(&Record) -> Vec<String>;

macro_rules! checks {
    ($($name:ident),+ $(,)?) => {
        /// Every checker, by name.
        pub const ALL: &[(&str, Check)] = &[$((stringify!($name), $name)),+];
    };
}

checks!(
    comes_to_rest,
    nothing_is_lost,
    is_driven,
    rows_are_consumed,
    rows_count_once,
    is_cleaned_up,
    one_in_a_stage,
    nobody_overtakes,
    superseded_by_newer,
    fifty_at_most,
    five_actions_at_most,
    invariants_hold,
    terminal_is_terminal,
    retries_once,
    admission_lists_live,
    ends_once,
    starts_once,
    results_count_once,
    approvals_count_once,
    runs_what_it_should,
    starts_are_current,
    old_starts_nothing,
    deleted_starts_nothing,
    rollback_runs_as_target,
    events_match_items,
    publishes_everything,
    order_is_legal,
    answers_hold,
    tokens_start_once,
);

/// What every checker finds, each fault with its checker's name.
pub fn check(record: &Record) -> Vec<(&'static str, String)> {
    ALL.iter().flat_map(|(name, check)| check(record).into_iter().map(move |fault| (*name, fault))).collect()
}

fn execution_in(items: &Items, id: ExecutionId) -> Option<&Execution> {
    match items.get(&ItemKey::Execution(id))?.as_ref() {
        Item::Execution(execution) => Some(execution),
        _ => None,
    }
}

fn executions_in(items: &Items) -> impl Iterator<Item = &Execution> {
    items.values().filter_map(|item| match item.as_ref() {
        Item::Execution(execution) => Some(execution),
        _ => None,
    })
}

/// The mode of the version that an execution runs, as declared.
fn mode_of(pipelines: &Pipelines, pipeline: PipelineId, execution: ExecutionId) -> Option<ExecutionMode> {
    let items = pipelines.get(&pipeline)?;
    let version = execution_in(items, execution)?.version;
    match items.get(&ItemKey::Header(version))?.as_ref() {
        Item::Header(header) => Some(header.mode),
        _ => None,
    }
}
