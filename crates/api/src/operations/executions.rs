//! What is asked of executions: start, stop, retry, rollback, override, transitions, approvals.

use engine::{
    ApprovalDecision, Override, Retry, Rollback, SetTransition, SourceOverride, Start, Stop, TransitionSide,
    TriggerDetail,
};
use model::{ConditionSlot, RetryMode, SourceRevisionType, StringMap, TriggerType};
use serde_json::{Value, json};

use super::{Call, input};
use crate::error::ApiError;

pub(super) async fn start(call: &Call) -> Result<Value, ApiError> {
    let input = &call.input;
    let start = Start {
        trigger: TriggerDetail { kind: TriggerType::StartPipelineExecution, detail: call.principal.clone() },
        origin: None,
        variables: variables(input)?,
        overrides: overrides(input)?,
    };
    let token = input["clientRequestToken"].as_str();
    let id = call.control.start_pipeline_execution(&input::text(input, "name").into(), start, token).await?;
    Ok(json!({ "pipelineExecutionId": id }))
}

fn variables(input: &Value) -> Result<StringMap, ApiError> {
    let mut variables = StringMap::new();
    for variable in input["variables"].as_array().into_iter().flatten() {
        let name = input::text(variable, "name");
        if variables.insert(name.into(), input::text(variable, "value").into()).is_some() {
            return Err(ApiError::invalid(format!("the variable {name} is given twice")));
        }
    }
    Ok(variables)
}

fn overrides(input: &Value) -> Result<Vec<SourceOverride>, ApiError> {
    let mut overrides: Vec<SourceOverride> = Vec::new();
    for given in input["sourceRevisions"].as_array().into_iter().flatten() {
        let action = input::text(given, "actionName");
        if overrides.iter().any(|other| other.action == action) {
            return Err(ApiError::invalid(format!("the source revision of {action} is given twice")));
        }
        let kind = word(given, "revisionType", SourceRevisionType::parse)?;
        overrides.push(SourceOverride {
            action: action.into(),
            kind,
            value: input::text(given, "revisionValue").into(),
        });
    }
    Ok(overrides)
}

/// A fixed word; the API model lets only known ones through.
fn word<T>(input: &Value, name: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, ApiError> {
    parse(input::text(input, name)).ok_or_else(|| ApiError::invalid(format!("{name} is not a known word")))
}

pub(super) async fn stop(call: &Call) -> Result<Value, ApiError> {
    let execution = input::execution_id(&call.input, "pipelineExecutionId")?;
    let abandon = call.input["abandon"].as_bool().unwrap_or(false);
    let stop = Stop { execution, abandon, reason: input::maybe_text(&call.input, "reason") };
    call.control.stop_pipeline_execution(&call.pipeline_name(), stop).await?;
    Ok(json!({ "pipelineExecutionId": execution }))
}

pub(super) async fn retry(call: &Call) -> Result<Value, ApiError> {
    let execution = input::execution_id(&call.input, "pipelineExecutionId")?;
    let mode = word(&call.input, "retryMode", RetryMode::parse)?;
    let retry = Retry { execution, stage: input::text(&call.input, "stageName").into(), mode };
    call.control.retry_stage_execution(&call.pipeline_name(), retry).await?;
    Ok(json!({ "pipelineExecutionId": execution }))
}

pub(super) async fn rollback(call: &Call) -> Result<Value, ApiError> {
    let rollback = Rollback {
        stage: input::text(&call.input, "stageName").into(),
        target: input::execution_id(&call.input, "targetPipelineExecutionId")?,
        by: call.principal.clone(),
    };
    let id = call.control.rollback_stage(&call.pipeline_name(), rollback).await?;
    Ok(json!({ "pipelineExecutionId": id }))
}

pub(super) async fn override_condition(call: &Call) -> Result<Value, ApiError> {
    let over = Override {
        execution: input::execution_id(&call.input, "pipelineExecutionId")?,
        stage: input::text(&call.input, "stageName").into(),
        condition: word(&call.input, "conditionType", ConditionSlot::parse)?,
    };
    call.control.override_stage_condition(&call.pipeline_name(), over).await?;
    Ok(Value::Null)
}

pub(super) async fn disable_transition(call: &Call) -> Result<Value, ApiError> {
    set_transition(call, Some(input::text(&call.input, "reason").into())).await
}

pub(super) async fn enable_transition(call: &Call) -> Result<Value, ApiError> {
    set_transition(call, None).await
}

async fn set_transition(call: &Call, disable: Option<String>) -> Result<Value, ApiError> {
    let side = word(&call.input, "transitionType", |word| match word {
        "Inbound" => Some(TransitionSide::Inbound),
        "Outbound" => Some(TransitionSide::Outbound),
        _ => None,
    })?;
    let stage = input::text(&call.input, "stageName").into();
    let set = SetTransition { stage, side, disable, by: call.principal.clone() };
    call.control.set_stage_transition(&call.pipeline_name(), set).await?;
    Ok(Value::Null)
}

pub(super) async fn approve(call: &Call) -> Result<Value, ApiError> {
    let input = &call.input;
    let at = call.control.now();
    let decision = ApprovalDecision {
        approved: input::text(&input["result"], "status") == "Approved",
        summary: input::text(&input["result"], "summary").into(),
        by: call.principal.clone(),
        via: None,
        at,
    };
    let (stage, action) = (input::text(input, "stageName").into(), input::text(input, "actionName").into());
    let token = input::text(input, "token");
    call.control.put_approval_result(&call.pipeline_name(), &stage, &action, token, decision).await?;
    Ok(json!({ "approvedAt": at.as_epoch_seconds() }))
}

pub(super) async fn put_revision(call: &Call) -> Result<Value, ApiError> {
    let input = &call.input;
    let (stage, action) = (input::text(input, "stageName").into(), input::text(input, "actionName").into());
    let revision = input::text(&input["actionRevision"], "revisionId");
    let revised =
        call.control.put_action_revision(&call.pipeline_name(), &stage, &action, revision, &call.principal).await?;
    Ok(json!({ "newRevision": revised.new, "pipelineExecutionId": revised.execution }))
}
