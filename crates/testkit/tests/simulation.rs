//! Random pipelines, random commands, and everything going wrong that may.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests fail by panicking and print what they found"
)]

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use control::rows::Task;
use engine::{ConditionState, Item, ItemKey, Work};
use model::{ConditionSlot, ExecutionMode, ExecutionStatus, ExecutionType, RetryTrigger, StageStatus};
use testkit::sim::{self, Mutation, Record, Refused, Step, checkers};

/// Runs unless `PENSTOCK_SIM_RUNS` says how many.
const RUNS: u64 = 250;
/// The most runs until everything of [`TO_REACH`] must have been reached: which of them reaches what is chance.
const MOST_RUNS: u64 = 1000;
/// The most runs until a seeded fault must have been seen.
const TRIES: u64 = 300;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// What the runs of some seeds came to.
#[derive(Default)]
struct Found {
    /// A run with faults: its seed, its trace and its faults.
    failure: Option<(u64, String)>,
    /// What some run reached.
    reached: BTreeSet<String>,
}

/// Runs these seeds on all processors, until one fails.
fn run_all(seeds: std::ops::Range<u64>) -> Found {
    let next = AtomicU64::new(seeds.start);
    let found = Mutex::new(Found::default());
    let look = || loop {
        let seed = next.fetch_add(1, Ordering::SeqCst);
        if seed >= seeds.end || found.lock().unwrap().failure.is_some() {
            return;
        }
        let record = sim::run(seed, Mutation::None);
        let faults = checkers::check(&record);
        let mut found = found.lock().unwrap();
        found.reached.extend(reached(&record));
        if !faults.is_empty() {
            let lines: Vec<_> = faults.iter().map(|(name, fault)| format!("{name}: {fault}")).collect();
            found.failure = Some((seed, format!("{record}\n{}", lines.join("\n"))));
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(look);
        }
    });
    found.into_inner().unwrap()
}

/// What a run reached: statuses, refusals, crashes, and the like.
fn reached(record: &Record) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    for (_, _, change) in record.changes() {
        match change.after.as_deref() {
            Some(Item::Execution(execution)) => {
                reached.insert(format!("execution {} {}", execution.mode, execution.status));
                reached.insert(format!("{} {}", execution.kind, execution.trigger.kind));
            }
            Some(Item::StageExecution(stage)) => {
                reached.insert(format!("stage {}", stage.status));
                reached.extend(stage.last_retry.iter().map(|retry| format!("{} {}", retry.trigger, retry.mode)));
                let told = |(slot, state): (&ConditionSlot, &ConditionState)| format!("{slot} {}", state.status);
                reached.extend(stage.conditions.iter().map(told));
            }
            Some(Item::Action(action)) => {
                reached.insert(format!("action {}", action.status));
                reached.extend(action.error.iter().map(|error| format!("error {}", error.code)));
                reached.extend((action.drive > 1).then(|| "a second drive".to_owned()));
            }
            _ => {}
        }
    }
    for step in &record.steps {
        match step {
            Step::Answered(_, Err(Refused::By(refusal))) => {
                let told = format!("{refusal:?}");
                reached.insert(format!("refused {}", told.split('(').next().unwrap_or("")));
            }
            Step::Answered(_, Err(Refused::Unknown(_))) => drop(reached.insert("an unknown answer".into())),
            Step::Crash(lost) if *lost > 0 => drop(reached.insert("a crash with losses".into())),
            Step::Killed(actor) => drop(reached.insert(format!("the death of a {:.6}", format!("{actor:?}")))),
            Step::Clock(jump) if *jump < 0 => drop(reached.insert("a clock set back".into())),
            _ => {}
        }
    }
    if record.disturbances == 0 {
        reached.insert("a run without disturbance".into());
    }
    reached
}

