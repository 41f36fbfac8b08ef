//! Operations from end to end, as a client sees them. Every answer is checked against the API model on the way.

use serde_json::{Value, json};

use super::server::{NOW, Server, USER, code, declaration, server};

async fn created() -> Server {
    let server = server();
    server.call("CreatePipeline", json!({ "pipeline": declaration("release") })).await.unwrap();
    server
}

impl Server {
    async fn start(&self) -> String {
        let started = self.call("StartPipelineExecution", json!({ "name": "release" })).await.unwrap();
        self.run().await;
        started["pipelineExecutionId"].as_str().unwrap().into()
    }

    async fn status(&self, id: &str) -> String {
        let input = json!({ "pipelineName": "release", "pipelineExecutionId": id });
        let found = self.call("GetPipelineExecution", input).await.unwrap();
        found["pipelineExecution"]["status"].as_str().unwrap().into()
    }

    async fn stages(&self) -> Value {
        self.call("GetPipelineState", json!({ "name": "release" })).await.unwrap()["stageStates"].take()
    }

    async fn token(&self) -> String {
        let stages = self.stages().await;
        stages[1]["actionStates"][0]["latestExecution"]["token"].as_str().unwrap().into()
    }

    async fn decide(&self, token: &str, status: &str) -> Result<Value, (String, String)> {
        let result = json!({ "status": status, "summary": "by test" });
        let input = json!({ "pipelineName": "release", "stageName": "Check", "actionName": "Decide", "token": token,
                            "result": result });
        let decided = self.call("PutApprovalResult", input).await;
        self.run().await;
        decided
    }
}

#[tokio::test]
async fn pipelines_are_created_updated_listed_and_deleted() {
    let server = server();
    let created =
        server.call("CreatePipeline", json!({ "pipeline": declaration("release"), "tags": [] })).await.unwrap();
    assert_eq!(created["pipeline"]["version"], 1);
    assert_eq!(created["pipeline"]["stages"][0]["actions"][0]["runOrder"], 1);
    let again = server.call("CreatePipeline", json!({ "pipeline": declaration("release") })).await;
    assert_eq!(code(again), "PipelineNameInUseException");
    let mut changed = declaration("release");
    changed["executionMode"] = json!("QUEUED");
    let updated = server.call("UpdatePipeline", json!({ "pipeline": changed })).await.unwrap();
    assert_eq!(updated["pipeline"]["version"], 2);
    let got = server.call("GetPipeline", json!({ "name": "release" })).await.unwrap();
    assert_eq!(got["pipeline"], updated["pipeline"]);
    assert_eq!(got["metadata"]["pipelineArn"], "arn:aws:codepipeline:eu-west-1:123456789012:release");
    let first = server.call("GetPipeline", json!({ "name": "release", "version": 1 })).await.unwrap();
    assert_eq!(first["pipeline"]["executionMode"], "SUPERSEDED");
    let missing = server.call("GetPipeline", json!({ "name": "release", "version": 3 })).await;
    assert_eq!(code(missing), "PipelineVersionNotFoundException");
    assert_eq!(code(server.call("GetPipeline", json!({ "name": "other" })).await), "PipelineNotFoundException");
    let other = server.call("UpdatePipeline", json!({ "pipeline": declaration("other") })).await;
    assert_eq!(code(other), "PipelineNotFoundException");
    assert_eq!(server.call("DeletePipeline", json!({ "name": "release" })).await, Ok(Value::Null));
    assert_eq!(server.call("DeletePipeline", json!({ "name": "release" })).await, Ok(Value::Null));
    assert_eq!(code(server.call("GetPipeline", json!({ "name": "release" })).await), "PipelineNotFoundException");
}

