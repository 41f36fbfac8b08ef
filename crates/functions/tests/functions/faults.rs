//! What a crash, a duplicate, a silent provider or a forged message may do: cost time, never more.

use std::collections::BTreeMap;

use control::ports::{Clock, Condition, Key, Table, Write};
use control::rows::{PipelineRef, Task, WorkRow};
use control::stored::encode;
use functions::{Handler, Invocation};
use model::ExecutionStatus;
use serde_json::{Value, json};

use crate::cloud::{Cloud, Weather, first_input};

fn action(name: &str, order: u32) -> Value {
    let id = json!({ "category": "Build", "owner": "AWS", "provider": "CodeBuild", "version": "1" });
    json!({
        "name": name, "actionTypeId": id, "runOrder": order, "configuration": { "ProjectName": "p" },
        "inputArtifacts": [{ "name": "App" }], "outputArtifacts": [],
    })
}

pub fn declaration(builds: &[Value]) -> Value {
    let source = json!({
        "name": "Fetch-now", "outputArtifacts": [{ "name": "App" }],
        "actionTypeId": { "category": "Source", "owner": "AWS", "provider": "S3", "version": "1" },
        "configuration": { "S3Bucket": "b", "S3ObjectKey": "k", "PollForSourceChanges": "false" },
    });
    json!({ "pipeline": {
        "name": "shop", "roleArn": "arn:aws:iam::123456789012:role/penstock/p", "pipelineType": "V2",
        "executionMode": "QUEUED", "artifactStore": { "type": "S3", "location": "artifacts" },
        "stages": [{ "name": "Source", "actions": [source] }, { "name": "Build", "actions": builds }],
    }})
}

pub fn builds() -> Vec<Value> {
    vec![action("One-slow", 1), action("Two-slow", 1), action("Three-now", 1), action("Four-slow", 2)]
}

/// How often each state change was published, by its event's id.
fn published(cloud: &Cloud) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for event in cloud.public() {
        *times.entry(event["id"].as_str().expect("an id").to_owned()).or_default() += 1;
    }
    times
}

#[tokio::test]
async fn without_faults_everything_goes_out_once() {
    let cloud = Cloud::new(1, Weather::default());
    cloud.create(&declaration(&builds())).await;
    let id = cloud.start("shop").await;
    cloud.settle().await;
    assert_eq!(cloud.status("shop", id).await, ExecutionStatus::Succeeded);
    let times = published(&cloud);
    // Start and end of the pipeline, two stages and five actions.
    assert_eq!(times.len(), 16, "{:?}", cloud.public());
    assert!(times.values().all(|times| *times == 1), "{times:?}");
    assert_eq!(cloud.drivers_started(), 5);
    assert_eq!(cloud.most_starts(), 1);
}

#[tokio::test]
async fn whatever_dies_on_the_way_everything_is_done_and_told() {
    for seed in 0..60 {
        let weather = Weather { bus: 20, drivers: 20, twice: 20, silence: 30, killed: 0 };
        let cloud = Cloud::new(seed, weather);
        cloud.create(&declaration(&builds())).await;
        let first = cloud.start("shop").await;
        let second = cloud.start("shop").await;
        cloud.settle().await;
        for id in [first, second] {
            assert_eq!(cloud.status("shop", id).await, ExecutionStatus::Succeeded, "seed {seed}");
        }
        assert_eq!(published(&cloud).len(), 32, "seed {seed}: a state change was lost");
        assert_eq!(cloud.most_starts(), 1, "seed {seed}: an action was started twice");
        assert_eq!(cloud.rows_left().await, 0, "seed {seed}");
    }
}

#[tokio::test]
async fn a_function_that_dies_between_start_and_commit_is_followed_under_the_next_drive() {
    for seed in 0..40 {
        let cloud = Cloud::new(seed, Weather { killed: 40, ..Weather::default() });
        cloud.create(&declaration(&builds())).await;
        let id = cloud.start("shop").await;
        cloud.settle().await;
        assert_eq!(cloud.status("shop", id).await, ExecutionStatus::Succeeded, "seed {seed}");
        assert_eq!(cloud.most_starts(), 1, "seed {seed}: started twice under the first drive");
    }
}