/// What the default number of runs must reach, so that their silence means something.
const TO_REACH: &[&str] = &[
    "execution SUPERSEDED Succeeded",
    "execution SUPERSEDED Superseded",
    "execution SUPERSEDED Cancelled",
    "execution SUPERSEDED Stopped",
    "execution SUPERSEDED Failed",
    "execution QUEUED Succeeded",
    "execution QUEUED Failed",
    "execution PARALLEL Succeeded",
    "execution PARALLEL Failed",
    "ROLLBACK ManualRollback",
    "ROLLBACK AutomatedRollback",
    "AutomatedStageRetry FAILED_ACTIONS",
    "AutomatedStageRetry ALL_ACTIONS",
    "ManualStageRetry FAILED_ACTIONS",
    "ManualStageRetry ALL_ACTIONS",
    "stage Succeeded",
    "stage Skipped",
    "stage Stopping",
    "stage Stopped",
    "stage Cancelled",
    "stage Failed",
    "action Abandoned",
    "action Cancelled",
    "BEFORE_ENTRY Succeeded",
    "BEFORE_ENTRY Failed",
    "BEFORE_ENTRY Errored",
    "BEFORE_ENTRY Overridden",
    "ON_SUCCESS Succeeded",
    "ON_SUCCESS Failed",
    "ON_FAILURE Succeeded",
    "ON_FAILURE Failed",
    "error Timeout",
    "error Rejected",
    "error Interrupted",
    "error ConfigurationError",
    "error JobFailed",
    "a second drive",
    "refused ApprovalAlreadyCompleted",
    "refused InvalidApprovalToken",
    "refused StageNotRetryable",
    "refused NotLatestExecution",
    "refused UnableToRollback",
    "refused ExecutionOutdated",
    "refused ConditionNotOverridable",
    "refused DuplicatedStop",
    "refused NotStoppable",
    "refused PipelineNotFound",
    "refused ConcurrentExecutionsLimit",
    "an unknown answer",
    "a crash with losses",
    "a clock set back",
    "a run without disturbance",
];

#[test]
fn every_run_keeps_every_promise() {
    let runs = number("PENSTOCK_SIM_RUNS").unwrap_or(RUNS);
    let only = number("PENSTOCK_SIM_SEED");
    let mut seeds = only.map_or(0..runs, |seed| seed..seed + 1);
    let mut reached = BTreeSet::new();
    loop {
        let found = run_all(seeds.clone());
        if let Some((seed, told)) = found.failure {
            println!("{told}");
            panic!("the run of seed {seed} failed; PENSTOCK_SIM_SEED={seed} repeats it");
        }
        reached.extend(found.reached);
        let missing: Vec<_> = TO_REACH.iter().filter(|wanted| !reached.contains(**wanted)).collect();
        if only.is_some() || runs < RUNS || missing.is_empty() {
            return;
        }
        assert!(seeds.end < MOST_RUNS, "no run reached {missing:?}; they reached {reached:#?}");
        seeds = seeds.end..seeds.end + RUNS / 2;
    }
}

#[test]
fn a_seed_gives_the_same_run() {
    for seed in [3, 8] {
        let (one, other) = (sim::run(seed, Mutation::None), sim::run(seed, Mutation::None));
        assert_eq!(one.to_string(), other.to_string());
    }
}

/// Runs with a seeded fault until the checker sees it.
fn sees(checker: &str, mutation: Mutation) {
    let (_, check) = checkers::ALL.iter().find(|(name, _)| *name == checker).expect("a checker");
    let run = if checker == "fifty_at_most" { sim::rush } else { sim::run };
    let seen = (0..TRIES).find(|seed| !check(&run(*seed, mutation)).is_empty());
    println!("{checker}: {mutation:?} seen at {seen:?}");
    assert!(seen.is_some(), "{checker} did not see {mutation:?} in {TRIES} runs");
}

macro_rules! seeded {
    ($($checker:ident: $($mutation:expr),+;)+) => {
        $(#[test]
        fn $checker() {
            $(sees(stringify!($checker), $mutation);)+
        })+

        #[test]
        fn every_checker_was_shown_a_fault() {
            let shown = [$(stringify!($checker)),+];
            for (name, _) in checkers::ALL {
                assert!(shown.contains(name), "no fault is seeded for {name}");
            }
        }
    };
}

use Mutation as M;

