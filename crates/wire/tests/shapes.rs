//! Every API output, of items bare, full and with hostile lengths, is of the shape that the API model says.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use engine::*;
use model::*;
use serde_json::{Value, json};
use wire::actions::{Beside, action_execution, action_execution_detail, rule_execution, rule_execution_detail};
use wire::executions::{ExecutionSummary, artifact_revision, pipeline_execution, pipeline_executions};
use wire::pipelines::Times;
use wire::state::{StageView, pipeline_state, stage_state};
use wire::{Place, pipelines};

const ID: &str = "0f9a1c4e-7a07-4f4b-9b5e-3a0d5f1c2b11";
const OTHER: &str = "5d1c7f0e-93cf-4f43-8f6c-0a1f6f9d7a02";

fn is_shape(shape: &str, value: &Value) {
    let findings = model::shapes::validate(shape, value);
    assert!(findings.is_empty(), "{shape}: {findings:#?}\n{value:#}");
}

fn pipeline() -> Pipeline {
    serde_json::from_value(json!({
        "name": "release", "roleArn": "arn:aws:iam::123456789012:role/ship",
        "artifactStore": { "type": "S3", "location": "store" }, "pipelineType": "V2",
        "stages": [
            { "name": "Source", "actions": [{
                "name": "Fetch", "namespace": "Fetched",
                "actionTypeId": { "category": "Source", "owner": "AWS", "provider": "S3", "version": "1" },
                "configuration": { "S3Bucket": "in", "S3ObjectKey": "a.zip" }, "outputArtifacts": [{ "name": "Src" }] }] },
            { "name": "Ship",
              "beforeEntry": { "conditions": [{ "result": "FAIL", "rules": [{ "name": "Window",
                "ruleTypeId": { "category": "Rule", "owner": "AWS", "provider": "DeploymentWindow", "version": "1" },
                "configuration": { "Cron": "* * * * *" } }] }] },
              "onFailure": { "result": "RETRY" },
              "actions": [{
                "name": "Decide", "roleArn": "arn:aws:iam::123456789012:role/other",
                "actionTypeId": { "category": "Approval", "owner": "AWS", "provider": "Manual", "version": "1" } }] }
        ]
    }))
    .unwrap()
}

const TIMES: Times = Times { created: Timestamp(1_700_000_000_250), updated: Timestamp(1_700_000_001_000) };

fn execution() -> Execution {
    Execution {
        id: ID.parse().unwrap(),
        ordinal: 7,
        pipeline: "release".into(),
        version: 2,
        mode: ExecutionMode::Superseded,
        kind: ExecutionType::Standard,
        status: ExecutionStatus::InProgress,
        plan: Arc::new(Vec::new()),
        done: BTreeSet::new(),
        at: BTreeMap::new(),
        attempt: 1,
        trigger: TriggerDetail { kind: TriggerType::Webhook, detail: "arn".into() },
        origin: None,
        variables: BTreeMap::new(),
        overrides: Vec::new(),
        revisions: Vec::new(),
        stop: None,
        cancel: None,
        superseded_by: None,
        rollback_target: None,
        ended_in: None,
        started_at: Timestamp(1_700_000_000_250),
        updated_at: Timestamp(1_700_000_001_000),
    }
}

fn full_execution(long: usize) -> Execution {
    Execution {
        kind: ExecutionType::Rollback,
        status: ExecutionStatus::Superseded,
        trigger: TriggerDetail { kind: TriggerType::ManualRollback, detail: "ä".repeat(long) },
        variables: [("tag".to_owned(), "v1".to_owned())].into(),
        revisions: vec![revision(long)],
        stop: Some(StopRequest { abandon: false, reason: Some("ä".repeat(long)) }),
        superseded_by: Some(OTHER.parse().unwrap()),
        rollback_target: Some(OTHER.parse().unwrap()),
        ..execution()
    }
}