#[tokio::test]
async fn listings_come_in_pages() {
    let server = server();
    for name in ["a", "b", "c", "d", "e"] {
        server.call("CreatePipeline", json!({ "pipeline": declaration(name) })).await.unwrap();
    }
    let (mut names, mut input) = (Vec::new(), json!({ "maxResults": 2 }));
    loop {
        let page = server.call("ListPipelines", input.clone()).await.unwrap();
        let found = page["pipelines"].as_array().unwrap();
        assert!(found.len() <= 2);
        names.extend(found.iter().map(|pipeline| pipeline["name"].as_str().unwrap().to_owned()));
        match page.get("nextToken") {
            Some(token) => input["nextToken"] = token.clone(),
            None => break,
        }
    }
    assert_eq!(names, ["a", "b", "c", "d", "e"]);
    for wrong in ["x", "bnVsbA==", "eyJ4IjoxfQ"] {
        let page = server.call("ListPipelines", json!({ "nextToken": wrong })).await;
        assert_eq!(code(page), "InvalidNextTokenException", "{wrong}");
    }
}

#[tokio::test]
async fn faults_of_a_declaration_come_all_at_once_under_one_name() {
    let server = server();
    let create = |change: fn(&mut Value)| {
        let mut pipeline = declaration("release");
        change(&mut pipeline);
        server.call("CreatePipeline", json!({ "pipeline": pipeline }))
    };
    let (name, message) = create(|p| p["stages"] = json!([p["stages"][0]])).await.unwrap_err();
    assert_eq!(name, "InvalidStructureException", "{message}");
    let (name, message) = create(|p| {
        p["stages"][2]["actions"][0]["configuration"]["Extrct"] = json!("x");
        p["stages"][0]["actions"][0]["configuration"] = json!({ "S3Bucket": "in-bucket" });
    })
    .await
    .unwrap_err();
    assert_eq!(name, "InvalidActionDeclarationException", "{message}");
    assert!(message.contains("S3ObjectKey") && message.contains("Extrct"), "{message}");
    let (name, message) = create(|p| p["stages"][0]["actions"][0]["name"] = json!("a b")).await.unwrap_err();
    assert_eq!(name, "ValidationException");
    assert!(
        message.starts_with(
            "1 validation error detected: Value 'a b' at 'pipeline.stages.1.member.actions.1.member.name'"
        )
    );
    assert_eq!(server.call("ListPipelines", json!({})).await.unwrap()["pipelines"], json!([]));
}

#[tokio::test]
async fn secrets_do_not_come_back() {
    let server = server();
    let mut pipeline = declaration("release");
    pipeline["stages"][0]["actions"][0]["actionTypeId"] =
        json!({ "category": "Source", "owner": "ThirdParty", "provider": "GitHub", "version": "1" });
    pipeline["stages"][0]["actions"][0]["configuration"] = json!({ "Owner": "o", "Repo": "r", "Branch": "main", "OAuthToken": "hunter2", "PollForSourceChanges": "false" });
    let created = server.call("CreatePipeline", json!({ "pipeline": pipeline })).await.unwrap();
    let got = server.call("GetPipeline", json!({ "name": "release" })).await.unwrap();
    for output in [created, got] {
        assert_eq!(output["pipeline"]["stages"][0]["actions"][0]["configuration"]["OAuthToken"], "****");
        assert!(!output.to_string().contains("hunter2"));
    }
}