seeded! {
    comes_to_rest: M::KeptRows;
    nothing_is_lost:        M::LostRow(|task| matches!(task, Task::Engine(Work::Advance(_)))),
        M::LostRow(|task| matches!(task, Task::Engine(Work::Admit(_))));
    is_driven: M::LostRow(|task| matches!(task, Task::Dispatch(_))), M::LostRow(|task| matches!(task, Task::Poll(_)));
    rows_are_consumed: M::LostRow(|task| matches!(task, Task::Engine(Work::Due(_))));
    rows_count_once: M::RowsConsumedTwice;
    is_cleaned_up: M::LostRow(|task| matches!(task, Task::Clean));
    one_in_a_stage: M::Altered(free_lanes);
    nobody_overtakes: M::Altered(forget_who_waits);
    superseded_by_newer: M::Altered(supersede_by_itself);
    fifty_at_most: M::Altered(forget_live);
    five_actions_at_most: M::Altered(forget_parallel);
    invariants_hold: M::Altered(failed_is_success), M::Unconditional(|_| true),
        M::Unconditional(|key| matches!(key, ItemKey::Lane(_)));
    terminal_is_terminal: M::Unconditional(|_| true),
        M::Unconditional(|key| matches!(key, ItemKey::Action(_)));
    retries_once: M::Altered(retry_forever);
    admission_lists_live: M::Altered(forget_live), M::Unconditional(|key| matches!(key, ItemKey::Admission));
    ends_once: M::Unconditional(|key| matches!(key, ItemKey::Action(_)));
    starts_once: M::UngrantedClaims, M::NoFlush, M::Unconditional(|key| matches!(key, ItemKey::Action(_)));
    results_count_once: M::StaleAttempts;
    approvals_count_once: M::AnyToken;
    runs_what_it_should: M::Altered(fixed_color);
    starts_are_current: M::Unchecked;
    old_starts_nothing: M::OldPipelines;
    deleted_starts_nothing: M::OldPipelines;
    rollback_runs_as_target: M::Altered(roll_back_without_variables);
    events_match_items: M::LostPublications, M::Altered(failed_is_success);
    publishes_everything: M::PublishedNever, M::PublishedTwice, M::NoFlush;
    order_is_legal: M::ReversedPublications;
    answers_hold: M::NoFlush;
    tokens_start_once: M::LostTokens;
}

fn forget_who_waits(_: &ItemKey, item: &mut Item) {
    if let Item::Lane(lane) = item
        && lane.waiting.len() > 1
    {
        lane.waiting.pop_first();
    }
}

fn free_lanes(_: &ItemKey, item: &mut Item) {
    if let Item::Lane(lane) = item {
        lane.state = engine::LaneState::Free;
    }
}

fn supersede_by_itself(_: &ItemKey, item: &mut Item) {
    if let Item::Execution(execution) = item
        && execution.status == ExecutionStatus::Superseded
    {
        execution.superseded_by = Some(execution.id);
    }
}

fn forget_live(_: &ItemKey, item: &mut Item) {
    if let Item::Admission(admission) = item {
        admission.live.clear();
    }
}

fn forget_parallel(_: &ItemKey, item: &mut Item) {
    if let Item::Execution(execution) = item
        && execution.mode == ExecutionMode::Parallel
    {
        execution.mode = ExecutionMode::Queued;
    }
}

fn failed_is_success(_: &ItemKey, item: &mut Item) {
    if let Item::StageExecution(stage) = item
        && stage.status == StageStatus::Failed
    {
        stage.status = StageStatus::Succeeded;
    }
}

fn retry_forever(_: &ItemKey, item: &mut Item) {
    if let Item::StageExecution(stage) = item
        && stage.last_retry.as_ref().is_some_and(|retry| retry.trigger == RetryTrigger::Automated)
    {
        stage.retries_left = u32::from(stage.attempt < 4);
    }
}

fn fixed_color(_: &ItemKey, item: &mut Item) {
    if let Item::StagePart(part) = item {
        let mut changed = model::Stage::clone(part);
        for action in &mut changed.actions {
            action.configuration.insert("Color".into(), "plum".into());
        }
        *item = Item::StagePart(std::sync::Arc::new(changed));
    }
}

fn roll_back_without_variables(_: &ItemKey, item: &mut Item) {
    if let Item::Execution(execution) = item
        && execution.kind == ExecutionType::Rollback
    {
        execution.variables.clear();
    }
}