fn revision(long: usize) -> SourceRevision {
    SourceRevision {
        action: "Fetch".into(),
        artifact: Some("Src".into()),
        revision_id: "r".repeat(long),
        summary: Some("ä".repeat(long)),
        url: Some("u".repeat(long)),
        created: Some(Timestamp(1_699_999_999_000)),
    }
}

fn action(stage: &str, name: &str, slot: Slot) -> ActionExecution {
    ActionExecution {
        id: OTHER.parse().unwrap(),
        key: ActionKey { execution: ID.parse().unwrap(), stage: stage.into(), slot, name: name.into(), attempt: 1 },
        pipeline: "release".into(),
        version: 2,
        pipeline_attempt: 1,
        execution_started_at: Timestamp(1_700_000_000_250),
        action_type: ActionTypeId {
            category: Category::Approval,
            owner: Owner::Aws,
            provider: "Manual".into(),
            version: "1".into(),
        },
        region: None,
        status: ActionStatus::InProgress,
        drive: 1,
        deadline: None,
        timeout_minutes: 60,
        external_id: None,
        external_url: None,
        percent_complete: None,
        task_token: None,
        summary: None,
        error: None,
        inputs: Vec::new(),
        outputs: Vec::new(),
        revision: None,
        approval: None,
        log: None,
        stage_retried_at: None,
        started_at: Timestamp(1_700_000_000_500),
        updated_at: Timestamp(1_700_000_000_750),
    }
}

fn full_action(stage: &str, name: &str, slot: Slot, long: usize) -> ActionExecution {
    let artifact = |name: &str| ArtifactLocation {
        name: name.into(),
        bucket: "store".into(),
        key: "release/Src/a1b2c3d".into(),
        digest: None,
        size: None,
        revision: None,
    };
    let decision = ApprovalDecision {
        approved: true,
        summary: "ok".into(),
        by: "arn:aws:iam::123456789012:user/ada".into(),
        via: None,
        at: Timestamp(1),
    };
    ActionExecution {
        status: ActionStatus::Cancelled,
        external_id: Some("e".repeat(long)),
        external_url: Some("u".repeat(long)),
        task_token: None,
        percent_complete: Some(50),
        summary: Some("ä".repeat(long)),
        error: Some(ErrorDetail { code: "JobFailed".into(), message: "ä".repeat(long) }),
        inputs: vec![artifact("Src")],
        outputs: vec![artifact("Out")],
        revision: Some(revision(long)),
        approval: Some(Approval { token: OTHER.into(), required: 1, decisions: vec![decision] }),
        log: Some(LogLocation { kind: "cloudwatch".into(), location: "l".repeat(long) }),
        ..action(stage, name, slot)
    }
}

/// A listing of an execution, read as it lies in the table.
fn listing(execution: &Execution, next: Option<&str>) -> Value {
    let summary: ExecutionSummary = serde_json::from_slice(&serde_json::to_vec(execution).unwrap()).unwrap();
    serde_json::to_value(pipeline_executions(&[summary], next)).unwrap()
}

const LENGTHS: [usize; 4] = [0, 1, 300, 9000];

#[test]
fn executions() {
    let all = LENGTHS.map(full_execution).into_iter().chain([execution()]);
    for execution in all {
        is_shape("PipelineExecution", &pipeline_execution(&execution));
        is_shape("ListPipelineExecutionsOutput", &listing(&execution, Some("token")));
    }
    let listed = listing(&full_execution(1), None);
    assert_eq!(listed.get("nextToken"), None);
    let summary = &listed["pipelineExecutionSummaries"][0];
    assert_eq!(summary["startTime"], json!(1_700_000_000.25));
    assert_eq!(summary["stopTrigger"], json!({ "reason": "ä" }));
    assert_eq!(summary["rollbackMetadata"], json!({ "rollbackTargetPipelineExecutionId": OTHER }));
    assert_eq!(summary["sourceRevisions"][0]["revisionId"], "r");
    let whole = pipeline_execution(&full_execution(1));
    assert_eq!(whole["variables"], json!([{ "name": "tag", "resolvedValue": "v1" }]));
    assert_eq!(whole["artifactRevisions"][0]["name"], "Src");
    assert_eq!(whole["artifactRevisions"][0]["created"], json!(1_699_999_999.0));
    assert_eq!(whole["trigger"], json!({ "triggerType": "ManualRollback", "triggerDetail": "ä" }));
    assert_eq!(whole["statusSummary"], format!("Superseded by {OTHER}"));
}

