//! Jobs of custom and third-party actions, and the action types they are of.

use serde_json::{Value, json};

use super::server::{Server, USER, code, declaration, server};

pub fn custom(category: &str) -> Value {
    json!({ "category": category, "owner": "Custom", "provider": "Builder", "version": "1" })
}

pub fn new_type(category: &str) -> Value {
    json!({
        "category": category, "provider": "Builder", "version": "1",
        "settings": {
            "entityUrlTemplate": "https://ci.example/{Config:Project}?pin={Config:Pin}",
            "executionUrlTemplate": "https://ci.example/{Config:Project}/{ExternalExecutionId}",
        },
        "configurationProperties": [
            { "name": "Project", "required": true, "key": true, "secret": false, "queryable": true, "type": "String" },
            { "name": "Deep", "required": false, "key": false, "secret": false, "type": "Boolean" },
            { "name": "Pin", "required": false, "key": false, "secret": true },
        ],
        "inputArtifactDetails": { "minimumCount": 1, "maximumCount": 1 },
        "outputArtifactDetails": { "minimumCount": 0, "maximumCount": 1 },
    })
}

/// A pipeline whose second stage is built by a job worker.
pub fn built(name: &str, project: &str) -> Value {
    let mut pipeline = declaration(name);
    pipeline["stages"][1] = json!({ "name": "Build", "actions": [{
        "name": "Make", "namespace": "Made", "actionTypeId": custom("Build"),
        "configuration": { "Project": project, "Pin": "1234" },
        "inputArtifacts": [{ "name": "Src" }], "outputArtifacts": [{ "name": "Out" }] }] });
    pipeline["stages"][2]["actions"][0]["configuration"]["ObjectKey"] = json!("#{Made.Digest}");
    pipeline
}

async fn waiting() -> (Server, String) {
    let server = server();
    server.call("CreateCustomActionType", new_type("Build")).await.unwrap();
    server.call("CreatePipeline", json!({ "pipeline": built("release", "web") })).await.unwrap();
    let id = start(&server).await;
    (server, id)
}

async fn start(server: &Server) -> String {
    let started = server.call("StartPipelineExecution", json!({ "name": "release" })).await.unwrap();
    server.run().await;
    started["pipelineExecutionId"].as_str().unwrap().to_owned()
}

async fn poll(server: &Server, more: Value) -> Value {
    let mut input = json!({ "actionTypeId": custom("Build") });
    input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    server.call("PollForJobs", input).await.unwrap()["jobs"].take()
}

async fn acknowledge(server: &Server, job: &Value) -> Result<Value, (String, String)> {
    server.call("AcknowledgeJob", json!({ "jobId": job["id"], "nonce": job["nonce"] })).await
}

async fn status(server: &Server, id: &str) -> String {
    let input = json!({ "pipelineName": "release", "pipelineExecutionId": id });
    let found = server.call("GetPipelineExecution", input).await.unwrap();
    found["pipelineExecution"]["status"].as_str().unwrap().into()
}

