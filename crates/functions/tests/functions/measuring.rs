//! Metrics of what was committed, as lines of a log.

use functions::measuring::lines;
use serde_json::{Value, json};

use crate::cloud::{Cloud, Weather};

#[tokio::test]
async fn what_a_commit_changes_is_measured_by_its_publications() {
    let cloud = Cloud::new(21, Weather::default());
    let action = |name: &str, category: &str, provider: &str| {
        json!({ "name": name, "runOrder": 1, "outputArtifacts": if category == "Source" { json!([{ "name": "App" }]) } else { json!([]) },
            "inputArtifacts": [],
            "configuration": if category == "Source" { json!({ "S3Bucket": "b", "S3ObjectKey": "k" }) } else { json!({}) },
            "actionTypeId": { "category": category, "owner": "AWS", "provider": provider, "version": "1" } })
    };
    let declaration = json!({ "pipeline": {
        "name": "shop", "roleArn": "arn:aws:iam::123456789012:role/penstock/p", "pipelineType": "V2",
        "artifactStore": { "type": "S3", "location": "artifacts" },
        "stages": [
            { "name": "Source", "actions": [action("Fetch-now", "Source", "S3")] },
            { "name": "Check", "actions": [action("Decide-slow", "Approval", "Manual")] },
        ],
    }});
    cloud.create(&declaration).await;
    let id = cloud.start("shop").await;
    cloud.settle().await;
    let said: Vec<Value> = lines("penstock", &cloud.committed());
    let names: Vec<String> = said
        .iter()
        .map(|line| line["_aws"]["CloudWatchMetrics"][0]["Metrics"][0]["Name"].as_str().expect("a name").to_owned())
        .collect();
    assert_eq!(names, ["ExecutionsStarted", "ActionDuration", "ApprovalWait", "ExecutionsSucceeded"]);
    for line in &said {
        assert_eq!((&line["pipeline"], &line["execution"]), (&json!("shop"), &json!(id.to_string())), "{line}");
        assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Dimensions"], json!([["Stack"]]));
    }
    assert!(said[2]["ApprovalWait"].as_f64().is_some_and(|wait| wait > 0.0), "{}", said[2]);
}