#[test]
fn revisions() {
    for long in LENGTHS {
        is_shape("ArtifactRevision", &artifact_revision(&revision(long)).unwrap());
    }
    assert_eq!(artifact_revision(&SourceRevision { artifact: None, ..revision(1) }), None);
}

#[test]
fn action_and_rule_executions() {
    let pipeline = pipeline();
    let variables: StringMap = [("Image".to_owned(), "sha".to_owned())].into();
    let beside = Beside {
        action: Some(&pipeline.stages[0].actions[0]),
        resolved: Some(&variables),
        variables: Some(&variables),
        region: "eu-west-1",
        role_arn: Some("arn:aws:iam::123456789012:role/ship"),
    };
    let bare = Beside { region: "eu-west-1", ..Beside::default() };
    let slot = Slot::RunOrder(1);
    for execution in
        LENGTHS.map(|long| full_action("Source", "Fetch", slot, long)).iter().chain([&action("S", "A", slot)])
    {
        for beside in [beside, bare] {
            is_shape("ActionExecutionDetail", &action_execution_detail(execution, beside));
            let rule_type = ActionTypeId { category: Category::Rule, ..execution.action_type.clone() };
            let rule = ActionExecution { action_type: rule_type, ..execution.clone() };
            is_shape("RuleExecutionDetail", &rule_execution_detail(&rule, beside));
        }
        is_shape("ActionExecution", &action_execution(execution));
        is_shape("RuleExecution", &rule_execution(execution));
    }
    let done = ActionExecution { status: ActionStatus::Succeeded, ..full_action("Source", "Fetch", slot, 3) };
    let detail = action_execution_detail(&done, beside);
    assert_eq!(detail["input"]["namespace"], "Fetched");
    assert_eq!(detail["input"]["region"], "eu-west-1");
    assert_eq!(detail["input"]["configuration"]["S3Bucket"], "in");
    assert_eq!(detail["input"]["resolvedConfiguration"], json!({ "Image": "sha" }));
    assert_eq!(detail["output"]["outputVariables"], json!({ "Image": "sha" }));
    assert_eq!(detail["output"]["outputArtifacts"][0]["s3location"]["key"], "release/Src/a1b2c3d");
    assert_eq!(detail["output"]["executionResult"]["errorDetails"], json!({ "code": "JobFailed", "message": "äää" }));
    assert_eq!(detail["updatedBy"], "arn:aws:iam::123456789012:user/ada");
}

#[test]
fn an_action_that_never_started_shows_as_abandoned_and_without_outputs() {
    let detail = action_execution_detail(&full_action("S", "A", Slot::RunOrder(1), 3), Beside::default());
    assert_eq!(detail["status"], "Abandoned");
    assert_eq!(detail["output"]["outputArtifacts"], json!([]));
}

#[test]
fn a_pending_approval_shows_its_token_and_a_decided_one_does_not() {
    let approval = Some(Approval { token: ID.into(), required: 1, decisions: Vec::new() });
    let pending = ActionExecution { approval, ..action("Ship", "Decide", Slot::RunOrder(1)) };
    assert_eq!(action_execution(&pending)["token"], ID);
    let detail = action_execution_detail(&pending, Beside::default());
    assert_eq!(detail["output"]["executionResult"]["externalExecutionId"], ID);
    let decided = ActionExecution { status: ActionStatus::Succeeded, ..pending };
    assert_eq!(action_execution(&decided)["token"], Value::Null);
    assert_eq!(action_execution_detail(&decided, Beside::default())["output"].get("executionResult"), None);
}

