//! The drivers' state machine against the function that it invokes.

use std::collections::BTreeSet;

use functions::errors::NAMES;
use serde_json::Value;

fn machine() -> Value {
    let text = include_str!("../../../../infra/action-execution.asl.json");
    serde_json::from_str(text).expect("the state machine is JSON")
}

fn states() -> Vec<(String, Value)> {
    let machine = machine();
    let states = machine["States"].as_object().expect("states");
    states.iter().map(|(name, state)| (name.clone(), state.clone())).collect()
}

fn names(of: &Value) -> BTreeSet<String> {
    let entries = of.as_array().into_iter().flatten();
    let lists = entries.flat_map(|entry| entry["ErrorEquals"].as_array().cloned().unwrap_or_default());
    lists.map(|name| name.as_str().expect("a name").to_owned()).collect()
}

#[test]
fn errors_that_another_try_may_mend_are_retried_and_no_others() {
    let ours: BTreeSet<String> = NAMES.iter().filter(|(_, again)| *again).map(|(name, _)| (*name).to_owned()).collect();
    for (name, state) in
        states().iter().filter(|(_, state)| state["Resource"].as_str().is_some_and(|r| r.ends_with("TaskToken")))
    {
        let retried = names(&state["Retry"]);
        let known: BTreeSet<String> = retried.iter().filter(|name| name.starts_with("Penstock.")).cloned().collect();
        assert_eq!(known, ours, "{name}");
    }
}

#[test]
fn every_task_ends_in_a_recorded_result() {
    let all = states();
    for (name, state) in all.iter().filter(|(_, state)| state["Type"] == "Task") {
        assert!(!names(&state["Retry"]).is_empty(), "{name} has no Retry");
        assert!(names(&state["Catch"]).contains("States.ALL"), "{name} does not catch everything");
    }
    let targets: BTreeSet<&str> = all
        .iter()
        .flat_map(|(_, state)| {
            let caught = state["Catch"].as_array().into_iter().flatten().filter_map(|entry| entry["Next"].as_str());
            caught.chain(state["Next"].as_str()).collect::<Vec<_>>()
        })
        .chain([machine()["StartAt"].as_str().map(|_| "Start").expect("a start")])
        .collect();
    let known: BTreeSet<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(targets, known, "a state is never reached, or one that is reached is not there");
}

#[test]
fn a_driver_asks_later_and_later_up_to_a_quarter_of_an_hour() {
    let mut waits = Vec::new();
    let mut at = "Start".to_owned();
    let all: std::collections::BTreeMap<_, _> = states().into_iter().collect();
    loop {
        let state = &all[&at];
        waits.push(state["TimeoutSeconds"].as_u64().expect("a timeout"));
        let caught = state["Catch"].as_array().expect("catches").iter();
        let next = caught.clone().find(|entry| entry["ErrorEquals"][0] == "States.Timeout").expect("a timeout's way");
        let next = next["Next"].as_str().expect("a state").to_owned();
        if next == at {
            break;
        }
        at = next;
    }
    assert_eq!(waits, [30, 60, 120, 240, 480, 900]);
}

#[test]
fn a_driver_invokes_with_what_the_function_takes() {
    for (name, state) in states().iter().filter(|(_, state)| state["Type"] == "Task") {
        let payload = state["Parameters"]["Payload"].as_object().expect("a payload");
        let operation = payload["operation"].as_str().expect("an operation");
        let wanted: &[&str] = match operation {
            "start" | "poll" => &["input.$", "operation", "task_token.$"],
            "give_up" => &["input.$", "operation"],
            other => panic!("{name} asks for {other}"),
        };
        let given: BTreeSet<&str> = payload.keys().map(String::as_str).collect();
        assert_eq!(given, wanted.iter().copied().collect(), "{name}");
    }
}