#[tokio::test]
async fn an_execution_waits_for_its_approval_and_goes_on() {
    let server = created().await;
    let id = server.start().await;
    assert_eq!(server.status(&id).await, "InProgress");
    let stages = server.stages().await;
    assert_eq!(stages[0]["latestExecution"]["status"], "Succeeded");
    assert_eq!(stages[0]["actionStates"][0]["currentRevision"]["revisionId"], "8cf40f2");
    assert_eq!(stages[0].get("inboundTransitionState"), None);
    assert_eq!(
        stages[1]["latestExecution"],
        json!({ "pipelineExecutionId": id, "status": "InProgress", "type": "STANDARD" })
    );
    assert_eq!(stages[1]["inboundTransitionState"]["enabled"], true);
    let token = server.token().await;
    assert_eq!(
        code(server.decide("00000000-0000-0000-0000-000000000000", "Approved").await),
        "InvalidApprovalTokenException"
    );
    let decided = server.decide(&token, "Approved").await.unwrap();
    assert!(decided["approvedAt"].as_f64().unwrap() >= NOW.as_epoch_seconds());
    assert_eq!(server.status(&id).await, "Succeeded");
    assert_eq!(code(server.decide(&token, "Approved").await), "ApprovalAlreadyCompletedException");
    let history = server.call("ListActionExecutions", json!({ "pipelineName": "release" })).await.unwrap();
    let details = history["actionExecutionDetails"].as_array().unwrap();
    let names: Vec<&str> = details.iter().map(|detail| detail["actionName"].as_str().unwrap()).collect();
    assert_eq!(names, ["Upload", "Decide", "Fetch"]);
    assert_eq!(details[1]["updatedBy"], USER);
    assert_eq!(details[1]["input"]["configuration"]["CustomData"], "Look at #{Fetched.CommitId}");
    assert_eq!(details[1]["input"]["resolvedConfiguration"]["CustomData"], "Look at 8cf40f2");
    assert_eq!(details[2]["output"]["outputVariables"], json!({ "CommitId": "8cf40f2" }));
    assert_eq!(details[2]["input"]["namespace"], "Fetched");
}

#[tokio::test]
async fn executions_and_their_actions_are_listed_in_pages() {
    let server = created().await;
    let mut started = Vec::new();
    for _ in 0..3 {
        started.push(server.start().await);
        let token = server.token().await;
        server.decide(&token, "Approved").await.unwrap();
    }
    started.reverse();
    let mut ids = Vec::new();
    let mut input = json!({ "pipelineName": "release", "maxResults": 1 });
    loop {
        let page = server.call("ListPipelineExecutions", input.clone()).await.unwrap();
        for summary in page["pipelineExecutionSummaries"].as_array().unwrap() {
            assert_eq!(summary["sourceRevisions"][0]["revisionId"], "8cf40f2");
            assert_eq!(summary["trigger"], json!({ "triggerType": "StartPipelineExecution", "triggerDetail": USER }));
            ids.push(summary["pipelineExecutionId"].as_str().unwrap().to_owned());
        }
        let Some(token) = page.get("nextToken") else { break };
        input["nextToken"] = token.clone();
    }
    assert_eq!(ids, started);
    let (mut actions, mut input) = (0, json!({ "pipelineName": "release", "maxResults": 2 }));
    loop {
        let page = server.call("ListActionExecutions", input.clone()).await.unwrap();
        actions += page["actionExecutionDetails"].as_array().unwrap().len();
        let Some(token) = page.get("nextToken") else { break };
        input["nextToken"] = token.clone();
    }
    assert_eq!(actions, 9);
    let one = json!({ "pipelineName": "release", "filter": { "pipelineExecutionId": started[1] } });
    let page = server.call("ListActionExecutions", one).await.unwrap();
    assert_eq!(page["actionExecutionDetails"].as_array().unwrap().len(), 3);
    let rules = server.call("ListRuleExecutions", json!({ "pipelineName": "release" })).await.unwrap();
    assert_eq!(rules, json!({ "ruleExecutionDetails": [] }));
    let succeeded = json!({ "pipelineName": "release", "filter": { "succeededInStage": { "stageName": "Ship" } } });
    let page = server.call("ListPipelineExecutions", succeeded.clone()).await.unwrap();
    assert_eq!(page["pipelineExecutionSummaries"].as_array().unwrap().len(), 3);
    // Those of the current version only.
    server.call("UpdatePipeline", json!({ "pipeline": declaration("release") })).await.unwrap();
    let id = server.start().await;
    let token = server.token().await;
    server.decide(&token, "Approved").await.unwrap();
    let page = server.call("ListPipelineExecutions", succeeded).await.unwrap();
    let found: Vec<_> = page["pipelineExecutionSummaries"].as_array().unwrap().iter().collect();
    assert!(found.len() == 1 && found[0]["pipelineExecutionId"] == id && page.get("nextToken").is_none(), "{page}");
}