fn stage_execution() -> StageExecution {
    let window = ConditionState {
        status: ConditionStatus::Failed,
        result: Some(ConditionResult::Fail),
        summary: Some("outside the window".into()),
        changed_at: Timestamp(1_700_000_000_900),
    };
    StageExecution {
        execution: ID.parse().unwrap(),
        stage: "Ship".into(),
        status: StageStatus::Failed,
        phase: Phase::Ended,
        failed_in: Some(Phase::BeforeEntry),
        attempts: BTreeMap::new(),
        rule_attempts: BTreeMap::new(),
        pending: Vec::new(),
        conditions: [(ConditionSlot::BeforeEntry, window)].into(),
        attempt: 3,
        retries_left: 0,
        last_retry: Some(StageRetry {
            trigger: RetryTrigger::Manual,
            mode: RetryMode::AllActions,
            at: Timestamp(5),
            by_hand: 1,
            automatic: 1,
        }),
        started_at: Timestamp(1),
        updated_at: Timestamp(2),
    }
}

#[test]
fn the_state_of_a_pipeline() {
    let (pipeline, execution, stage) = (pipeline(), execution(), stage_execution());
    let fetch = full_action("Source", "Fetch", Slot::RunOrder(1), 9000);
    let window = full_action("Ship", "Window", Slot::Rule(ConditionSlot::BeforeEntry), 3);
    let waiting = full_execution(3);
    let hold = Hold {
        kind: HoldKind::InboundTransition,
        by: "arn:aws:iam::123456789012:user/ada".into(),
        reason: "freeze".into(),
        from: Timestamp(1_700_000_000_000),
    };
    let first = StageView {
        stage: &pipeline.stages[0],
        waiting: Vec::new(),
        holds: None,
        enabled: None,
        latest: Some((&execution, &stage)),
        actions: vec![&fetch],
        entity_urls: std::collections::BTreeMap::new(),
    };
    let second = StageView {
        stage: &pipeline.stages[1],
        waiting: vec![&waiting, &execution],
        holds: Some(std::slice::from_ref(&hold)),
        enabled: None,
        latest: Some((&execution, &stage)),
        actions: vec![&window],
        entity_urls: std::collections::BTreeMap::new(),
    };
    let state = pipeline_state(&"release".into(), 2, TIMES, &[first, second]);
    is_shape("GetPipelineStateOutput", &state);
    let stages = &state["stageStates"];
    assert_eq!(stages[0].get("inboundTransitionState"), None);
    assert_eq!(stages[0]["actionStates"][0]["currentRevision"]["revisionId"].as_str().unwrap().len(), 1500);
    assert_eq!(stages[1]["inboundExecution"]["pipelineExecutionId"], ID);
    assert_eq!(stages[1]["inboundExecution"]["type"], "ROLLBACK");
    assert_eq!(stages[1]["inboundExecution"]["status"], "Stopping");
    assert_eq!(stages[1]["inboundExecutions"].as_array().unwrap().len(), 2);
    assert_eq!(stages[1]["inboundTransitionState"]["enabled"], false);
    assert_eq!(stages[1]["inboundTransitionState"]["disabledReason"], "freeze");
    assert_eq!(stages[1]["latestExecution"]["status"], "Failed");
    assert_eq!(stages[1]["actionStates"], json!([{ "actionName": "Decide" }]));
    let before = &stages[1]["beforeEntryConditionState"];
    assert_eq!(before["latestExecution"], json!({ "status": "Failed", "summary": "outside the window" }));
    assert_eq!(before["conditionStates"][0]["ruleStates"][0]["ruleName"], "Window");
    assert_eq!(before["conditionStates"][0]["ruleStates"][0]["latestExecution"]["status"], "Abandoned");
    assert_eq!(before["conditionStates"][0]["latestExecution"]["lastStatusChange"], json!(1_700_000_000.9));
    assert_eq!(
        stages[1]["retryStageMetadata"],
        json!({ "autoStageRetryAttempt": 1, "manualStageRetryAttempt": 1, "latestRetryTrigger": "ManualStageRetry" })
    );
}

