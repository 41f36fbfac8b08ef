//! Secrets of declarations: sealed where they are stored, `****` for everybody but who does the action's work.

use control::rows::{Task, WorkRow};
use serde_json::{Value, json};

use super::jobs::{built, custom, new_type};
use super::server::{Server, code, server};

const TOKEN: &str = "tok-5f1e9c";
const PIN: &str = "pin-7702aa";

/// A pipeline with a secret that the API knows and one that a custom type declares.
fn secretive() -> Value {
    let mut pipeline = built("release", "web");
    pipeline["stages"][0]["actions"][0] = json!({ "name": "Fetch", "namespace": "Fetched",
        "actionTypeId": { "category": "Source", "owner": "ThirdParty", "provider": "GitHub", "version": "1" },
        "configuration": { "Owner": "o", "Repo": "r", "Branch": "main", "OAuthToken": TOKEN },
        "outputArtifacts": [{ "name": "Src" }] });
    pipeline["stages"][1]["actions"][0]["configuration"]["Pin"] = json!(PIN);
    pipeline
}

async fn created() -> Server {
    let server = server();
    server.call("CreateCustomActionType", new_type("Build")).await.unwrap();
    server.call("CreatePipeline", json!({ "pipeline": secretive() })).await.unwrap();
    server
}

async fn started(server: &Server) -> Value {
    server.call("StartPipelineExecution", json!({ "name": "release" })).await.unwrap();
    server.run().await;
    let jobs = server.call("PollForJobs", json!({ "actionTypeId": custom("Build") })).await.unwrap();
    jobs["jobs"][0].clone()
}

fn pin(job: &Value) -> &Value {
    &job["data"]["actionConfiguration"]["configuration"]["Pin"]
}

/// Nothing that is stored holds the text: items, rows, publications, records of calls.
fn assert_nowhere(server: &Server, text: &str) {
    for (key, stored) in server.table.items() {
        let body = String::from_utf8_lossy(&stored.body);
        assert!(!body.contains(text) && !key.sk.contains(text), "{key:?}: {body}");
    }
}

async fn got(server: &Server) -> Value {
    server.call("GetPipeline", json!({ "name": "release" })).await.unwrap()["pipeline"].take()
}

#[tokio::test]
async fn only_the_worker_is_told_a_secret() {
    let server = created().await;
    let job = started(&server).await;
    assert_eq!(pin(&job), PIN);
    let taken = json!({ "jobId": job["id"], "nonce": job["nonce"] });
    server.call("AcknowledgeJob", taken).await.unwrap();
    let details = server.call("GetJobDetails", json!({ "jobId": job["id"] })).await.unwrap();
    assert_eq!(pin(&details["jobDetails"]), PIN);
    for (operation, input) in [
        ("GetPipeline", json!({ "name": "release" })),
        ("GetPipelineState", json!({ "name": "release" })),
        ("ListActionExecutions", json!({ "pipelineName": "release" })),
    ] {
        let output = server.call(operation, input).await.unwrap().to_string();
        assert!(!output.contains(PIN) && !output.contains(TOKEN), "{operation}: {output}");
    }
    server.call("PutJobSuccessResult", json!({ "jobId": job["id"] })).await.unwrap();
    server.run().await;
    // Refused calls are recorded, too.
    let mut broken = secretive();
    broken["stages"][1]["actions"][0]["configuration"]["Deep"] = json!("no");
    let refused = server.call("UpdatePipeline", json!({ "pipeline": broken })).await;
    assert_eq!(code(refused), "InvalidActionDeclarationException");
    assert_nowhere(&server, PIN);
    assert_nowhere(&server, TOKEN);
    let records = server.extension("ListAuditRecords", json!({})).await.unwrap();
    assert!(records.to_string().contains("CreatePipeline"), "the records are looked at");
}