/// 1: "in-progress actions are let finish": an approval that waits can be decided, whatever its stage is called since.
#[tokio::test]
async fn an_approval_is_decided_after_its_stage_was_renamed() {
    let server = created().await;
    let id = server.start().await;
    let token = server.token().await;
    let mut changed = declaration("release");
    changed["stages"][1]["name"] = json!("Sign");
    server.call("UpdatePipeline", json!({ "pipeline": changed })).await.unwrap();
    assert_eq!(code(server.decide("00000000-0000-0000-0000-000000000000", "Approved").await), "StageNotFoundException");
    server.decide(&token, "Approved").await.unwrap();
    let actions = json!({ "pipelineName": "release", "filter": { "pipelineExecutionId": id } });
    let page = server.call("ListActionExecutions", actions).await.unwrap();
    let decided =
        page["actionExecutionDetails"].as_array().unwrap().iter().find(|found| found["actionName"] == "Decide");
    assert_eq!(decided.unwrap()["status"], "Succeeded");
}

#[tokio::test]
async fn a_rejected_stage_is_retried_and_latest_shows_the_newest_attempt() {
    let server = created().await;
    let id = server.start().await;
    let token = server.token().await;
    server.decide(&token, "Rejected").await.unwrap();
    assert_eq!(server.status(&id).await, "Failed");
    let retry = json!({ "pipelineName": "release", "stageName": "Check", "pipelineExecutionId": id, "retryMode": "FAILED_ACTIONS" });
    assert_eq!(server.call("RetryStageExecution", retry.clone()).await.unwrap(), json!({ "pipelineExecutionId": id }));
    server.run().await;
    assert_eq!(code(server.call("RetryStageExecution", retry).await), "StageNotRetryableException");
    assert_ne!(server.token().await, token);
    assert_eq!(server.stages().await[1]["retryStageMetadata"]["latestRetryTrigger"], "ManualStageRetry");
    let filter = |range: &str| {
        let latest = json!({ "pipelineExecutionId": id, "startTimeRange": range });
        json!({ "pipelineName": "release", "filter": { "latestInPipelineExecution": latest } })
    };
    for (range, count) in [("All", 3), ("Latest", 2)] {
        let page = server.call("ListActionExecutions", filter(range)).await.unwrap();
        assert_eq!(page["actionExecutionDetails"].as_array().unwrap().len(), count, "{range}");
    }
    let mut both = filter("All");
    both["filter"]["pipelineExecutionId"] = json!("00000000-0000-0000-0000-000000000000");
    assert_eq!(code(server.call("ListActionExecutions", both).await), "ValidationException");
}

/// One page after the other, of one entry each: whose attempts they are.
async fn attempts(server: &Server, mut input: Value, between: impl AsyncFn()) -> Vec<String> {
    input["maxResults"] = json!(1);
    let mut found = Vec::new();
    loop {
        let page = server.call("ListActionExecutions", input.clone()).await.unwrap();
        let [one] = &page["actionExecutionDetails"].as_array().unwrap()[..] else { panic!("not one: {page}") };
        found.push(format!("{} {}", one["actionName"].as_str().unwrap(), one["status"].as_str().unwrap()));
        if page["nextToken"].is_null() {
            return found;
        }
        input["nextToken"] = page["nextToken"].clone();
        between().await;
    }
}

#[tokio::test]
async fn pages_are_full_and_what_starts_meanwhile_moves_nothing() {
    let server = created().await;
    let id = server.start().await;
    let again = async || {
        server.decide(&server.token().await, "Rejected").await.unwrap();
        let retry = json!({ "pipelineName": "release", "stageName": "Check", "pipelineExecutionId": id, "retryMode": "FAILED_ACTIONS" });
        server.call("RetryStageExecution", retry).await.unwrap();
        server.run().await;
    };
    again().await;
    again().await;
    let latest = json!({ "pipelineExecutionId": id, "startTimeRange": "Latest" });
    let input = json!({ "pipelineName": "release", "filter": { "latestInPipelineExecution": latest } });
    assert_eq!(attempts(&server, input, async || {}).await, ["Decide InProgress", "Fetch Succeeded"]);
    let all = attempts(&server, json!({ "pipelineName": "release" }), again).await;
    assert_eq!(all, ["Decide InProgress", "Decide Failed", "Decide Failed", "Fetch Succeeded"]);
}

