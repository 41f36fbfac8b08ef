//! Records of calls: what changes, what was refused, and what is secret in them.

use serde_json::{Value, json};

use super::server::{ACCESS_KEY, OTHER, Server, USER, code, declaration, server};

async fn records(server: &Server, input: Value) -> Vec<Value> {
    server.extension("ListAuditRecords", input).await.unwrap()["records"].as_array().unwrap().clone()
}

#[tokio::test]
async fn changes_are_recorded_with_their_commit() {
    let server = server();
    let mut pipeline = declaration("release");
    pipeline["stages"][0]["actions"][0] = json!({ "name": "Fetch", "namespace": "Fetched",
        "actionTypeId": { "category": "Source", "owner": "ThirdParty", "provider": "GitHub", "version": "1" },
        "configuration": { "Owner": "o", "Repo": "r", "Branch": "main", "OAuthToken": "hush" },
        "outputArtifacts": [{ "name": "Src" }] });
    server.call("CreatePipeline", json!({ "pipeline": pipeline })).await.unwrap();
    server.later(1000);
    let started = server.call("StartPipelineExecution", json!({ "name": "release" })).await.unwrap();
    server.later(1000);
    server.call("GetPipeline", json!({ "name": "release" })).await.unwrap();
    server.call("DeletePipeline", json!({ "name": "release" })).await.unwrap();
    server.later(1000);
    server.call("DeletePipeline", json!({ "name": "release" })).await.unwrap();
    let all = records(&server, json!({})).await;
    let names: Vec<_> = all.iter().map(|record| record["eventName"].as_str().unwrap()).collect();
    assert_eq!(names, ["DeletePipeline", "DeletePipeline", "StartPipelineExecution", "CreatePipeline"]);
    let create = &all[3];
    assert_eq!(create["eventSource"], "codepipeline.amazonaws.com");
    assert_eq!(create["eventTime"], "2026-11-24T06:00:00Z");
    assert_eq!(create["awsRegion"], "eu-west-1");
    assert_eq!(create["sourceIPAddress"], "127.0.0.1");
    assert_eq!((&create["eventType"], &create["readOnly"]), (&json!("AwsApiCall"), &json!(false)));
    assert_eq!(
        create["userIdentity"],
        json!({ "type": "IAMUser", "principalId": ACCESS_KEY, "arn": USER,
        "accountId": "123456789012", "accessKeyId": ACCESS_KEY, "userName": "ada" })
    );
    let response = &create["responseElements"]["pipeline"];
    assert_eq!((&response["name"], &response["version"]), (&json!("release"), &json!(1)));
    assert!(!create.to_string().contains("hush"), "{create}");
    assert_eq!(all[2]["responseElements"], started);
    let published = server.published();
    assert_eq!(published.iter().filter(|kind| **kind == "record").count(), 4);
}

#[tokio::test]
async fn refused_calls_are_recorded_but_not_without_end() {
    let server = server();
    for _ in 0..80 {
        let refused = server.as_other("StartPipelineExecution", json!({ "name": "nobody" })).await;
        assert_eq!(code(refused), "PipelineNotFoundException");
    }
    let input = json!({ "principal": OTHER, "onlyRefused": true });
    let first = records(&server, input.clone()).await;
    assert_eq!(first.len(), 50, "a burst, then none");
    assert_eq!(first[0]["errorCode"], "PipelineNotFoundException");
    server.later(10_000);
    server.as_other("StartPipelineExecution", json!({ "name": "nobody" })).await.unwrap_err();
    let newest = records(&server, input).await[0].take();
    assert_eq!(newest["additionalEventData"], json!({ "suppressedRefusals": 30 }));
    server.as_other("GetPipeline", json!({ "name": "nobody" })).await.unwrap_err();
    assert!(records(&server, json!({ "eventName": "GetPipeline" })).await.is_empty(), "reads are not recorded");
}

#[tokio::test]
async fn records_are_paged_by_time_and_kept_for_a_while() {
    let server = server();
    let day = 24 * 60 * 60 * 1000;
    for number in 0..5 {
        server.call("DeletePipeline", json!({ "name": format!("p{number}") })).await.unwrap();
        server.later(day);
    }
    let mut input = json!({ "maxResults": 2 });
    let mut names = Vec::new();
    loop {
        let page = server.extension("ListAuditRecords", input.clone()).await.unwrap();
        names.extend(page["records"].as_array().unwrap().iter().map(|r| r["requestParameters"]["name"].clone()));
        match page.get("nextToken") {
            Some(token) => input["nextToken"] = token.clone(),
            None => break,
        }
    }
    assert_eq!(json!(names), json!(["p4", "p3", "p2", "p1", "p0"]));
    let seconds = 1_795_500_000.0;
    let between = json!({ "startTime": seconds + 86_400.0, "endTime": seconds + 3.0 * 86_400.0 });
    let names: Vec<_> =
        records(&server, between).await.iter().map(|r| r["requestParameters"]["name"].clone()).collect();
    assert_eq!(json!(names), json!(["p3", "p2", "p1"]));
    input["nextToken"] = json!("bm90aGluZw");
    assert_eq!(code(server.extension("ListAuditRecords", input).await), "InvalidNextTokenException");
    server.later(88 * day);
    server.call("DeletePipeline", json!({ "name": "late" })).await.unwrap();
    let left = records(&server, json!({})).await;
    assert_eq!(left.len(), 3, "p0 to p2 are too old: {left:#?}");
}

#[tokio::test]
async fn reads_that_wait_are_written_when_their_host_ends() {
    let mut server = server();
    server.api.guard.audit = api::audit::Audit::new(true);
    server.call("CreatePipeline", json!({ "pipeline": declaration("release") })).await.unwrap();
    server.call("GetPipeline", json!({ "name": "release" })).await.unwrap();
    let elsewhere = server.raw("CodePipeline_20150709.ListPipelines", "us-west-2", b"{}").await;
    assert_eq!(elsewhere.status, 200);
    let reads = async || {
        let all = records(&server, json!({ "maxResults": 50 })).await;
        all.iter().filter(|record| record["readOnly"] == true).count()
    };
    assert_eq!(reads().await, 0, "they wait for others");
    server.api.guard.audit.flush().await;
    // The look above was a read, too; what was asked of the other region is recorded there.
    assert_eq!(reads().await, 2);
    let there = server.raw("Penstock_20261124.ListAuditRecords", "us-west-2", b"{}").await.json();
    assert_eq!(there["records"][0]["eventName"], "ListPipelines");
}