#[tokio::test]
async fn an_update_keeps_a_masked_secret_and_takes_a_new_one() {
    let server = created().await;
    let shown = got(&server).await;
    assert_eq!(shown["stages"][1]["actions"][0]["configuration"]["Pin"], "****");
    let mut kept = shown.clone();
    kept["stages"][1]["actions"][0]["configuration"]["Project"] = json!("web-2");
    server.call("UpdatePipeline", json!({ "pipeline": kept })).await.unwrap();
    assert_eq!(pin(&started(&server).await), PIN);

    let mut changed = got(&server).await;
    changed["stages"][1]["actions"][0]["configuration"]["Pin"] = json!("pin-new-41");
    server.call("UpdatePipeline", json!({ "pipeline": changed })).await.unwrap();
    assert_nowhere(&server, "pin-new-41");
    let jobs = server.call("PollForJobs", json!({ "actionTypeId": custom("Build") })).await.unwrap();
    assert_eq!(pin(&jobs["jobs"][0]), PIN, "an execution has the secrets of its own version");
}

#[tokio::test]
async fn a_mask_stands_for_nothing_else() {
    let server = created().await;
    let update = async |change: &dyn Fn(&mut Value)| {
        let mut pipeline = got(&server).await;
        change(&mut pipeline["stages"][1]["actions"][0]);
        code(server.call("UpdatePipeline", json!({ "pipeline": pipeline })).await)
    };
    assert_eq!(update(&|action| action["name"] = json!("Other")).await, "ValidationException");
    let mut other = new_type("Build");
    other["provider"] = json!("Stranger");
    server.call("CreateCustomActionType", other).await.unwrap();
    // Else whoever may update could have every secret told to a worker of their own.
    let stranger = update(&|action| action["actionTypeId"]["provider"] = json!("Stranger")).await;
    assert_eq!(stranger, "ValidationException");
    let mut fresh = secretive();
    fresh["name"] = json!("fresh");
    fresh["stages"][1]["actions"][0]["configuration"]["Pin"] = json!("****");
    let refused = server.call("CreatePipeline", json!({ "pipeline": fresh })).await;
    assert_eq!(code(refused), "ValidationException");
}

#[tokio::test]
async fn a_new_version_of_a_type_keeps_the_secret() {
    let server = created().await;
    let mut newer = new_type("Build");
    newer["version"] = json!("2");
    server.call("CreateCustomActionType", newer).await.unwrap();
    let mut pipeline = got(&server).await;
    pipeline["stages"][1]["actions"][0]["actionTypeId"]["version"] = json!("2");
    server.call("UpdatePipeline", json!({ "pipeline": pipeline })).await.unwrap();
    server.call("StartPipelineExecution", json!({ "name": "release" })).await.unwrap();
    server.run().await;
    let mut of = custom("Build");
    of["version"] = json!("2");
    let jobs = server.call("PollForJobs", json!({ "actionTypeId": of })).await.unwrap();
    assert_eq!(pin(&jobs["jobs"][0]), PIN);
}

#[tokio::test]
async fn deletion_removes_what_was_sealed() {
    let server = created().await;
    let sealed = || server.table.items().iter().filter(|(key, _)| key.sk.starts_with("e#")).count();
    assert_eq!(sealed(), 2);
    server.call("DeletePipeline", json!({ "name": "release" })).await.unwrap();
    let rows: Vec<WorkRow> = server
        .table
        .items()
        .iter()
        .filter(|(key, _)| key.pk.contains("/w/"))
        .map(|(key, stored)| control::stored::decode(&stored.body, &key.sk).unwrap())
        .collect();
    let clean = rows.iter().find(|row| row.task == Task::Clean).expect("what is left is removed later");
    server.control.clean(clean).await.unwrap();
    assert_eq!(sealed(), 0);
    // The name's next owner inherits nothing.
    let mut fresh = secretive();
    fresh["stages"][1]["actions"][0]["configuration"]["Pin"] = json!("****");
    let refused = server.call("CreatePipeline", json!({ "pipeline": fresh })).await;
    assert_eq!(code(refused), "ValidationException");
}