#[tokio::test]
async fn executions_are_stopped() {
    let server = created().await;
    let id = server.start().await;
    let stop = |abandon: bool| json!({ "pipelineName": "release", "pipelineExecutionId": id, "abandon": abandon, "reason": "update" });
    server.call("StopPipelineExecution", stop(false)).await.unwrap();
    server.run().await;
    assert_eq!(server.status(&id).await, "Stopping");
    assert_eq!(code(server.call("StopPipelineExecution", stop(false)).await), "DuplicatedStopRequestException");
    server.call("StopPipelineExecution", stop(true)).await.unwrap();
    server.run().await;
    assert_eq!(server.status(&id).await, "Stopped");
    assert_eq!(code(server.call("StopPipelineExecution", stop(true)).await), "PipelineExecutionNotStoppableException");
    let page = server.call("ListPipelineExecutions", json!({ "pipelineName": "release" })).await.unwrap();
    assert_eq!(page["pipelineExecutionSummaries"][0]["stopTrigger"], json!({ "reason": "update" }));
}

#[tokio::test]
async fn transitions_hold_executions_back() {
    let server = created().await;
    let at = json!({ "pipelineName": "release", "stageName": "Check", "transitionType": "Inbound" });
    let mut disable = at.clone();
    disable["reason"] = json!("freeze");
    assert_eq!(server.call("DisableStageTransition", disable).await, Ok(Value::Null));
    let id = server.start().await;
    let stages = server.stages().await;
    assert_eq!(stages[1]["inboundExecution"]["pipelineExecutionId"], id.as_str());
    let transition = &stages[1]["inboundTransitionState"];
    assert_eq!((&transition["enabled"], &transition["disabledReason"]), (&json!(false), &json!("freeze")));
    assert_eq!(transition["lastChangedBy"], USER);
    assert_eq!(server.call("EnableStageTransition", at).await, Ok(Value::Null));
    // Who and when is kept.
    let transition = server.stages().await[1]["inboundTransitionState"].take();
    assert_eq!(
        transition,
        json!({ "enabled": true, "lastChangedBy": USER, "lastChangedAt": transition["lastChangedAt"] })
    );
    assert!(transition["lastChangedAt"].as_f64().unwrap() >= NOW.as_epoch_seconds());
    server.run().await;
    let stages = server.stages().await;
    assert_eq!(stages[1].get("inboundExecution"), None);
    assert_eq!(stages[1]["latestExecution"]["pipelineExecutionId"], id.as_str());
    let unknown = json!({ "pipelineName": "release", "stageName": "No", "transitionType": "Inbound" });
    assert_eq!(code(server.call("EnableStageTransition", unknown).await), "StageNotFoundException");
}

#[tokio::test]
async fn a_stage_is_rolled_back() {
    let server = created().await;
    let id = server.start().await;
    let token = server.token().await;
    server.decide(&token, "Approved").await.unwrap();
    let input = |stage: &str| json!({ "pipelineName": "release", "stageName": stage, "targetPipelineExecutionId": id });
    let rollback = server.call("RollbackStage", input("Ship")).await.unwrap();
    server.run().await;
    let execution = json!({ "pipelineName": "release", "pipelineExecutionId": rollback["pipelineExecutionId"] });
    let execution = server.call("GetPipelineExecution", execution).await.unwrap()["pipelineExecution"].take();
    assert_eq!(execution["executionType"], "ROLLBACK");
    assert_eq!(execution["rollbackMetadata"], json!({ "rollbackTargetPipelineExecutionId": id }));
    assert_eq!(execution["trigger"], json!({ "triggerType": "ManualRollback", "triggerDetail": USER }));
    assert_eq!(code(server.call("RollbackStage", input("Source")).await), "UnableToRollbackStageException");
}

