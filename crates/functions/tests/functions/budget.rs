//! What an action costs, counted: the same in a pipeline of ten actions and of a thousand.

use model::ExecutionStatus;
use serde_json::{Value, json};

use crate::cloud::{Cloud, Counts, Weather};

/// A pipeline of stages with actions one after the other, none of which reads an artifact or a variable.
pub fn declaration(stages: u32, actions: u32) -> Value {
    let build = |order: u32| {
        json!({
            "name": format!("B{order}-told"), "runOrder": order,
            "actionTypeId": { "category": "Invoke", "owner": "AWS", "provider": "Lambda", "version": "1" },
            "configuration": { "FunctionName": "f" },
        })
    };
    let source = json!({
        "name": "Fetch-now", "outputArtifacts": [{ "name": "App" }],
        "actionTypeId": { "category": "Source", "owner": "AWS", "provider": "S3", "version": "1" },
        "configuration": { "S3Bucket": "b", "S3ObjectKey": "k", "PollForSourceChanges": "false" },
    });
    let mut all = vec![json!({ "name": "Source", "actions": [source] })];
    all.extend(
        (0..stages).map(
            |stage| json!({ "name": format!("S{stage}"), "actions": (1..=actions).map(build).collect::<Vec<_>>() }),
        ),
    );
    json!({ "pipeline": {
        "name": "shop", "roleArn": "arn:aws:iam::123456789012:role/penstock/p", "pipelineType": "V2",
        "executionMode": "QUEUED", "artifactStore": { "type": "S3", "location": "artifacts" }, "stages": all,
    }})
}

/// Everything that one whole execution asked for.
pub async fn counted(stages: u32, actions: u32) -> Counts {
    let mut cloud = Cloud::new(11, Weather::default());
    cloud.create(&declaration(stages, actions)).await;
    cloud.count();
    let id = cloud.start("shop").await;
    cloud.deliver().await;
    let counts = cloud.counts();
    assert_eq!(cloud.status("shop", id).await, ExecutionStatus::Succeeded);
    counts
}

/// What the actions between two sizes cost each, in thousandths.
fn each(small: Counts, large: Counts, more: u64) -> [u64; 6] {
    let per = |of: fn(&Counts) -> u64| (of(&large) - of(&small)) * 1000 / more;
    [
        per(|counts| counts.transactions),
        per(|counts| counts.removals),
        per(|counts| counts.reads),
        per(|counts| counts.puts),
        per(|counts| counts.drivers),
        per(|counts| counts.invocations),
    ]
}

#[tokio::test]
async fn an_action_costs_the_same_in_a_small_and_in_a_large_pipeline() {
    let (ten, twenty) = (counted(1, 10).await, counted(1, 20).await);
    let small = each(ten, twenty, 10);
    // Whole stages more, so that those are in it too.
    let large = each(counted(9, 50).await, counted(19, 50).await, 500);
    println!("per action, in thousandths: transactions, removals, reads, PutEvents, StartExecution, invocations");
    println!("of 10..20 actions {small:?}, of 450..950 actions {large:?}");
    let most = [4_000, 3_000, 8_000, 3_000, 1_000, 5_000];
    for (index, most) in most.into_iter().enumerate() {
        assert!(small[index] <= most, "{small:?} is over {most} at {index}");
        // A stage begins and ends once in fifty actions.
        assert!(large[index] <= small[index] + 200, "{large:?} is more than {small:?}");
    }
}
