//! What the last release stored and sent, replayed against these functions: an upgrade finds hand-offs on the bus, drivers
//! that run, and items in the table. `frozen/<release>/` is never changed; a release adds its own folder by
//! `PENSTOCK_FREEZE=v0.2 cargo test -p penstock-functions --test functions freeze -- --ignored` and a copy of `events/`.

use std::path::{Path, PathBuf};

use functions::handlers::advance_execution::AdvanceExecution;
use functions::{Handler, Invocation};
use model::ExecutionStatus;
use serde_json::{Value, json};

use crate::cloud::{Cloud, Weather};
use crate::faults::{builds, declaration};

/// After how many messages and steps of drivers a stack is frozen.
const MOMENTS: [usize; 4] = [0, 1, 4, 7];

fn folder(release: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/functions/frozen").join(release)
}

/// The stacks that a release froze.
fn frozen(release: &str) -> Vec<Value> {
    let read = |moment: usize| {
        let path = folder(release).join(format!("stack-{moment}.json"));
        serde_json::from_slice(&std::fs::read(path).expect("a frozen stack")).expect("JSON")
    };
    MOMENTS.into_iter().map(read).collect()
}

#[tokio::test]
async fn what_the_last_release_left_is_taken_to_its_end() {
    let (mut handed, mut driven) = (0, 0);
    for (seed, frozen) in (50..).zip(frozen("v0.1")) {
        let cloud = Cloud::thawed(seed, &frozen).await;
        // Each hand-off by itself: the sweep would send its row again, and hide that it is not understood.
        for event in cloud.take_handoffs() {
            assert_ne!(event["detail"]["task"], "poll");
            let advance = AdvanceExecution { sender: cloud.sender() };
            let answer = advance.handle(event, &Invocation::default()).await.expect("handled");
            assert_eq!(answer["consumed"], true, "{answer}");
            handed += 1;
        }
        for driver in frozen["drivers"].as_array().expect("drivers") {
            let event = json!({ "operation": "start", "input": driver["input"], "task_token": "" });
            cloud.dispatch().handle(event, &Invocation::default()).await.expect("driven");
            let input = serde_json::from_value(driver["input"].clone()).expect("a driver's input");
            let running = cloud.sender().control.orphan(&input).await.expect("read");
            assert!(running.is_none_or(|action| action.drive > 0), "it was not claimed: {input:?}");
            driven += 1;
        }
        cloud.settle().await;
        let id = frozen["execution"].as_str().expect("an execution").parse().expect("an id");
        assert_eq!(cloud.status("shop", id).await, ExecutionStatus::Succeeded);
    }
    assert!(handed > 0 && driven > 0, "{handed} hand-offs and {driven} drivers are too few to say anything");
}

#[tokio::test]
#[ignore = "a chore of releases: it writes what the next ones must understand"]
async fn freeze() {
    let release = std::env::var("PENSTOCK_FREEZE").expect("PENSTOCK_FREEZE, as v0.2");
    for (seed, moment) in (60..).zip(MOMENTS) {
        let cloud = Cloud::new(seed, Weather::default());
        cloud.create(&declaration(&builds())).await;
        let id = cloud.start("shop").await;
        cloud.steps(moment).await;
        let mut frozen = cloud.freeze();
        frozen["execution"] = json!(id);
        std::fs::create_dir_all(folder(&release)).expect("a folder");
        let text = serde_json::to_string_pretty(&frozen).expect("JSON");
        std::fs::write(folder(&release).join(format!("stack-{moment}.json")), text + "\n").expect("written");
    }
}
