//! Tags of pipelines and custom action types, and the targets of deploys.

use serde_json::{Value, json};

use super::server::{Server, code, declaration, server};

const PIPELINE: &str = "arn:aws:codepipeline:eu-west-1:123456789012:release";

async fn tags(server: &Server, arn: &str) -> Value {
    server.call("ListTagsForResource", json!({ "resourceArn": arn })).await.unwrap()["tags"].take()
}

fn tag(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": value })
}

#[tokio::test]
async fn a_pipeline_bears_tags_from_its_creation_to_its_end() {
    let server = server();
    let input = json!({ "pipeline": declaration("release"), "tags": [tag("team", "a"), tag("cost centre", "1:2/3=4+5-6@7._")] });
    let created = server.call("CreatePipeline", input).await.unwrap();
    assert_eq!(created["tags"], json!([tag("cost centre", "1:2/3=4+5-6@7._"), tag("team", "a")]));
    assert_eq!(tags(&server, PIPELINE).await, created["tags"]);
    let more = json!({ "resourceArn": PIPELINE, "tags": [tag("team", "b"), tag("grün", "")] });
    assert_eq!(server.call("TagResource", more).await, Ok(json!({})));
    assert_eq!(
        tags(&server, PIPELINE).await,
        json!([tag("cost centre", "1:2/3=4+5-6@7._"), tag("grün", ""), tag("team", "b")])
    );
    let pages = json!({ "resourceArn": PIPELINE, "maxResults": 2 });
    let first = server.call("ListTagsForResource", pages.clone()).await.unwrap();
    assert_eq!(first["tags"].as_array().unwrap().len(), 2);
    let mut second = pages;
    second["nextToken"] = first["nextToken"].clone();
    assert_eq!(server.call("ListTagsForResource", second).await.unwrap(), json!({ "tags": [tag("team", "b")] }));
    let removed = json!({ "resourceArn": PIPELINE, "tagKeys": ["team", "nobody"] });
    assert_eq!(server.call("UntagResource", removed).await, Ok(json!({})));
    assert_eq!(tags(&server, PIPELINE).await.as_array().unwrap().len(), 2);
    server.call("DeletePipeline", json!({ "name": "release" })).await.unwrap();
    server.call("CreatePipeline", json!({ "pipeline": declaration("release") })).await.unwrap();
    assert_eq!(tags(&server, PIPELINE).await, json!([]), "a namesake has none of them");
}

#[tokio::test]
async fn an_action_type_bears_tags() {
    let server = server();
    let arn = "arn:aws:codepipeline:eu-west-1:123456789012:actiontype:Custom/Build/Builder/1";
    let missing = server.call("ListTagsForResource", json!({ "resourceArn": arn })).await;
    assert_eq!(code(missing), "ResourceNotFoundException");
    let details = json!({ "minimumCount": 0, "maximumCount": 1 });
    let new = json!({ "category": "Build", "provider": "Builder", "version": "1", "inputArtifactDetails": details,
        "outputArtifactDetails": details, "tags": [tag("a", "1")] });
    server.call("CreateCustomActionType", new).await.unwrap();
    server.call("TagResource", json!({ "resourceArn": arn, "tags": [tag("b", "2")] })).await.unwrap();
    server.call("UntagResource", json!({ "resourceArn": arn, "tagKeys": ["a"] })).await.unwrap();
    assert_eq!(tags(&server, arn).await, json!([tag("b", "2")]));
}

#[tokio::test]
async fn wrong_tags_are_refused() {
    let server = server();
    server.call("CreatePipeline", json!({ "pipeline": declaration("release") })).await.unwrap();
    let put = |tags: Value| server.call("TagResource", json!({ "resourceArn": PIPELINE, "tags": tags }));
    for wrong in [
        json!([tag("aws:owner", "x")]),
        json!([tag("AWS:owner", "x")]),
        json!([tag("a", "1"), tag("a", "2")]),
        json!([tag("a<b", "1")]),
        json!([tag("a", "1;2")]),
    ] {
        assert_eq!(code(put(wrong.clone()).await), "InvalidTagsException", "{wrong}");
        let created = json!({ "pipeline": declaration("other"), "tags": wrong });
        assert_eq!(code(server.call("CreatePipeline", created).await), "InvalidTagsException");
    }
    let removed = json!({ "resourceArn": PIPELINE, "tagKeys": ["aws:owner"] });
    assert_eq!(code(server.call("UntagResource", removed).await), "InvalidTagsException");
    let many = |from: u32, to: u32| json!((from..to).map(|n| tag(&format!("k{n}"), "v")).collect::<Vec<_>>());
    assert_eq!(code(put(many(0, 51)).await), "TooManyTagsException");
    put(many(0, 50)).await.unwrap();
    assert_eq!(code(put(many(50, 51)).await), "TooManyTagsException");
    put(many(49, 50)).await.unwrap();
    let created = json!({ "pipeline": declaration("other"), "tags": many(0, 51) });
    assert_eq!(code(server.call("CreatePipeline", created).await), "TooManyTagsException");
}

