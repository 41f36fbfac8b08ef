//! Artifacts expire once nobody can need them any more, and no sooner; a step at a time.

use std::collections::BTreeSet;

use functions::{Handler, Invocation};
use model::{ExecutionId, ExecutionStatus, StageName};
use serde_json::{Value, json};

use crate::cloud::{Cloud, Weather};

/// A source, and one stage with an action of this name.
fn declaration(name: &str, action: &str) -> Value {
    let source = json!({
        "name": "Fetch-now", "outputArtifacts": [{ "name": "App" }],
        "actionTypeId": { "category": "Source", "owner": "AWS", "provider": "S3", "version": "1" },
        "configuration": { "S3Bucket": "b", "S3ObjectKey": "k", "PollForSourceChanges": "false" },
    });
    let ship = json!({
        "name": action, "inputArtifacts": [{ "name": "App" }],
        "actionTypeId": { "category": "Invoke", "owner": "AWS", "provider": "Lambda", "version": "1" },
        "configuration": { "FunctionName": "f" },
    });
    json!({ "pipeline": {
        "name": name, "roleArn": "arn:aws:iam::123456789012:role/penstock/p", "pipelineType": "V2",
        "executionMode": "QUEUED", "artifactStore": { "type": "S3", "location": "artifacts" },
        "stages": [{ "name": "Source", "actions": [source] }, { "name": "Ship", "actions": [ship] }],
    }})
}

/// Executions one after the other.
async fn run(cloud: &Cloud, pipeline: &str, times: usize) -> Vec<ExecutionId> {
    let mut executions = Vec::new();
    for _ in 0..times {
        executions.push(cloud.start(pipeline).await);
        cloud.settle().await;
    }
    executions
}

/// The keys of an execution's artifacts.
async fn artifacts(cloud: &Cloud, pipeline: &str, execution: ExecutionId) -> BTreeSet<String> {
    let control = cloud.sender().control;
    let known = control.pipeline_ref(&pipeline.into()).await.expect("known");
    let actions = control.actions_of(known.id, execution).await.expect("read");
    actions.into_iter().flat_map(|action| action.outputs).map(|output| output.key).collect()
}

async fn all(cloud: &Cloud, pipeline: &str, executions: &[ExecutionId]) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for execution in executions {
        keys.extend(artifacts(cloud, pipeline, *execution).await);
    }
    keys
}

/// A day's round, by the sweep's minutes; how many steps it took.
async fn round(cloud: &Cloud) -> usize {
    cloud.clock.advance_millis(24 * 3_600_000);
    let control = cloud.sender().control;
    let marks = cloud.world.clone();
    for steps in 1..100 {
        if control.expire(&marks).await.expect("a step").done {
            return steps;
        }
    }
    panic!("the round does not end");
}

#[tokio::test]
async fn what_is_none_of_the_last_ten_successes_of_a_stage_expires() {
    let cloud = Cloud::new(31, Weather::default());
    cloud.create(&declaration("shop", "Ship-now")).await;
    let ran = run(&cloud, "shop", 10).await;
    round(&cloud).await;
    assert_eq!(cloud.expiring(), (BTreeSet::new(), 0), "ten successes are kept");
    let more = run(&cloud, "shop", 3).await;
    round(&cloud).await;
    let wanted = all(&cloud, "shop", &ran[..3]).await;
    assert_eq!((wanted.len(), cloud.expiring()), (3, (wanted, 3)));
    // Nothing is done twice.
    round(&cloud).await;
    assert_eq!(cloud.expiring().1, 3);
    assert!(all(&cloud, "shop", &more).await.is_disjoint(&cloud.expiring().0));
}

#[tokio::test]
async fn what_failed_long_ago_expires_and_what_can_be_retried_does_not() {
    let cloud = Cloud::new(32, Weather::default());
    cloud.create(&declaration("shop", "Ship-bad")).await;
    let ran = run(&cloud, "shop", 12).await;
    round(&cloud).await;
    // All of them succeeded in the source stage: its ten last, and the ten newest, are the same.
    assert_eq!(cloud.expiring().0, all(&cloud, "shop", &ran[..2]).await);
}