#[tokio::test]
async fn a_failed_condition_is_overridden() {
    let server = server();
    let mut pipeline = declaration("release");
    pipeline["stages"][2]["beforeEntry"] = json!({ "conditions": [{ "result": "FAIL", "rules": [{
        "name": "FailAlways", "ruleTypeId": { "category": "Rule", "owner": "AWS", "provider": "VariableCheck", "version": "1" },
        "configuration": { "Variable": "#{Fetched.CommitId}", "Value": "x", "Operator": "EQ" } }] }] });
    server.call("CreatePipeline", json!({ "pipeline": pipeline })).await.unwrap();
    let id = server.start().await;
    let token = server.token().await;
    server.decide(&token, "Approved").await.unwrap();
    assert_eq!(server.status(&id).await, "Failed");
    let before = server.stages().await[2]["beforeEntryConditionState"].take();
    assert_eq!(before["latestExecution"]["status"], "Failed");
    assert_eq!(before["conditionStates"][0]["ruleStates"][0]["ruleName"], "FailAlways");
    assert_eq!(before["conditionStates"][0]["ruleStates"][0]["latestExecution"]["status"], "Failed");
    let rules = server.call("ListRuleExecutions", json!({ "pipelineName": "release" })).await.unwrap();
    assert_eq!(rules["ruleExecutionDetails"][0]["input"]["ruleTypeId"]["provider"], "VariableCheck");
    assert_eq!(rules["ruleExecutionDetails"][0]["input"]["resolvedConfiguration"]["Variable"], "8cf40f2");
    let over = |condition: &str| json!({ "pipelineName": "release", "stageName": "Ship", "pipelineExecutionId": id, "conditionType": condition });
    assert_eq!(code(server.call("OverrideStageCondition", over("ON_FAILURE")).await), "ValidationException");
    assert_eq!(server.call("OverrideStageCondition", over("BEFORE_ENTRY")).await, Ok(Value::Null));
    server.run().await;
    assert_eq!(server.status(&id).await, "Succeeded");
    let before = server.stages().await[2]["beforeEntryConditionState"].take();
    assert_eq!(before["latestExecution"]["status"], "Overridden");
}

#[tokio::test]
async fn the_same_request_token_starts_once() {
    let server = created().await;
    let start =
        |token: &str| server.call("StartPipelineExecution", json!({ "name": "release", "clientRequestToken": token }));
    let first = start("token-1").await.unwrap();
    assert_eq!(start("token-1").await.unwrap(), first);
    assert_ne!(start("token-2").await.unwrap(), first);
}

