//! A source or git host that is silent keeps nobody else waiting.

use std::time::Duration;

use async_trait::async_trait;
use control::ports::PortError;
use control::sources::{BranchHead, ObjectHead, PolledSource, SourceHeads};
use functions::handlers::poll_sources::PollSources;
use functions::patience::Limited;
use functions::{Handler, Invocation};
use model::Timestamp;
use serde_json::{Value, json};

use crate::cloud::{Cloud, Weather};

/// Says nothing of some buckets, ever.
struct Silent;

#[async_trait]
impl SourceHeads for Silent {
    async fn object(&self, source: &PolledSource) -> Result<Option<ObjectHead>, PortError> {
        if source.pointer.pipeline.name.as_str().starts_with("silent") {
            std::future::pending::<()>().await;
        }
        let modified = Some(Timestamp(i64::MAX));
        Ok(Some(ObjectHead { version_id: Some("v1".into()), etag: None, modified }))
    }

    async fn branches(&self, _: &PolledSource, _: Option<&str>) -> Result<Vec<BranchHead>, PortError> {
        Ok(Vec::new())
    }
}

fn polled(name: &str) -> Value {
    let action = |name: &str, category: &str, provider: &str, configuration: Value| {
        let kind = json!({ "category": category, "owner": "AWS", "provider": provider, "version": "1" });
        json!({ "name": name, "actionTypeId": kind, "configuration": configuration })
    };
    let mut source = action("Src", "Source", "S3", json!({ "S3Bucket": "in", "S3ObjectKey": name }));
    source["outputArtifacts"] = json!([{ "name": "Out" }]);
    json!({ "pipeline": { "name": name, "roleArn": "arn:aws:iam::123456789012:role/penstock/p", "pipelineType": "V2",
        "artifactStore": { "type": "S3", "location": "store" }, "stages": [
            { "name": "Source", "actions": [source] },
            { "name": "Decide", "actions": [action("Ask", "Approval", "Manual", json!({}))] }] } })
}

#[tokio::test]
async fn silent_sources_do_not_keep_those_that_are_polled_after_them() {
    let cloud = Cloud::new(16, Weather::default());
    for n in 0..12 {
        cloud.create(&polled(&format!("silent{n}"))).await;
        cloud.create(&polled(&format!("open{n}"))).await;
    }
    let heads = Box::new(Limited(Silent, Duration::from_millis(200)));
    let poll = PollSources { sender: cloud.sender(), heads, stack: "test".into() };
    let began = std::time::Instant::now();
    let answer = poll.handle(json!({}), &Invocation::default()).await.expect("polled");
    assert_eq!((&answer["started"], &answer["failed"]), (&json!(12), &json!(12)), "{answer}");
    assert!(began.elapsed() < Duration::from_millis(12 * 200), "they were waited for one after the other");
}