#[tokio::test]
async fn a_worker_takes_a_job_and_ends_it() {
    let (server, id) = waiting().await;
    let jobs = poll(&server, json!({})).await;
    let job = &jobs[0];
    assert_eq!(jobs.as_array().unwrap().len(), 1);
    let data = &job["data"];
    assert_eq!(data["actionTypeId"], custom("Build"));
    assert_eq!(data["actionConfiguration"]["configuration"], json!({ "Project": "web", "Pin": "1234" }));
    let context = &data["pipelineContext"];
    assert_eq!(context["pipelineName"], "release");
    assert_eq!(context["pipelineArn"], "arn:aws:codepipeline:eu-west-1:123456789012:release");
    assert_eq!(context["pipelineExecutionId"], id.as_str());
    assert_eq!(context["stage"]["name"], "Build");
    assert_eq!(context["action"], json!({ "name": "Make", "actionExecutionId": job["id"] }));
    let input = &data["inputArtifacts"][0];
    assert_eq!((&input["name"], &input["revision"]), (&json!("Src"), &json!("8cf40f2")));
    assert_eq!(input["location"]["type"], "S3");
    assert_eq!(input["location"]["s3Location"]["bucketName"], "store");
    assert_eq!(data["outputArtifacts"][0]["name"], "Out");
    assert_eq!(job["accountId"], "123456789012");

    let early = server.call("PutJobSuccessResult", json!({ "jobId": job["id"] })).await;
    assert_eq!(code(early), "InvalidJobStateException");
    let wrong = server.call("AcknowledgeJob", json!({ "jobId": job["id"], "nonce": "77" })).await;
    assert_eq!(code(wrong), "InvalidNonceException");
    assert_eq!(acknowledge(&server, job).await, Ok(json!({ "status": "InProgress" })));
    assert_eq!(code(acknowledge(&server, job).await), "InvalidNonceException", "another worker with the same poll");
    assert_eq!(poll(&server, json!({})).await, json!([]));
    let details = server.call("GetJobDetails", json!({ "jobId": job["id"] })).await.unwrap();
    assert_eq!(details["jobDetails"]["data"]["pipelineContext"], *context);

    let result = json!({ "jobId": job["id"], "outputVariables": { "Digest": "abc" },
        "executionDetails": { "summary": "built", "externalExecutionId": "run-7", "percentComplete": 100 } });
    assert_eq!(server.call("PutJobSuccessResult", result.clone()).await, Ok(Value::Null));
    server.run().await;
    assert_eq!(status(&server, &id).await, "Succeeded");
    assert_eq!(code(server.call("PutJobSuccessResult", result).await), "InvalidJobStateException");
    assert_eq!(code(server.call("GetJobDetails", json!({ "jobId": job["id"] })).await), "JobNotFoundException");
    let history = server.call("ListActionExecutions", json!({ "pipelineName": "release" })).await.unwrap();
    let make = &history["actionExecutionDetails"][1];
    assert_eq!(make["output"]["outputVariables"], json!({ "Digest": "abc" }));
    let result = &make["output"]["executionResult"];
    assert_eq!(result["externalExecutionId"], "run-7");
    assert_eq!(result["externalExecutionUrl"], "https://ci.example/web/run-7");
    assert_eq!(result["externalExecutionSummary"], "built");
    let ship = &history["actionExecutionDetails"][0]["input"]["resolvedConfiguration"];
    assert_eq!(ship["ObjectKey"], "abc");
}

#[tokio::test]
async fn a_job_goes_on_with_a_continuation_token() {
    let (server, id) = waiting().await;
    let first = poll(&server, json!({})).await[0].take();
    acknowledge(&server, &first).await.unwrap();
    let both = json!({ "jobId": first["id"], "continuationToken": "at-1", "outputVariables": { "A": "1" } });
    assert_eq!(code(server.call("PutJobSuccessResult", both).await), "ValidationException");
    let on = json!({ "jobId": first["id"], "continuationToken": "at-1",
        "executionDetails": { "summary": "half", "externalExecutionId": "run-7", "percentComplete": 50 } });
    server.call("PutJobSuccessResult", on.clone()).await.unwrap();
    assert_eq!(code(server.call("PutJobSuccessResult", on).await), "InvalidJobStateException");
    assert_eq!(status(&server, &id).await, "InProgress");
    let second = poll(&server, json!({})).await[0].take();
    assert_ne!(second["id"], first["id"]);
    assert_eq!(second["data"]["continuationToken"], "at-1");
    assert_eq!(second["data"]["pipelineContext"]["action"]["actionExecutionId"], first["id"]);
    let state = server.call("GetPipelineState", json!({ "name": "release" })).await.unwrap();
    let latest = &state["stageStates"][1]["actionStates"][0]["latestExecution"];
    assert_eq!((&latest["summary"], &latest["percentComplete"]), (&json!("half"), &json!(50)));
    assert_eq!(latest["externalExecutionUrl"], "https://ci.example/web/run-7");
    assert_eq!(state["stageStates"][1]["actionStates"][0]["entityUrl"], "https://ci.example/web?pin=****");
    acknowledge(&server, &second).await.unwrap();
    server
        .call("PutJobSuccessResult", json!({ "jobId": second["id"], "outputVariables": { "Digest": "d" } }))
        .await
        .unwrap();
    server.run().await;
    assert_eq!(status(&server, &id).await, "Succeeded");
}