#[tokio::test]
async fn a_failed_action_fails_its_execution() {
    let cloud = Cloud::new(3, Weather::default());
    cloud.create(&declaration(&[action("One-bad", 1), action("Two-slow", 1)])).await;
    let id = cloud.start("shop").await;
    cloud.settle().await;
    assert_eq!(cloud.status("shop", id).await, ExecutionStatus::Failed);
}

#[tokio::test]
async fn the_relay_sends_what_a_dead_sender_left() {
    let cloud = Cloud::new(4, Weather { bus: 100, drivers: 100, ..Weather::default() });
    cloud.create(&declaration(&builds())).await;
    let id = cloud.start("shop").await;
    assert_eq!(cloud.rows_left().await, 2, "a work row and a publication");
    // The sky clears; nothing but the stream knows of the rows.
    cloud.clear();
    cloud.relay_everything().await;
    assert_eq!(cloud.rows_left().await, 2, "rows that may still be on their way are left alone");
    cloud.clock.advance_millis(6_000);
    let answer = cloud.relay_everything().await;
    assert_eq!(answer, json!({ "batchItemFailures": [] }));
    cloud.settle().await;
    assert_eq!(cloud.status("shop", id).await, ExecutionStatus::Succeeded);
    assert_eq!(published(&cloud).len(), 16);
}

#[tokio::test]
async fn a_batch_is_read_again_from_the_record_that_failed() {
    let cloud = Cloud::new(5, Weather { bus: 100, drivers: 100, ..Weather::default() });
    cloud.create(&declaration(&builds())).await;
    cloud.start("shop").await;
    cloud.clock.advance_millis(6_000);
    assert_eq!(cloud.relay_everything().await["batchItemFailures"][0]["itemIdentifier"], "1");
}

#[tokio::test]
async fn forged_messages_change_nothing() {
    let cloud = Cloud::new(6, Weather::default());
    cloud.create(&declaration(&[action("One-slow", 1)])).await;
    let id = cloud.start("shop").await;
    let before = cloud.table.commits();
    let advance = functions::handlers::advance_execution::AdvanceExecution { sender: cloud.sender() };
    let forged = |row: &str| {
        let detail = json!({ "v": 1, "work_row_id": row, "task": "engine" });
        json!({ "detail-type": "Penstock Work Row", "source": "penstock.codepipeline", "detail": detail })
    };
    for row in ["", "x", "0000000000000000#00000000-0000-0000-0000-000000000000", "../p#y"] {
        let answer = advance.handle(forged(row), &Invocation::default()).await.expect("harmless");
        assert_eq!(answer, json!({ "consumed": false }));
    }
    let build = json!({
        "source": "aws.codebuild", "detail-type": "CodeBuild Build State Change",
        "detail": { "build-id": "nobody:knows", "build-status": "SUCCEEDED" },
    });
    let answer = cloud.dispatch().handle(build, &Invocation::default()).await.expect("harmless");
    assert_eq!(answer["completed"], false);
    assert_eq!(cloud.table.commits(), before, "a forged message wrote something");
    cloud.settle().await;
    assert_eq!(cloud.status("shop", id).await, ExecutionStatus::Succeeded);
}

#[tokio::test]
async fn a_driver_for_another_action_execution_does_nothing() {
    let cloud = Cloud::new(7, Weather::default());
    cloud.create(&declaration(&[action("One-slow", 1)])).await;
    cloud.start("shop").await;
    cloud.step_until_a_driver().await;
    let mut input = first_input(&cloud);
    input.action_execution_id = "00000000-0000-0000-0000-000000000001".parse().expect("an id");
    let before = cloud.table.commits();
    let event = json!({ "operation": "start", "input": input, "task_token": "" });
    let answer = cloud.dispatch().handle(event, &Invocation::default()).await.expect("harmless");
    assert_eq!((answer["driven"].as_str(), cloud.table.commits()), (Some("Done"), before));
}

#[tokio::test]
async fn what_a_newer_penstock_wrote_is_left_to_it() {
    let cloud = Cloud::new(8, Weather::default());
    let advance = functions::handlers::advance_execution::AdvanceExecution { sender: cloud.sender() };
    let event = json!({ "detail-type": "Penstock Work Row", "detail": { "v": 99, "work_row_id": "x" } });
    let error = advance.handle(event, &Invocation::default()).await.expect_err("newer");
    assert_eq!(error.name(), "Penstock.Newer");
}