#[test]
fn a_fresh_pipeline_and_a_parallel_one_have_stages_without_state() {
    let pipeline = pipeline();
    let stages: Vec<StageView> = pipeline.stages.iter().map(StageView::stateless).collect();
    is_shape("GetPipelineStateOutput", &pipeline_state(&"release".into(), 2, TIMES, &stages));
    let view = StageView { holds: Some(&[]), ..StageView::stateless(&pipeline.stages[1]) };
    let state = stage_state(&view);
    is_shape("StageState", &state);
    assert_eq!(state["inboundTransitionState"], json!({ "enabled": true }));
    assert_eq!(state.get("onFailureConditionState"), None);
}

/// Semantics §6: GetPipeline returns a default trigger that the service added when DetectChanges is unset.
#[test]
fn a_connected_source_without_a_trigger_comes_back_with_one() {
    let mut pipeline = pipeline();
    let own = json!({ "providerType": "CodeStarSourceConnection",
        "gitConfiguration": { "sourceActionName": "Fetch", "push": [{ "tags": { "includes": ["v*"] } }] } });
    let added = json!({ "providerType": "CodeStarSourceConnection",
        "gitConfiguration": { "sourceActionName": "Fetch", "push": [{ "branches": { "includes": ["main"] } }] } });
    let shown = |pipeline: &Pipeline| {
        let declaration = pipelines::declaration(pipeline, 4);
        is_shape("PipelineDeclaration", &declaration);
        declaration.get("triggers").cloned()
    };
    assert_eq!(shown(&pipeline), None, "a bucket");
    let fetch = &mut pipeline.stages[0].actions[0];
    fetch.action_type_id.provider = "CodeStarSourceConnection".into();
    fetch.configuration = [("BranchName".into(), "main".into())].into();
    assert_eq!(shown(&pipeline), Some(json!([added])));
    let mut braces = pipeline.clone();
    braces.stages[0].actions[0].configuration.insert("BranchName".into(), "{a,b}".into());
    assert_eq!(shown(&braces), None, "a pattern would mean other branches");
    let mut quiet = pipeline.clone();
    quiet.stages[0].actions[0].configuration.insert("DetectChanges".into(), "false".into());
    assert_eq!(shown(&quiet), None);
    pipeline.triggers = serde_json::from_value(json!([own])).unwrap();
    assert_eq!(shown(&pipeline), Some(json!([own])));
    pipeline.triggers.clear();
    pipeline.pipeline_type = Some(PipelineType::V1);
    assert_eq!(shown(&pipeline), None, "V1 has no triggers");
}

#[test]
fn pipelines_come_back_with_the_defaults_filled_in() {
    let place = Place::new("123456789012", "eu-west-1");
    let declaration = pipelines::declaration(&pipeline(), 4);
    is_shape("PipelineDeclaration", &declaration);
    assert_eq!(declaration["version"], 4);
    assert_eq!(declaration["executionMode"], "SUPERSEDED");
    assert_eq!(declaration["pipelineType"], "V2");
    assert_eq!(declaration["stages"][1]["actions"][0]["runOrder"], 1);
    assert_eq!(declaration["stages"][1]["actions"][0]["configuration"], json!({}));
    assert_eq!(declaration["stages"][1]["actions"][0]["inputArtifacts"], json!([]));
    let metadata = pipelines::metadata(&"release".into(), TIMES, &place);
    is_shape("PipelineMetadata", &metadata);
    assert_eq!(metadata["pipelineArn"], "arn:aws:codepipeline:eu-west-1:123456789012:release");
    let summary = pipelines::summary(&"release".into(), 2, PipelineType::V1, ExecutionMode::Queued, TIMES);
    is_shape("PipelineSummary", &summary);
    assert_eq!(summary["created"], json!(1_700_000_000.25));
}