#[tokio::test]
async fn a_job_fails() {
    let (server, id) = waiting().await;
    let job = poll(&server, json!({})).await[0].take();
    acknowledge(&server, &job).await.unwrap();
    let failure = json!({ "jobId": job["id"], "failureDetails": {
        "type": "ConfigurationError", "message": "no such project", "externalExecutionId": "run-8" } });
    server.call("PutJobFailureResult", failure.clone()).await.unwrap();
    assert_eq!(code(server.call("PutJobFailureResult", failure).await), "InvalidJobStateException");
    server.run().await;
    assert_eq!(status(&server, &id).await, "Failed");
    let history = server.call("ListActionExecutions", json!({ "pipelineName": "release" })).await.unwrap();
    let result = &history["actionExecutionDetails"][0]["output"]["executionResult"];
    assert_eq!(result["errorDetails"], json!({ "code": "ConfigurationError", "message": "no such project" }));
    assert_eq!(result["externalExecutionId"], "run-8");
}

#[tokio::test]
async fn a_job_belongs_to_whoever_acknowledged_it() {
    let (server, _) = waiting().await;
    let job = poll(&server, json!({})).await[0].take();
    acknowledge(&server, &job).await.unwrap();
    for (operation, more) in [
        ("GetJobDetails", json!({})),
        ("PutJobSuccessResult", json!({})),
        ("PutJobFailureResult", json!({ "failureDetails": { "type": "JobFailed", "message": "no" } })),
    ] {
        let mut input = json!({ "jobId": job["id"] });
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let other = server.as_other(operation, input).await;
        assert_eq!(code(other), "JobNotFoundException", "{operation}");
    }
    server.call("PutJobSuccessResult", json!({ "jobId": job["id"] })).await.unwrap();
}

#[tokio::test]
async fn jobs_are_asked_for_by_their_queryable_value() {
    let (server, _) = waiting().await;
    let by = |value: &str| json!({ "queryParam": { "Project": value } });
    assert_eq!(poll(&server, by("web")).await.as_array().unwrap().len(), 1);
    assert_eq!(poll(&server, by("we")).await, json!([]));
    assert_eq!(poll(&server, by("other")).await, json!([]));
    let input = json!({ "actionTypeId": custom("Build"), "queryParam": { "Deep": "true" } });
    assert_eq!(code(server.call("PollForJobs", input).await), "ValidationException");
}

#[tokio::test]
async fn a_poll_gives_no_more_than_asked_for_and_nothing_that_ended() {
    let server = server();
    server.call("CreateCustomActionType", new_type("Build")).await.unwrap();
    let mut pipeline = built("release", "web");
    pipeline["executionMode"] = json!("PARALLEL");
    server.call("CreatePipeline", json!({ "pipeline": pipeline })).await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(start(&server).await);
    }
    let two = poll(&server, json!({ "maxBatchSize": 2 })).await;
    assert_eq!(two.as_array().unwrap().len(), 2);
    assert_eq!(two[0]["data"]["pipelineContext"]["pipelineExecutionId"], ids[0].as_str(), "oldest first");
    let stop = json!({ "pipelineName": "release", "pipelineExecutionId": ids[0], "abandon": true });
    server.call("StopPipelineExecution", stop).await.unwrap();
    server.run().await;
    assert_eq!(poll(&server, json!({})).await.as_array().unwrap().len(), 2);
    let taken = acknowledge(&server, &two[0]).await;
    assert_eq!(taken, Ok(json!({ "status": "Failed" })), "its action was abandoned");
    server
        .call("DeleteCustomActionType", json!({ "category": "Build", "provider": "Builder", "version": "1" }))
        .await
        .unwrap();
    let gone = server.call("PollForJobs", json!({ "actionTypeId": custom("Build") })).await;
    assert_eq!(code(gone), "ActionTypeNotFoundException");
}

#[tokio::test]
async fn an_answer_after_the_deadline_is_none() {
    let (server, id) = waiting().await;
    let job = poll(&server, json!({})).await[0].take();
    acknowledge(&server, &job).await.unwrap();
    server.later(24 * 60 * 60 * 1000);
    assert_eq!(
        code(server.call("PutJobSuccessResult", json!({ "jobId": job["id"] })).await),
        "InvalidJobStateException"
    );
    server.run().await;
    assert_eq!(status(&server, &id).await, "Failed");
}