#[tokio::test]
async fn wrong_arns_are_refused() {
    let server = server();
    let list = |arn: &str| server.call("ListTagsForResource", json!({ "resourceArn": arn }));
    for (arn, error) in [
        ("arn:aws:codepipeline:eu-west-1:123456789012:nobody", "ResourceNotFoundException"),
        ("arn:aws:codepipeline:eu-west-1:123456789012:webhook:nobody", "ResourceNotFoundException"),
        ("arn:aws:codepipeline:us-east-1:123456789012:release", "InvalidArnException"),
        ("arn:aws:codepipeline:eu-west-1:999999999999:release", "InvalidArnException"),
        // Whoever may not touch the resource may not do so by another name either.
        ("arn:aws-cn:codepipeline:eu-west-1:123456789012:release", "InvalidArnException"),
        ("arn:aws:codepipeline:eu-west-1:123456789012:release/Build/Make", "InvalidArnException"),
        ("arn:aws:codepipeline:eu-west-1:123456789012:actiontype:Custom/Build/X", "InvalidArnException"),
        ("arn:aws:s3:::bucket", "ValidationException"),
    ] {
        assert_eq!(code(list(arn).await), error, "{arn}");
    }
}

#[tokio::test]
async fn deploy_actions_have_targets_to_list() {
    let server = server();
    let mut pipeline = declaration("release");
    pipeline["stages"].as_array_mut().unwrap().remove(1);
    server.call("CreatePipeline", json!({ "pipeline": pipeline })).await.unwrap();
    server.call("StartPipelineExecution", json!({ "name": "release" })).await.unwrap();
    server.run().await;
    let history = server.call("ListActionExecutions", json!({ "pipelineName": "release" })).await.unwrap();
    let ids: Vec<_> =
        history["actionExecutionDetails"].as_array().unwrap().iter().map(|d| d["actionExecutionId"].clone()).collect();
    let list = |input: Value| server.call("ListDeployActionExecutionTargets", input);
    let found = list(json!({ "actionExecutionId": ids[0], "pipelineName": "release" })).await.unwrap();
    let detail = &history["actionExecutionDetails"][0];
    let (start, end) = (&detail["startTime"], &detail["lastUpdateTime"]);
    let event = json!({ "name": "Deploy", "status": "Succeeded", "startTime": start, "endTime": end });
    let target = json!({ "targetId": "out-bucket", "targetType": "S3", "status": "Succeeded", "startTime": start, "endTime": end,
        "events": [event] });
    assert_eq!(found, json!({ "targets": [target] }));
    for (values, count) in [(json!(["Failed"]), 0), (json!(["Failed", "Succeeded"]), 1), (json!([]), 0)] {
        let filter = json!([{ "name": "TARGET_STATUS", "values": values }]);
        let found = list(json!({ "actionExecutionId": ids[0], "filters": filter })).await.unwrap();
        assert_eq!(found["targets"].as_array().unwrap().len(), count, "{filter}");
    }
    let unnamed = json!({ "actionExecutionId": ids[0], "filters": [{ "name": "TARGET_SIZE", "values": ["1"] }] });
    assert_eq!(code(list(unnamed).await), "ValidationException");
    assert_eq!(
        code(list(json!({ "actionExecutionId": ids[1] })).await),
        "ActionExecutionNotFoundException",
        "a source"
    );
    assert_eq!(code(list(json!({ "actionExecutionId": "no" })).await), "ActionExecutionNotFoundException");
    let unknown = json!({ "actionExecutionId": ids[0], "pipelineName": "nobody" });
    assert_eq!(code(list(unknown).await), "PipelineNotFoundException");
    let token = json!({ "actionExecutionId": ids[0], "nextToken": "bm90aGluZw" });
    assert_eq!(code(list(token).await), "InvalidNextTokenException");
}
