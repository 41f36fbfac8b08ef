//! Operations that only Penstock has, for its own clients: why an execution does not move, what an action wrote, a link
//! to approve by.

mod connections;

use async_trait::async_trait;
use control::rows::PipelineRef;
use engine::{ActionExecution, LogLocation};
use model::{
    ActionExecutionId, ActionName, ActionStatus, ActionTypeId, ExecutionId, Owner, PipelineName, StageName, Timestamp,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::approval::Link;
use crate::approval::link::MAX_RECIPIENT_BYTES;
use crate::error::ApiError;
use crate::handle::Api;
use crate::operations::{Call, jobs, pages};

/// The most bytes of a log in one answer.
const MAX_LOG_BYTES: usize = 256 * 1024;
/// The most records of calls in one answer.
const MAX_RECORDS: usize = 50;

/// Reads what actions wrote.
#[async_trait]
pub trait Logs: Send + Sync {
    /// At most `limit` bytes from `offset` on; none at the end, or where there is no log yet.
    async fn read(&self, location: &LogLocation, offset: u64, limit: usize) -> Result<Vec<u8>, ApiError>;
}

/// Runs an operation of Penstock's own.
///
/// # Errors
///
/// A fault of the input, what the operation refuses, or that there is no such operation.
pub async fn run(api: &Api, call: &Call) -> Result<Value, ApiError> {
    match call.operation.as_str() {
        "CreateConnection" => connections::create(call).await,
        "DeleteConnection" => connections::delete(call).await,
        "ExplainPipelineExecution" => explain(call).await,
        "GetActionLog" => action_log(api, call).await,
        "GetApprovalLink" => approval_link(api, call).await,
        "GetThirdPartyClient" => third_party_client(call),
        "ListConnections" => connections::list(call).await,
        "ListAuditRecords" => audit_records(call).await,
        _ => Err(ApiError::with_status("UnknownOperationException", 400, "Penstock has no such operation")),
    }
}

fn read<T: DeserializeOwned>(call: &Call) -> Result<T, ApiError> {
    T::deserialize(&call.input).map_err(|error| ApiError::invalid(error.to_string()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ExplainInput {
    pipeline_name: PipelineName,
    pipeline_execution_id: ExecutionId,
}

/// `{"reasons": [{…, "text": "…"}]}`: why the execution does not move; nothing for one that has ended.
async fn explain(call: &Call) -> Result<Value, ApiError> {
    let id = call.input["pipelineExecutionId"].as_str();
    if let Some(id) = id.filter(|id| id.parse::<ExecutionId>().is_err()) {
        return Err(ApiError::invalid(format!(
            "pipelineExecutionId: \"{id}\" is no id of an execution, which is a UUID"
        )));
    }
    let input: ExplainInput = read(call)?;
    let reasons = call.control.explain(&input.pipeline_name, input.pipeline_execution_id).await?;
    let reasons: Vec<Value> = reasons.iter().map(|why| json!({ "reason": why, "text": why.to_string() })).collect();
    Ok(json!({ "reasons": reasons }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AuditInput {
    /// Seconds since 1970.
    start_time: Option<f64>,
    /// Seconds since 1970.
    end_time: Option<f64>,
    event_name: Option<String>,
    /// A principal's ARN.
    principal: Option<String>,
    #[serde(default)]
    only_refused: bool,
    max_results: Option<usize>,
    #[expect(dead_code, reason = "read where page tokens are checked")]
    next_token: Option<String>,
}

/// `{"records": [{…}], "nextToken": "…"}`: records of calls, newest first.
async fn audit_records(call: &Call) -> Result<Value, ApiError> {
    let input: AuditInput = read(call)?;
    let seconds = |given: Option<f64>| given.and_then(|given| jobs::seconds(&json!(given)));
    let between =
        (seconds(input.start_time).unwrap_or_default(), seconds(input.end_time).unwrap_or(Timestamp(i64::MAX)));
    let wanted = |record: &Value| {
        input.event_name.as_ref().is_none_or(|name| record["eventName"] == **name)
            && input.principal.as_ref().is_none_or(|arn| record["userIdentity"]["arn"] == **arn)
            && (!input.only_refused || record.get("errorCode").is_some())
    };
    let limit = input.max_results.unwrap_or(MAX_RECORDS).clamp(1, MAX_RECORDS);
    let cursor = pages::place(call)?;
    let (records, next) = call.control.list_records(between, cursor, limit, wanted).await?;
    let mut output = json!({ "records": records });
    if let Some(next) = next {
        output["nextToken"] = json!(pages::token(call, &next)?);
    }
    Ok(output)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ClientInput {
    action_type_id: ActionTypeId,
}

/// `{"clientId": "…", "clientToken": "…"}`: what a partner's job worker needs for jobs of an action type here.
fn third_party_client(call: &Call) -> Result<Value, ApiError> {
    let ClientInput { action_type_id: id } = read(call)?;
    if id.owner != Owner::ThirdParty {
        return Err(ApiError::invalid("actionTypeId.owner must be ThirdParty"));
    }
    Ok(json!({ "clientId": jobs::client_id(call, &id), "clientToken": jobs::client_token(call, &id)? }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LogInput {
    pipeline_name: PipelineName,
    pipeline_execution_id: ExecutionId,
    stage_name: StageName,
    action_name: ActionName,
    /// One attempt; the newest when absent.
    action_execution_id: Option<ActionExecutionId>,
    #[serde(default)]
    offset: u64,
}

/// `{"text": "…", "nextOffset": n, "complete": false, "actionExecutionId": "…", "status": "…"}`.
async fn action_log(api: &Api, call: &Call) -> Result<Value, ApiError> {
    let input: LogInput = read(call)?;
    let pipeline = call.control.pipeline_ref(&input.pipeline_name).await?;
    let actions = call.control.actions_of(pipeline.id, input.pipeline_execution_id).await?;
    let is_asked_for = |action: &&ActionExecution| {
        action.key.stage == input.stage_name
            && action.key.name == input.action_name
            && input.action_execution_id.is_none_or(|id| action.id == id)
    };
    let action = actions.iter().filter(is_asked_for).max_by_key(|action| action.key.attempt);
    let action = action.ok_or_else(|| {
        let message = format!("{}/{} has not run in this execution", input.stage_name, input.action_name);
        ApiError::new("ActionExecutionNotFoundException", message)
    })?;
    let bytes = match &action.log {
        Some(log) => api.logs.read(log, input.offset, MAX_LOG_BYTES).await?,
        None => Vec::new(),
    };
    let is_last = action.status != ActionStatus::InProgress && bytes.len() < MAX_LOG_BYTES;
    let (text, taken) = decode(&bytes, is_last);
    let next = input.offset.saturating_add(u64::try_from(taken).unwrap_or(u64::MAX));
    Ok(json!({
        "text": text,
        "nextOffset": next,
        "complete": is_last,
        "actionExecutionId": action.id,
        "status": wire::actions::status(action.status),
    }))
}

/// The text, and how many bytes it took: a character of which only the start is there yet is left for the next time.
/// Programs write what they like: bytes that are no text are shown as replaced, never refused.
fn decode(bytes: &[u8], is_last: bool) -> (String, usize) {
    let started = if is_last { 0 } else { started_character(bytes) };
    let text = &bytes[..bytes.len() - started];
    (String::from_utf8_lossy(text).into_owned(), text.len())
}

/// How many bytes at the end are the start of a character.
fn started_character(bytes: &[u8]) -> usize {
    let is_start = |count: &usize| {
        let tail = bytes.len().checked_sub(*count).and_then(|from| bytes.get(from..));
        tail.is_some_and(|tail| {
            std::str::from_utf8(tail).is_err_and(|e| e.valid_up_to() == 0 && e.error_len().is_none())
        })
    };
    (1..=3).find(is_start).unwrap_or(0)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LinkInput {
    pipeline_name: PipelineName,
    stage_name: StageName,
    action_name: ActionName,
    /// Needed in PARALLEL mode, where several executions may wait.
    pipeline_execution_id: Option<ExecutionId>,
    /// Whom the link is for; the caller when absent.
    recipient: Option<String>,
}

/// `{"url": "…", "expires": 1.5, "pipelineExecutionId": "…"}` for a pending approval.
async fn approval_link(api: &Api, call: &Call) -> Result<Value, ApiError> {
    let input: LinkInput = read(call)?;
    let recipient = input.recipient.clone().unwrap_or_else(|| call.principal.clone());
    if recipient.is_empty() || recipient.len() > MAX_RECIPIENT_BYTES || recipient.chars().any(char::is_control) {
        let message = format!("recipient must be 1 to {MAX_RECIPIENT_BYTES} bytes without control characters");
        return Err(ApiError::invalid(message));
    }
    let pipeline = call.control.pipeline_ref(&input.pipeline_name).await?;
    let action = pending(call, &pipeline, &input).await?.ok_or_else(|| {
        let message = format!("no approval {}/{} is pending", input.stage_name, input.action_name);
        ApiError::new("ActionNotFoundException", message)
    })?;
    check_link(call, &pipeline, &action).await?;
    let now = api.clock.now();
    let (url, expires) = link_to(api, &call.control.place().region, &pipeline, &action, recipient, now).await?;
    let expires = expires.as_epoch_seconds();
    Ok(json!({ "url": url, "expires": expires, "pipelineExecutionId": action.key.execution }))
}

async fn pending(call: &Call, pipeline: &PipelineRef, input: &LinkInput) -> Result<Option<ActionExecution>, ApiError> {
    let actions = match input.pipeline_execution_id {
        Some(id) => call.control.actions_of(pipeline.id, id).await?,
        None => {
            let state = call.control.get_pipeline_state(&input.pipeline_name).await?;
            let stage = state.stages.into_iter().find(|stage| stage.declared.name == input.stage_name);
            stage.map(|stage| stage.actions).unwrap_or_default()
        }
    };
    let is_pending = |action: &ActionExecution| {
        action.key.stage == input.stage_name
            && action.key.name == input.action_name
            && action.status == ActionStatus::InProgress
            && action.approval.is_some()
    };
    Ok(actions.into_iter().find(is_pending))
}

/// Where policies restrict who may approve there are no links.
async fn check_link(call: &Call, pipeline: &PipelineRef, action: &ActionExecution) -> Result<(), ApiError> {
    if call.policies.permit_link(&call.control, pipeline, action).await? {
        return Ok(());
    }
    let (stage, name) = (&action.key.stage, &action.key.name);
    let message = format!("who may approve {stage}/{name} is restricted by policies: there are no links to it");
    Err(ApiError::with_status("AccessDeniedException", 400, message))
}

/// A signed link to a pending approval, and when it expires: with the approval.
///
/// # Errors
///
/// The action is no approval, or the signing key is gone.
pub async fn link_to(
    api: &Api,
    region: &str,
    pipeline: &PipelineRef,
    action: &ActionExecution,
    recipient: String,
    now: Timestamp,
) -> Result<(String, Timestamp), ApiError> {
    let link = Link::to(action, pipeline.id, region, recipient, now, api.approvals.key_id());
    let link = link.ok_or_else(|| ApiError::new("ActionNotFoundException", "the action is no approval"))?;
    let token = api.approvals.sign(&link).await.ok_or_else(ApiError::internal)?;
    Ok((format!("{}/approve/{token}", api.base_url), link.expires))
}