#[tokio::test]
async fn output_variables_have_a_limit() {
    let (server, _) = waiting().await;
    let job = poll(&server, json!({})).await[0].take();
    acknowledge(&server, &job).await.unwrap();
    let sized = |bytes: usize| json!({ "jobId": job["id"], "outputVariables": { "A": "x".repeat(bytes - 1) } });
    let large = server.call("PutJobSuccessResult", sized(122_881)).await;
    assert_eq!(code(large), "OutputVariablesSizeExceededException");
    server.call("PutJobSuccessResult", sized(122_880)).await.unwrap();
}

#[tokio::test]
async fn unknown_jobs_are_not_found() {
    let server = server();
    let id = "00000000-0000-0000-0000-000000000000";
    let failure = json!({ "type": "JobFailed", "message": "no" });
    for (operation, input) in [
        ("AcknowledgeJob", json!({ "jobId": id, "nonce": "1" })),
        ("GetJobDetails", json!({ "jobId": id })),
        ("PutJobSuccessResult", json!({ "jobId": id })),
        ("PutJobFailureResult", json!({ "jobId": id, "failureDetails": failure })),
        ("AcknowledgeThirdPartyJob", json!({ "jobId": id, "nonce": "1", "clientToken": "t" })),
        ("GetThirdPartyJobDetails", json!({ "jobId": id, "clientToken": "t" })),
        ("PutThirdPartyJobSuccessResult", json!({ "jobId": id, "clientToken": "t" })),
        ("PutThirdPartyJobFailureResult", json!({ "jobId": id, "clientToken": "t", "failureDetails": failure })),
    ] {
        assert_eq!(code(server.call(operation, input).await), "JobNotFoundException", "{operation}");
    }
    let aws =
        json!({ "actionTypeId": { "category": "Build", "owner": "AWS", "provider": "CodeBuild", "version": "1" } });
    assert_eq!(code(server.call("PollForJobs", aws.clone()).await), "ValidationException");
    assert_eq!(code(server.call("PollForThirdPartyJobs", aws).await), "ActionTypeNotFoundException");
}

fn partner() -> Value {
    json!({ "category": "Test", "owner": "ThirdParty", "provider": "BlazeMeter", "version": "1" })
}

#[tokio::test]
async fn partners_work_with_client_tokens() {
    let server = server();
    let mut pipeline = declaration("release");
    pipeline["stages"][1] = json!({ "name": "Test", "actions": [{
        "name": "Load", "actionTypeId": partner(), "inputArtifacts": [{ "name": "Src" }] }] });
    server.call("CreatePipeline", json!({ "pipeline": pipeline })).await.unwrap();
    let id = start(&server).await;
    let client = server.extension("GetThirdPartyClient", json!({ "actionTypeId": partner() })).await.unwrap();
    let jobs = server.call("PollForThirdPartyJobs", json!({ "actionTypeId": partner() })).await.unwrap();
    let job = jobs["jobs"][0].clone();
    assert_eq!(job["clientId"], client["clientId"]);
    let with = |token: &Value, more: Value| {
        let mut input = json!({ "jobId": job["jobId"], "clientToken": token });
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        input
    };
    let (good, bad) = (&client["clientToken"], &json!("guessed"));
    let failure = json!({ "failureDetails": { "type": "JobFailed", "message": "no" } });
    for (operation, more) in [
        ("AcknowledgeThirdPartyJob", json!({ "nonce": "1" })),
        ("GetThirdPartyJobDetails", json!({})),
        ("PutThirdPartyJobSuccessResult", json!({})),
        ("PutThirdPartyJobFailureResult", failure.clone()),
    ] {
        assert_eq!(code(server.call(operation, with(bad, more)).await), "InvalidClientTokenException", "{operation}");
    }
    for (operation, more) in
        [("GetJobDetails", json!({})), ("PutJobSuccessResult", json!({})), ("PutJobFailureResult", failure)]
    {
        let mut input = json!({ "jobId": job["jobId"] });
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(code(server.call(operation, input).await), "JobNotFoundException", "{operation}");
    }
    let details = server.call("GetThirdPartyJobDetails", with(good, json!({}))).await.unwrap();
    let nonce = &details["jobDetails"]["nonce"];
    assert_eq!(details["jobDetails"]["data"]["actionTypeId"], partner());
    let stale = server.call("AcknowledgeThirdPartyJob", with(good, json!({ "nonce": "99" }))).await;
    assert_eq!(code(stale), "InvalidNonceException");
    let early = server.call("PutThirdPartyJobSuccessResult", with(good, json!({}))).await;
    assert_eq!(code(early), "InvalidJobStateException");
    let taken = server.call("AcknowledgeThirdPartyJob", with(good, json!({ "nonce": nonce }))).await;
    assert_eq!(taken, Ok(json!({ "status": "InProgress" })));
    server.call("PutThirdPartyJobSuccessResult", with(good, json!({}))).await.unwrap();
    let late = server
        .call(
            "PutThirdPartyJobFailureResult",
            with(good, json!({ "failureDetails": { "type": "JobFailed", "message": "no" } })),
        )
        .await;
    assert_eq!(code(late), "InvalidJobStateException");
    server.run().await;
    assert_eq!(status(&server, &id).await, "Succeeded");
}