#[tokio::test]
async fn what_a_stage_still_holds_is_kept_however_old_and_goes_once_it_is_left() {
    let cloud = Cloud::new(33, Weather::default());
    cloud.create(&declaration("shop", "Ship-now")).await;
    let first = run(&cloud, "shop", 1).await[0];
    let control = cloud.sender().control;
    let hold = |enabled: bool| engine::SetTransition {
        stage: StageName::from("Ship"),
        side: engine::TransitionSide::Inbound,
        disable: (!enabled).then(|| "a freeze".to_owned()),
        by: "ann".into(),
    };
    control.set_stage_transition(&"shop".into(), hold(false)).await.expect("disabled");
    // Nobody ships any more, but for the first: eleven wait before the stage.
    let waiting = run(&cloud, "shop", 11).await;
    round(&cloud).await;
    assert_eq!(cloud.expiring(), (BTreeSet::new(), 0), "the first is a success of Ship, the others run");
    control.set_stage_transition(&"shop".into(), hold(true)).await.expect("enabled");
    cloud.sender().flush().await.expect("sent");
    cloud.settle().await;
    assert_eq!(cloud.status("shop", waiting[10]).await, ExecutionStatus::Succeeded);
    round(&cloud).await;
    assert_eq!(cloud.expiring().0, all(&cloud, "shop", &[first, waiting[0]]).await);
}

#[tokio::test]
async fn what_a_late_rollback_runs_with_is_unmarked() {
    let cloud = Cloud::new(34, Weather::default());
    cloud.create(&declaration("shop", "Ship-now")).await;
    let ran = run(&cloud, "shop", 12).await;
    round(&cloud).await;
    assert_eq!(cloud.expiring().0, all(&cloud, "shop", &ran[..2]).await);
    let sender = cloud.sender();
    let rollback = engine::Rollback { stage: "Ship".into(), target: ran[0], by: "ann".into() };
    let back = sender.control.rollback_stage(&"shop".into(), rollback).await.expect("rolled back");
    sender.flush().await.expect("sent");
    cloud.settle().await;
    assert_eq!(cloud.status("shop", back).await, ExecutionStatus::Succeeded);
    round(&cloud).await;
    assert_eq!(cloud.expiring().0, all(&cloud, "shop", &[ran[1]]).await, "the first is in use again");
}

#[tokio::test]
async fn the_artifacts_of_a_deleted_pipeline_expire() {
    let cloud = Cloud::new(35, Weather::default());
    for name in ["shop", "stays"] {
        cloud.create(&declaration(name, "Ship-now")).await;
    }
    let ran = run(&cloud, "shop", 3).await;
    run(&cloud, "stays", 3).await;
    let wanted = all(&cloud, "shop", &ran).await;
    let sender = cloud.sender();
    sender.control.delete_pipeline(&"shop".into()).await.expect("deleted");
    sender.flush().await.expect("sent");
    cloud.settle().await;
    round(&cloud).await;
    assert_eq!((wanted.len(), cloud.expiring()), (3, (wanted, 3)));
    let left = cloud.table.items().into_iter().filter(|(key, _)| key.pk.ends_with("/expiry")).count();
    assert_eq!(left, 1, "only how far the round came");
}

#[tokio::test]
async fn a_round_is_done_in_bounded_steps_and_once_a_day() {
    let cloud = Cloud::new(36, Weather::default());
    for number in 0..=control::expiring::PIPELINES_A_STEP {
        cloud.create(&declaration(&format!("shop-{number:03}"), "Ship-now")).await;
    }
    assert_eq!(round(&cloud).await, 2);
    // The sweep goes on with it in some of its minutes, and reads one item once it is done.
    let sweep = cloud.sweep();
    for _ in 0..5 {
        cloud.clock.advance_millis(60_000);
        let answer = sweep.handle(json!({}), &Invocation::default()).await.expect("swept");
        assert_eq!((&answer["marked"], &answer["forgotten"]), (&json!(0), &json!(0)));
    }
}
