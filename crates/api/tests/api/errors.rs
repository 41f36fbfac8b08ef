//! Every error that an operation documents is reached here, or listed with the reason why it cannot be.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::shapes;
use serde_json::{Value, json};
use testkit::memory::{Fault, Faults, NoFaults, Operation};

use super::server::{Server, declaration, server};

const NOBODY: &str = "00000000-0000-0000-0000-000000000000";
const ARN: &str = "arn:aws:codepipeline:eu-west-1:123456789012:release";

/// What cannot be reached, and why.
const UNREACHABLE: [(&str, &str, &str); 1] = [(
    "ListRuleTypes",
    "InvalidNextTokenException",
    "its input has no token: SDKs refuse to send one, and sent all the same it is an unknown field",
)];

/// Every transaction meets another one.
struct AlwaysInTheWay;

impl Faults for AlwaysInTheWay {
    fn before(&self, operation: Operation<'_>) -> Option<Fault> {
        matches!(operation, Operation::Transact { .. }).then_some(Fault::Conflict)
    }
}

struct Reached {
    server: Server,
    errors: BTreeSet<(String, String)>,
}

impl Reached {
    async fn by(&mut self, operation: &str, input: Value) {
        if let Err((code, _)) = self.server.call(operation, input).await {
            self.errors.insert((operation.to_owned(), code));
        }
    }

    /// The same call with these inputs changed one at a time.
    async fn each(&mut self, operation: &str, good: &Value, changes: &[(&str, Value)]) {
        for (field, value) in changes {
            let mut input = good.clone();
            input[*field] = value.clone();
            self.by(operation, input).await;
        }
    }

    async fn ok(&self, operation: &str, input: Value) -> Value {
        self.server.call(operation, input).await.unwrap_or_else(|error| panic!("{operation}: {error:?}"))
    }

    async fn start(&self, name: &str) -> Value {
        let started = self.ok("StartPipelineExecution", json!({ "name": name })).await;
        self.server.run().await;
        started["pipelineExecutionId"].clone()
    }
}