#[tokio::test]
async fn a_custom_job_is_none_of_a_partners() {
    let (server, _) = waiting().await;
    let job = poll(&server, json!({})).await[0].take();
    let input = json!({ "jobId": job["id"], "clientToken": "t" });
    assert_eq!(code(server.call("GetThirdPartyJobDetails", input).await), "InvalidJobException");
}

#[tokio::test]
async fn a_custom_source_tells_its_revision() {
    let server = server();
    let mut definition = new_type("Source");
    definition["inputArtifactDetails"] = json!({ "minimumCount": 0, "maximumCount": 0 });
    server.call("CreateCustomActionType", definition).await.unwrap();
    let mut pipeline = declaration("release");
    pipeline["stages"][0]["actions"][0] = json!({ "name": "Fetch", "namespace": "Fetched", "actionTypeId": custom("Source"),
        "configuration": { "Project": "web" }, "outputArtifacts": [{ "name": "Src" }] });
    server.call("CreatePipeline", json!({ "pipeline": pipeline })).await.unwrap();
    let put = |stage: &str, action: &str, revision: &str| {
        json!({ "pipelineName": "release", "stageName": stage, "actionName": action,
            "actionRevision": { "revisionId": revision, "revisionChangeId": "c1", "created": 1_795_000_000.5 } })
    };
    let first = server.call("PutActionRevision", put("Source", "Fetch", "r1")).await.unwrap();
    assert_eq!(first["newRevision"], true);
    let again = server.call("PutActionRevision", put("Source", "Fetch", "r1")).await.unwrap();
    assert_eq!(again, json!({ "newRevision": false, "pipelineExecutionId": first["pipelineExecutionId"] }));
    assert_eq!(code(server.call("PutActionRevision", put("No", "Fetch", "r1")).await), "StageNotFoundException");
    assert_eq!(code(server.call("PutActionRevision", put("Source", "No", "r1")).await), "ActionNotFoundException");
    assert_eq!(code(server.call("PutActionRevision", put("Check", "Decide", "r1")).await), "ValidationException");
    server.run().await;
    let jobs = server.call("PollForJobs", json!({ "actionTypeId": custom("Source") })).await.unwrap();
    let job = &jobs["jobs"][0];
    acknowledge(&server, job).await.unwrap();
    let done = json!({ "jobId": job["id"], "outputVariables": { "CommitId": "r1" }, "currentRevision": {
        "revision": "r1", "changeIdentifier": "c1", "created": 1_795_000_000.5, "revisionSummary": "Fix" } });
    server.call("PutJobSuccessResult", done).await.unwrap();
    server.run().await;
    let id = first["pipelineExecutionId"].as_str().unwrap();
    let execution = json!({ "pipelineName": "release", "pipelineExecutionId": id });
    let execution = server.call("GetPipelineExecution", execution).await.unwrap()["pipelineExecution"].take();
    assert_eq!(execution["trigger"], json!({ "triggerType": "PutActionRevision", "triggerDetail": USER }));
    let revision = &execution["artifactRevisions"][0];
    assert_eq!((&revision["name"], &revision["revisionId"]), (&json!("Src"), &json!("r1")));
    assert_eq!((&revision["revisionSummary"], &revision["created"]), (&json!("Fix"), &json!(1_795_000_000.5)));
}
