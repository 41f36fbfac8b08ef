//! Properties over random pipelines and random orders of whatever can happen.

use std::collections::BTreeMap;

use engine::{ActionKey, ActionReport, Command, Decision, Item, Outcome, What, Work};
use model::{ExecutionMode, ExecutionStatus, ExecutionType};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::FileFailurePersistence;

use crate::chaos::{Chaos, Step, start};
use crate::pipelines::pipeline;
use crate::world::{Task, World};

fn config(cases: u32) -> ProptestConfig {
    let persistence = FileFailurePersistence::Direct("tests/engine/regressions.txt");
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(cases);
    ProptestConfig { cases, failure_persistence: Some(Box::new(persistence)), ..ProptestConfig::default() }
}

/// Stages as `pipelines` writes them.
fn stages(failures: &'static [&'static str]) -> impl Strategy<Value = String> {
    let first = select(vec!["A(s)", "A(s,t)", "A(s) failure=RETRY_ALL"]);
    let actions = select(vec![
        "(x)",
        "(x,y)",
        "(x; y)",
        "(x,y; z)",
        "(ok?; x)",
        "(x,ok?=60)",
        "(a,b,c,d,e,f)",
        "(a,b,c,d,e,f,g; z)",
    ]);
    let before = select(vec!["", "", "", " before=FAIL:q", " before=FAIL:q,r", " before=SKIP:v"]);
    let success = select(vec!["", "", "", " success=FAIL:u", " success=ROLLBACK:u,w"]);
    let stage = (actions, before, success, select(failures)).prop_map(|(a, b, s, f)| format!("{a}{b}{s}{f}"));
    (first, vec(stage, 1..4)).prop_map(|(first, stages)| {
        let rest = stages.iter().zip('B'..).map(|(stage, name)| format!(" -> {name}{stage}"));
        rest.fold(first.to_owned(), |text, stage| text + &stage)
    })
}

const FAILURES: &[&str] = &[
    "",
    "",
    " failure=RETRY_ALL",
    " failure=RETRY_FAILED",
    " failure=ROLLBACK",
    " failure=ROLLBACK:f",
    " failure=FAIL:f,g",
];

fn modes() -> impl Strategy<Value = ExecutionMode> {
    select(vec![ExecutionMode::Superseded, ExecutionMode::Queued, ExecutionMode::Parallel])
}

fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    vec(any::<Step>(), 1..most)
}

proptest! {
    #![proptest_config(config(200))]

    /// Never two executions in a stage unless PARALLEL; no lost execution; every started action ends exactly once; statuses are
    /// folds; terminal is terminal except by retry or override; what is delivered twice changes nothing; explain is never
    /// empty for a live execution and never speaks of a finished one; three rounds of loading suffice, and more than was
    /// asked for never changes a decision.
    #[test]
    fn whatever_happens_everything_holds_and_comes_to_its_end(text in stages(FAILURES), mode in modes(), steps in steps(160)) {
        let mut chaos = Chaos::new(pipeline(&text, mode));
        chaos.world.twice = steps.len().is_multiple_of(4);
        for step in steps {
            chaos.step(step);
        }
        chaos.drain();
    }

    /// Deliveries of independent actions in any order leave every final status the same.
    #[test]
    fn the_order_of_independent_deliveries_changes_no_final_status(
        text in stages(FAILURES),
        queued in any::<bool>(),
        outcomes in any::<u64>(),
        picks in vec(any::<u16>(), 400),
    ) {
        let (mode, starts) = if queued { (ExecutionMode::Queued, 3) } else { (ExecutionMode::Superseded, 1) };
        let world = World::with(pipeline(&text, mode));
        let straight = finals(world.clone(), starts, outcomes, &[]);
        let shuffled = finals(world, starts, outcomes, &picks);
        prop_assert_eq!(straight, shuffled);
    }
}