#[tokio::test]
async fn a_request_token_stands_for_one_request() {
    let server = created().await;
    let start = |token: &str, tag: &str, version: &str| {
        let variables = json!([{ "name": "tag", "value": tag }]);
        let revisions =
            json!([{ "actionName": "Fetch", "revisionType": "S3_OBJECT_VERSION_ID", "revisionValue": version }]);
        let input = json!({ "name": "release", "clientRequestToken": token, "variables": variables, "sourceRevisions": revisions });
        server.call("StartPipelineExecution", input)
    };
    let first = start("token-1", "v2", "abc").await.unwrap();
    assert_eq!(start("token-1", "v2", "abc").await.unwrap(), first);
    for (tag, version) in [("v3", "abc"), ("v2", "abd")] {
        let (error, message) = start("token-1", tag, version).await.unwrap_err();
        assert_eq!(error, "ValidationException");
        assert!(message.contains(first["pipelineExecutionId"].as_str().unwrap()), "{message}");
    }
    let listed = server.call("ListPipelineExecutions", json!({ "pipelineName": "release" })).await.unwrap();
    assert_eq!(listed["pipelineExecutionSummaries"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_hold_before_the_first_stage_is_shown() {
    let server = created().await;
    let at = json!({ "pipelineName": "release", "stageName": "Source", "transitionType": "Inbound" });
    assert_eq!(server.stages().await[0].get("inboundTransitionState"), None);
    let mut disable = at.clone();
    disable["reason"] = json!("freeze");
    server.call("DisableStageTransition", disable).await.unwrap();
    let id = server.start().await;
    let stages = server.stages().await;
    assert_eq!(stages[0]["inboundTransitionState"]["disabledReason"], "freeze");
    assert_eq!(stages[0]["inboundExecution"]["pipelineExecutionId"], id.as_str());
    server.call("EnableStageTransition", at).await.unwrap();
    assert_eq!(server.stages().await[0].get("inboundTransitionState"), None);
}

#[tokio::test]
async fn starts_take_variables_and_source_revisions() {
    let server = created().await;
    let variables = json!([{ "name": "tag", "value": "v2" }]);
    let revisions = json!([{ "actionName": "Fetch", "revisionType": "S3_OBJECT_VERSION_ID", "revisionValue": "abc" }]);
    let input = json!({ "name": "release", "variables": variables, "sourceRevisions": revisions });
    let started = server.call("StartPipelineExecution", input).await.unwrap();
    let execution = json!({ "pipelineName": "release", "pipelineExecutionId": started["pipelineExecutionId"] });
    let execution = server.call("GetPipelineExecution", execution).await.unwrap();
    assert_eq!(execution["pipelineExecution"]["variables"], json!([{ "name": "tag", "resolvedValue": "v2" }]));
    let twice = json!([{ "name": "tag", "value": "1" }, { "name": "tag", "value": "2" }]);
    let input = json!({ "name": "release", "variables": twice });
    assert_eq!(code(server.call("StartPipelineExecution", input).await), "ValidationException");
    let unknown = json!([{ "name": "other", "value": "1" }]);
    let input = json!({ "name": "release", "variables": unknown });
    assert_eq!(code(server.call("StartPipelineExecution", input).await), "ValidationException");
    let input = json!({ "name": "release", "sourceRevisions": [revisions[0], revisions[0]] });
    assert_eq!(code(server.call("StartPipelineExecution", input).await), "ValidationException");
}

#[tokio::test]
async fn in_parallel_mode_stages_have_no_state_and_tokens_stand_in_the_history() {
    let server = server();
    let mut pipeline = declaration("release");
    pipeline["executionMode"] = json!("PARALLEL");
    server.call("CreatePipeline", json!({ "pipeline": pipeline })).await.unwrap();
    let ids = [server.start().await, server.start().await];
    let stages = server.stages().await;
    assert_eq!(
        stages[1],
        json!({ "stageName": "Check", "inboundExecutions": [], "actionStates": [{ "actionName": "Decide" }] })
    );
    for id in ids {
        let input = json!({ "pipelineName": "release", "filter": { "pipelineExecutionId": id } });
        let history = server.call("ListActionExecutions", input).await.unwrap();
        let result = &history["actionExecutionDetails"][0]["output"]["executionResult"];
        server.decide(result["externalExecutionId"].as_str().unwrap(), "Approved").await.unwrap();
        assert_eq!(server.status(&id).await, "Succeeded");
    }
}

#[tokio::test]
async fn every_operation_of_the_model_is_offered_or_says_that_it_is_not() {
    let server = server();
    let mut without_input = Vec::new();
    for (name, operation) in model::shapes::operations() {
        match server.call(name, json!({ "noSuchField": 1 })).await {
            Err((code, _)) => assert_eq!(code, "ValidationException", "{name}"),
            Ok(_) => panic!("{name} takes what the model does not know"),
        }
        let required = model::shapes::shape(&operation.input).unwrap().members().iter().any(|member| member.required);
        let missing = server.call(name, json!({})).await;
        match (required, missing) {
            (true, Err((code, _))) => assert_eq!(code, "ValidationException", "{name}"),
            (false, Ok(_)) => without_input.push(name),
            (false, Err((code, message))) => {
                assert!(name.contains("Webhook"), "{name}: {code} {message}");
            }
            (true, Ok(_)) => panic!("{name} needs fields"),
        }
    }
    without_input.retain(|name| !name.contains("Webhook"));
    assert_eq!(without_input, ["ListActionTypes", "ListPipelines", "ListRuleTypes"]);
}