#[tokio::test]
async fn every_documented_error_is_reached_or_has_a_reason() {
    let server = server();
    let mut reached = Reached { server, errors: BTreeSet::new() };
    reached.ok("CreatePipeline", json!({ "pipeline": declaration("release") })).await;
    for (name, _) in shapes::operations() {
        reached.by(name, json!({ "noSuchField": 1 })).await;
    }
    declarations(&mut reached).await;
    of_pipelines(&mut reached).await;
    of_executions(&mut reached).await;
    limits(&mut reached).await;
    crowded(&mut reached).await;
    outdated(&mut reached).await;
    jobs(&mut reached).await;
    types_and_tags(&mut reached).await;
    webhooks(&mut reached).await;
    in_the_way(&mut reached).await;
    let mut missing = Vec::new();
    for (name, operation) in shapes::operations() {
        for error in &operation.errors {
            let found = reached.errors.contains(&(name.to_owned(), error.clone()));
            let excused = UNREACHABLE.iter().any(|(of, code, _)| *of == name && code == error);
            if found == excused {
                missing.push(format!("{name}: {error}{}", if excused { " is reached after all" } else { "" }));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

async fn declarations(reached: &mut Reached) {
    let changed = |change: fn(&mut Value)| {
        let mut pipeline = declaration("other");
        change(&mut pipeline);
        json!({ "pipeline": pipeline })
    };
    let wrong = [
        changed(|p| p["stages"] = json!([p["stages"][0]])),
        changed(|p| p["stages"][1]["actions"] = json!([])),
        changed(|p| p["stages"][1]["blockers"] = json!([{ "name": "Nightly", "type": "Schedule" }])),
        changed(|p| p["stages"][2]["actions"][0]["configuration"]["Extrct"] = json!("x")),
        changed(|p| {
            let action = |n: usize| {
                json!({ "name": format!("L{n}"), "inputArtifacts": [], "outputArtifacts": [],
                "actionTypeId": { "category": "Invoke", "owner": "AWS", "provider": "Lambda", "version": "1" },
                "configuration": { "FunctionName": "f", "UserParameters": "x".repeat(40_000) } })
            };
            p["stages"][1]["actions"] = (0..20).map(action).collect();
        }),
    ];
    for input in wrong {
        reached.by("CreatePipeline", input.clone()).await;
        let mut update = input;
        update["pipeline"]["name"] = json!("release");
        reached.by("UpdatePipeline", update).await;
    }
    reached.by("CreatePipeline", json!({ "pipeline": declaration("release") })).await;
    for tags in [json!([{ "key": "aws:x", "value": "" }]), many_tags()] {
        reached.by("CreatePipeline", json!({ "pipeline": declaration("other"), "tags": tags })).await;
    }
    reached.by("UpdatePipeline", json!({ "pipeline": declaration("nobody") })).await;
}

fn many_tags() -> Value {
    json!((0..51).map(|n| json!({ "key": format!("k{n}"), "value": "" })).collect::<Vec<_>>())
}

type Case = (&'static str, Value, Vec<(&'static str, Value)>);

fn looks() -> Vec<Case> {
    vec![
        ("GetPipeline", json!({ "name": "release" }), vec![("name", json!("no")), ("version", json!(99))]),
        ("GetPipelineState", json!({ "name": "release" }), vec![("name", json!("no"))]),
        ("StartPipelineExecution", json!({ "name": "release" }), vec![("name", json!("no"))]),
        (
            "DisableStageTransition",
            json!({ "stageName": "Ship", "transitionType": "Inbound", "reason": "r" }),
            vec![("stageName", json!("no"))],
        ),
        (
            "EnableStageTransition",
            json!({ "stageName": "Ship", "transitionType": "Inbound" }),
            vec![("stageName", json!("no"))],
        ),
        (
            "GetPipelineExecution",
            json!({ "pipelineExecutionId": NOBODY }),
            vec![("pipelineExecutionId", json!(NOBODY))],
        ),
        (
            "ListActionExecutions",
            json!({}),
            vec![("nextToken", json!("no")), ("filter", json!({ "pipelineExecutionId": NOBODY }))],
        ),
        (
            "ListRuleExecutions",
            json!({}),
            vec![("nextToken", json!("no")), ("filter", json!({ "pipelineExecutionId": NOBODY }))],
        ),
        ("ListPipelineExecutions", json!({}), vec![("nextToken", json!("no"))]),
        (
            "ListDeployActionExecutionTargets",
            json!({ "actionExecutionId": "no" }),
            vec![("nextToken", json!("no")), ("actionExecutionId", json!("no"))],
        ),
    ]
}

fn commands() -> Vec<Case> {
    let revision = json!({ "revisionId": "r", "revisionChangeId": "c", "created": 1 });
    let result = json!({ "status": "Approved", "summary": "" });
    vec![
        (
            "OverrideStageCondition",
            json!({ "stageName": "Ship", "pipelineExecutionId": NOBODY, "conditionType": "BEFORE_ENTRY" }),
            vec![("stageName", json!("no")), ("pipelineExecutionId", json!(NOBODY))],
        ),
        (
            "PutActionRevision",
            json!({ "stageName": "Source", "actionName": "Fetch", "actionRevision": revision }),
            vec![("stageName", json!("no")), ("actionName", json!("no"))],
        ),
        (
            "PutApprovalResult",
            json!({ "stageName": "Check", "actionName": "Decide", "token": NOBODY, "result": result }),
            vec![("stageName", json!("no")), ("actionName", json!("no")), ("token", json!(NOBODY))],
        ),
        (
            "RetryStageExecution",
            json!({ "stageName": "Ship", "pipelineExecutionId": NOBODY, "retryMode": "FAILED_ACTIONS" }),
            vec![("stageName", json!("no")), ("pipelineExecutionId", json!(NOBODY))],
        ),
        (
            "RollbackStage",
            json!({ "stageName": "Ship", "targetPipelineExecutionId": NOBODY }),
            vec![("stageName", json!("no")), ("targetPipelineExecutionId", json!(NOBODY))],
        ),
        ("StopPipelineExecution", json!({ "pipelineExecutionId": NOBODY }), vec![]),
    ]
}

async fn of_pipelines(reached: &mut Reached) {
    for (operation, input, changes) in looks().into_iter().chain(commands()) {
        let mut good = input;
        if good.get("name").is_none() {
            good["pipelineName"] = json!("release");
            reached.each(operation, &good, &[("pipelineName", json!("no"))]).await;
        }
        reached.each(operation, &good, &changes).await;
    }
    for operation in ["ListPipelines", "ListActionTypes"] {
        reached.by(operation, json!({ "nextToken": "no" })).await;
    }
    reached.by("ListWebhooks", json!({ "NextToken": "no" })).await;
}

async fn of_executions(reached: &mut Reached) {
    let id = reached.start("release").await;
    let retry = json!({ "pipelineName": "release", "stageName": "Check", "pipelineExecutionId": id, "retryMode": "FAILED_ACTIONS" });
    reached.by("RetryStageExecution", retry).await;
    let state = reached.ok("GetPipelineState", json!({ "name": "release" })).await;
    let token = state["stageStates"][1]["actionStates"][0]["latestExecution"]["token"].clone();
    let approve = json!({ "pipelineName": "release", "stageName": "Check", "actionName": "Decide", "token": token,
        "result": { "status": "Approved", "summary": "" } });
    reached.ok("PutApprovalResult", approve.clone()).await;
    reached.by("PutApprovalResult", approve).await;
    reached.server.run().await;
    let over = json!({ "pipelineName": "release", "stageName": "Ship", "pipelineExecutionId": id, "conditionType": "ON_SUCCESS" });
    reached.each("OverrideStageCondition", &over, &[("stageName", json!("no")), ("stageName", json!("Ship"))]).await;
    let stop = json!({ "pipelineName": "release", "pipelineExecutionId": id });
    reached.by("StopPipelineExecution", stop).await;
    reached
        .by(
            "RollbackStage",
            json!({ "pipelineName": "release", "stageName": "Source", "targetPipelineExecutionId": id }),
        )
        .await;
    let second = reached.start("release").await;
    let stop = json!({ "pipelineName": "release", "pipelineExecutionId": second });
    reached.by("StopPipelineExecution", stop.clone()).await;
    reached.by("StopPipelineExecution", stop.clone()).await;
    // So that the next execution finds the stage free.
    let mut abandon = stop;
    abandon["abandon"] = json!(true);
    reached.ok("StopPipelineExecution", abandon).await;
    reached.server.run().await;
}

async fn limits(reached: &mut Reached) {
    let mut queued = declaration("queued");
    queued["executionMode"] = json!("QUEUED");
    reached.ok("CreatePipeline", json!({ "pipeline": queued })).await;
    for _ in 0..50 {
        reached.start("queued").await;
    }
    reached.by("StartPipelineExecution", json!({ "name": "queued" })).await;
    let revision = json!({ "revisionId": "r9", "revisionChangeId": "c", "created": 1 });
    let put =
        json!({ "pipelineName": "queued", "stageName": "Source", "actionName": "Fetch", "actionRevision": revision });
    reached.by("PutActionRevision", put).await;
}

/// A failed execution would be one too many if it went on.
async fn crowded(reached: &mut Reached) {
    let mut pipeline = declaration("crowded");
    pipeline["executionMode"] = json!("QUEUED");
    pipeline["stages"][1]["beforeEntry"] = never();
    reached.ok("CreatePipeline", json!({ "pipeline": pipeline })).await;
    let failed = reached.start("crowded").await;
    let hold = json!({ "pipelineName": "crowded", "stageName": "Check", "transitionType": "Inbound", "reason": "r" });
    reached.ok("DisableStageTransition", hold).await;
    for _ in 0..50 {
        reached.start("crowded").await;
    }
    let stage = json!({ "pipelineName": "crowded", "stageName": "Check", "pipelineExecutionId": failed });
    let with = |name: &str, value: &str| {
        let mut input = stage.clone();
        input[name] = json!(value);
        input
    };
    reached.by("RetryStageExecution", with("retryMode", "FAILED_ACTIONS")).await;
    reached.by("OverrideStageCondition", with("conditionType", "BEFORE_ENTRY")).await;
}

/// A condition that fails always.
fn never() -> Value {
    json!({ "conditions": [{ "result": "FAIL", "rules": [{
        "name": "FailAlways", "ruleTypeId": { "category": "Rule", "owner": "AWS", "provider": "VariableCheck", "version": "1" },
        "configuration": { "Variable": "a", "Value": "x", "Operator": "EQ" } }] }] })
}

async fn outdated(reached: &mut Reached) {
    let mut pipeline = declaration("older");
    pipeline["stages"].as_array_mut().unwrap().remove(1);
    reached.ok("CreatePipeline", json!({ "pipeline": pipeline })).await;
    let first = reached.start("older").await;
    reached.ok("UpdatePipeline", json!({ "pipeline": pipeline })).await;
    let back = json!({ "pipelineName": "older", "stageName": "Ship", "targetPipelineExecutionId": first });
    reached.by("RollbackStage", back).await;
}

async fn jobs(reached: &mut Reached) {
    let custom =
        |provider: &str| json!({ "category": "Build", "owner": "Custom", "provider": provider, "version": "1" });
    let partner = json!({ "category": "Test", "owner": "ThirdParty", "provider": "Runscope", "version": "1" });
    let failure = json!({ "type": "JobFailed", "message": "no" });
    let mut pipeline = declaration("worked");
    pipeline["stages"][1]["actions"] = json!([
        { "name": "Own", "actionTypeId": custom("TeamCity"), "inputArtifacts": [{ "name": "Src" }] },
        { "name": "Theirs", "actionTypeId": partner, "inputArtifacts": [{ "name": "Src" }] }]);
    reached.ok("CreatePipeline", json!({ "pipeline": pipeline })).await;
    reached.start("worked").await;
    let own = reached.ok("PollForJobs", json!({ "actionTypeId": custom("TeamCity") })).await["jobs"][0]["id"].take();
    let theirs =
        reached.ok("PollForThirdPartyJobs", json!({ "actionTypeId": partner })).await["jobs"][0]["jobId"].take();
    let client = reached.server.extension("GetThirdPartyClient", json!({ "actionTypeId": partner })).await.unwrap();
    let good = &client["clientToken"];
    let large = json!({ "A": "x".repeat(130_000) });
    for (operation, more) in [
        ("AcknowledgeJob", json!({ "nonce": "99" })),
        ("GetJobDetails", json!({})),
        ("PutJobSuccessResult", json!({ "outputVariables": large })),
        ("PutJobSuccessResult", json!({})),
        ("PutJobFailureResult", json!({ "failureDetails": failure })),
    ] {
        reached.each(operation, &more, &[("jobId", json!(NOBODY)), ("jobId", own.clone())]).await;
    }
    for (operation, more) in [
        ("AcknowledgeThirdPartyJob", json!({ "nonce": "99" })),
        ("GetThirdPartyJobDetails", json!({})),
        ("PutThirdPartyJobSuccessResult", json!({})),
        ("PutThirdPartyJobFailureResult", json!({ "failureDetails": failure })),
    ] {
        let mut with = more;
        with["clientToken"] = good.clone();
        reached
            .each(operation, &with, &[("jobId", json!(NOBODY)), ("jobId", theirs.clone()), ("jobId", own.clone())])
            .await;
        with["jobId"] = theirs.clone();
        reached.each(operation, &with, &[("clientToken", json!("guessed"))]).await;
    }
    reached.by("PollForJobs", json!({ "actionTypeId": custom("Nobody") })).await;
    let mut nobody = partner;
    nobody["provider"] = json!("Nobody");
    reached.by("PollForThirdPartyJobs", json!({ "actionTypeId": nobody })).await;
    reached.by("GetActionType", nobody.clone()).await;
    let counts = json!({ "minimumCount": 0, "maximumCount": 1 });
    let executor = json!({ "type": "JobWorker", "configuration": { "jobWorkerExecutorConfiguration": {} } });
    let mut new =
        json!({ "id": nobody, "executor": executor, "inputArtifactDetails": counts, "outputArtifactDetails": counts });
    reached.by("UpdateActionType", json!({ "actionType": new })).await;
    new["id"] = json!({ "category": "Deploy", "owner": "AWS", "provider": "S3", "version": "1" });
    reached.by("UpdateActionType", json!({ "actionType": new })).await;
}

fn new_type(version: &str) -> Value {
    let counts = json!({ "minimumCount": 0, "maximumCount": 1 });
    json!({ "category": "Build", "provider": "B", "version": version, "inputArtifactDetails": counts, "outputArtifactDetails": counts })
}

async fn types_and_tags(reached: &mut Reached) {
    let good = new_type("1");
    reached
        .each(
            "CreateCustomActionType",
            &good,
            &[("tags", json!([{ "key": "aws:x", "value": "" }])), ("tags", many_tags())],
        )
        .await;
    for version in 0..51 {
        reached.by("CreateCustomActionType", new_type(&version.to_string())).await;
    }
    let other = ARN.replace("eu-west-1", "eu-west-2");
    for (operation, good) in [
        ("TagResource", json!({ "resourceArn": ARN, "tags": [] })),
        ("UntagResource", json!({ "resourceArn": ARN, "tagKeys": [] })),
        ("ListTagsForResource", json!({ "resourceArn": ARN })),
    ] {
        reached
            .each(operation, &good, &[("resourceArn", json!(format!("{ARN}x"))), ("resourceArn", json!(other))])
            .await;
    }
    reached.by("TagResource", json!({ "resourceArn": ARN, "tags": [{ "key": "aws:x", "value": "" }] })).await;
    reached.by("TagResource", json!({ "resourceArn": ARN, "tags": many_tags() })).await;
    reached.by("UntagResource", json!({ "resourceArn": ARN, "tagKeys": ["aws:x"] })).await;
    reached.by("ListTagsForResource", json!({ "resourceArn": ARN, "nextToken": "no" })).await;
}

fn webhook(name: &str) -> Value {
    json!({ "name": name, "targetPipeline": "release", "targetAction": "Fetch", "filters": [{ "jsonPath": "$.ref" }],
        "authentication": "UNAUTHENTICATED", "authenticationConfiguration": {} })
}

async fn webhooks(reached: &mut Reached) {
    for (field, value) in [
        ("targetPipeline", json!("nobody")),
        ("filters", json!([{ "jsonPath": "$[" }])),
        ("authentication", json!("IP")),
    ] {
        let mut wrong = webhook("hook");
        wrong[field] = value;
        reached.by("PutWebhook", json!({ "webhook": wrong })).await;
    }
    for tags in [json!([{ "key": "aws:x", "value": "" }]), many_tags()] {
        reached.by("PutWebhook", json!({ "webhook": webhook("hook"), "tags": tags })).await;
    }
    for number in 0..301 {
        reached.by("PutWebhook", json!({ "webhook": webhook(&format!("hook{number}")) })).await;
    }
    for operation in ["RegisterWebhookWithThirdParty", "DeregisterWebhookWithThirdParty"] {
        reached.by(operation, json!({ "webhookName": "nobody" })).await;
    }
}

async fn in_the_way(reached: &mut Reached) {
    let id = reached.start("release").await;
    reached.ok("DeleteCustomActionType", json!({ "category": "Build", "provider": "B", "version": "0" })).await;
    reached.server.table.set_faults(Arc::new(AlwaysInTheWay));
    for (operation, input) in [
        ("CreatePipeline", json!({ "pipeline": declaration("another") })),
        ("DeletePipeline", json!({ "name": "release" })),
        ("CreateCustomActionType", new_type("0")),
        ("DeleteCustomActionType", json!({ "category": "Build", "provider": "B", "version": "1" })),
        ("PutWebhook", json!({ "webhook": webhook("hook1") })),
        ("DeleteWebhook", json!({ "name": "hook1" })),
        ("TagResource", json!({ "resourceArn": ARN, "tags": [{ "key": "a", "value": "1" }] })),
        ("UntagResource", json!({ "resourceArn": ARN, "tagKeys": ["a"] })),
        ("StartPipelineExecution", json!({ "name": "release" })),
        ("StopPipelineExecution", json!({ "pipelineName": "release", "pipelineExecutionId": id })),
    ] {
        reached.by(operation, input).await;
    }
    reached.server.table.set_faults(Arc::new(NoFaults));
    // A stage that somebody is in can be neither retried as a whole nor rolled back.
    let stop = json!({ "pipelineName": "release", "pipelineExecutionId": id, "abandon": true });
    reached.by("StopPipelineExecution", stop).await;
    reached.server.run().await;
    reached.server.table.set_faults(Arc::new(AlwaysInTheWay));
    let retry = json!({ "pipelineName": "release", "stageName": "Check", "pipelineExecutionId": id, "retryMode": "ALL_ACTIONS" });
    reached.by("RetryStageExecution", retry).await;
    reached.server.table.set_faults(Arc::new(NoFaults));
    let executions = reached
        .ok(
            "ListPipelineExecutions",
            json!({ "pipelineName": "release",
        "filter": { "succeededInStage": { "stageName": "Ship" } } }),
        )
        .await;
    let target = &executions["pipelineExecutionSummaries"][0]["pipelineExecutionId"];
    reached.server.table.set_faults(Arc::new(AlwaysInTheWay));
    reached
        .by(
            "RollbackStage",
            json!({ "pipelineName": "release", "stageName": "Ship", "targetPipelineExecutionId": target }),
        )
        .await;
    reached.server.table.set_faults(Arc::new(NoFaults));
    let mut ruled = declaration("ruled");
    ruled["stages"][1]["beforeEntry"] = never();
    reached.ok("CreatePipeline", json!({ "pipeline": ruled })).await;
    let held = reached.start("ruled").await;
    reached.server.table.set_faults(Arc::new(AlwaysInTheWay));
    let over = json!({ "pipelineName": "ruled", "stageName": "Check", "pipelineExecutionId": held, "conditionType": "BEFORE_ENTRY" });
    reached.by("OverrideStageCondition", over).await;
}