#[tokio::test]
async fn a_driver_that_died_is_replaced_once_however_often_that_is_told() {
    let cloud = Cloud::new(9, Weather { silence: 100, ..Weather::default() });
    cloud.create(&declaration(&[action("One-slow", 1)])).await;
    let id = cloud.start("shop").await;
    cloud.step_until_a_driver().await;
    let input = first_input(&cloud);
    let death = json!({
        "source": "aws.states", "detail-type": "Step Functions Execution Status Change",
        "detail": {
            "stateMachineArn": crate::cloud::MACHINE, "status": "ABORTED",
            "input": serde_json::to_string(&input).expect("json"),
        },
    });
    for _ in 0..3 {
        let answer = cloud.dispatch().handle(death.clone(), &Invocation::default()).await.expect("restarted");
        assert_eq!(answer["restarted"], 2);
    }
    assert_eq!(cloud.drivers_started(), 2);
    cloud.settle().await;
    assert_eq!(cloud.status("shop", id).await, ExecutionStatus::Succeeded);
}

#[tokio::test]
async fn a_row_that_nobody_consumes_is_parked_and_comes_back_by_hand() {
    let cloud = Cloud::new(10, Weather::default());
    cloud.create(&declaration(&[action("One-now", 1)])).await;
    cloud.lose_handoffs(true);
    let id = cloud.start("shop").await;
    cloud.deliver().await;
    let sweep = || cloud.sweep();
    let mut parked = 0;
    for _ in 0..40 {
        cloud.clock.advance_millis(3 * 60 * 60_000);
        let answer = sweep().handle(json!({}), &Invocation::default()).await.expect("swept");
        parked += answer["parked"].as_u64().expect("a count");
    }
    assert_eq!((parked, cloud.rows_left().await), (1, 0));
    cloud.lose_handoffs(false);
    let answer = sweep().handle(json!({ "redrive": true }), &Invocation::default()).await.expect("redriven");
    assert_eq!(answer["redriven"], 1);
    cloud.settle().await;
    assert_eq!(cloud.status("shop", id).await, ExecutionStatus::Succeeded);
}

/// The age rises from one sweep to the next while nothing gets through, also between the turns of a row that is sent later
/// and later; a deadline that is not reached has no age.
#[tokio::test]
async fn the_age_of_what_is_left_rises_until_it_gets_through() {
    let cloud = Cloud::new(17, Weather::default());
    cloud.create(&declaration(&[action("One-now", 1)])).await;
    cloud.lose_handoffs(true);
    cloud.start("shop").await;
    cloud.deliver().await;
    let sweep = async || {
        cloud.clock.advance_millis(60_000);
        let answer = cloud.sweep().handle(json!({}), &Invocation::default()).await.expect("swept");
        answer["oldestMillis"].as_u64().expect("a number")
    };
    assert_eq!(sweep().await, 0, "it is sent again for the first time");
    let mut ages = vec![0];
    for _ in 0..15 {
        ages.push(sweep().await);
    }
    assert!(ages.is_sorted(), "{ages:?}");
    assert!(ages.iter().filter(|age| **age > 300_000).count() >= 8, "{ages:?}");
    cloud.lose_handoffs(false);
    cloud.settle().await;
    assert_eq!(sweep().await, 0);
}

#[tokio::test]
async fn all_parked_rows_come_back_by_hand() {
    let cloud = Cloud::new(18, Weather::default());
    let place = cloud.sender().control.place().clone();
    for n in 0..250 {
        let row = WorkRow {
            id: format!("00000000-0000-0000-0000-{n:012}").parse().expect("an id"),
            region: place.region.clone(),
            pipeline: PipelineRef::none(),
            due: cloud.clock.now(),
            task: Task::Clean,
            tries: 11,
        };
        let key = Key { pk: place.parked(), sk: row.key(&place).sk };
        let put = Write::Put { key, revision: 1, body: encode(&row).expect("JSON"), condition: Condition::Absent };
        cloud.table.transact(&row.id.to_string(), &[put]).await.expect("written");
    }
    let answer = cloud.sweep().handle(json!({ "redrive": true }), &Invocation::default()).await.expect("redriven");
    assert_eq!(answer, json!({ "redriven": 250, "more": false }));
    assert!(!cloud.table.items().iter().any(|(key, _)| key.pk == place.parked()));
}