/// Runs some executions to their end, with results that depend on the action and not on when it ends.
fn finals(mut world: World, starts: usize, outcomes: u64, picks: &[u16]) -> BTreeMap<String, String> {
    world.twice = false;
    for _ in 0..starts {
        world.happens(What::Command(Command::Start(start())));
    }
    let mut picks = picks.iter().copied();
    for _ in 0..10_000 {
        let pick = usize::from(picks.next().unwrap_or(0));
        let (rows, claimed) = (world.runnable(), world.claimed());
        let place = pick % (rows.len() + claimed.len()).max(1);
        if let Some(row) = rows.get(place) {
            world.run(*row);
        } else if let Some(key) = claimed.get(place - rows.len()) {
            let outcome = outcome(&world, key, outcomes);
            let report = ActionReport::Ended(Box::new(outcome));
            assert!(matches!(world.happens(What::Action(key.clone(), report)), Decision::Changed(_)));
        } else {
            return statuses(&world);
        }
    }
    panic!("does not come to an end");
}

/// An action's result, by its name and place.
fn outcome(world: &World, key: &ActionKey, outcomes: u64) -> Outcome {
    let name = format!("{} {} {:?} {} {}", label(world, key.execution), key.stage, key.slot, key.name, key.attempt);
    let hash = name.bytes().fold(outcomes | 1, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    if (hash >> 32).is_multiple_of(5) { Outcome::failed("JobFailed", "it broke") } else { Outcome::default() }
}

/// An execution by what began it, for ids and ordinals of rollbacks depend on the order.
fn label(world: &World, id: model::ExecutionId) -> String {
    let execution = world.execution(id);
    match execution.kind {
        ExecutionType::Standard => format!("#{}", execution.ordinal),
        ExecutionType::Rollback => {
            let failed = execution.trigger.detail.parse().expect("an automatic rollback names who failed");
            format!("rollback of {} in {}", label(world, failed), execution.plan[0].stage)
        }
    }
}

fn statuses(world: &World) -> BTreeMap<String, String> {
    let status = |item: &Item| match item {
        Item::Execution(execution) => {
            Some((label(world, execution.id), format!("{} in attempt {}", execution.status, execution.attempt)))
        }
        Item::StageExecution(stage) => {
            let conditions: Vec<_> = stage.conditions.iter().map(|(slot, state)| (slot, state.status)).collect();
            let name = format!("{} {}", label(world, stage.execution), stage.stage);
            Some((name, format!("{} {:?} {conditions:?}", stage.status, stage.phase)))
        }
        Item::Action(action) => {
            let key = &action.key;
            let name = format!("{} {} {:?} {}", label(world, key.execution), key.stage, key.slot, key.name);
            Some((format!("{name} {}", key.attempt), action.status.to_string()))
        }
        _ => None,
    };
    world.items.values().filter_map(status).collect()
}

/// DESIGN: "`prefetch` … never needed": a decision asks for what was not prefetched, and for no more than that.
#[test]
fn prefetch_is_what_a_decision_asks_for_first() {
    let mut world = World::with(pipeline("A(s) -> B(x)", ExecutionMode::Queued));
    world.happens(What::Command(Command::Start(start())));
    let key = world.actions().next().map(|action| action.key.clone()).expect("the source");
    for what in [
        What::Command(Command::Start(start())),
        What::Command(Command::Delete),
        What::Work(Work::Advance(key.clone())),
        What::Work(Work::Admit("B".into())),
        What::Work(Work::Settle(key.execution)),
        What::Action(key, ActionReport::Ended(Box::default())),
    ] {
        let asked = engine::decide(&engine::Slice::default(), &world.event(what.clone()));
        assert_eq!(asked, Err(engine::Missing(engine::prefetch(&what))));
    }
    assert!(world.rows.iter().any(|row| matches!(row.task, Task::Dispatch(_))));
    assert!(world.executions().all(|execution| execution.status == ExecutionStatus::InProgress));
}
