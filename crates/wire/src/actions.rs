//! Action and rule executions as the API shows them: `ActionExecutionDetail`, `RuleExecutionDetail`, `ActionExecution`.

use engine::{ActionExecution, ArtifactLocation, ErrorDetail};
use model::{Action, ActionStatus, StringMap};
use serde_json::Value;

use crate::fields::Fields;

/// What is stored beside an action execution, where it is at hand.
#[derive(Clone, Copy, Debug, Default)]
pub struct Beside<'a> {
    /// What the action's version declares, secrets masked; a rule stands here as an action.
    pub action: Option<&'a Action>,
    /// The configuration as it was resolved, secrets masked.
    pub resolved: Option<&'a StringMap>,
    /// The variables it brought out.
    pub variables: Option<&'a StringMap>,
    /// The pipeline's region, for actions that name none.
    pub region: &'a str,
    /// The role of actions that name none.
    pub role_arn: Option<&'a str>,
}

/// The status as the API writes it: an action that never started shows as abandoned.
pub fn status(status: ActionStatus) -> ActionStatus {
    match status {
        ActionStatus::Cancelled => ActionStatus::Abandoned,
        ActionStatus::InProgress | ActionStatus::Abandoned | ActionStatus::Succeeded | ActionStatus::Failed => status,
    }
}

/// `ActionExecutionDetail`, an entry of ListActionExecutions.
pub fn action_execution_detail(execution: &ActionExecution, beside: Beside<'_>) -> Value {
    let action = beside.action;
    let input = Fields::default()
        .with("actionTypeId", &execution.action_type)
        .maybe("configuration", action.map(|action| &action.configuration))
        .maybe("resolvedConfiguration", beside.resolved)
        .maybe("roleArn", action.and_then(|action| action.role_arn.as_deref()).or(beside.role_arn))
        .with("region", execution.region.as_deref().unwrap_or(beside.region))
        .with("inputArtifacts", artifacts(&execution.inputs))
        .maybe("namespace", action.and_then(|action| action.namespace.as_ref()));
    let output = Fields::default()
        .with("outputArtifacts", artifacts(&made(execution)))
        .object("executionResult", result(execution).maybe("logStreamARN", log_stream(execution)))
        .maybe("outputVariables", beside.variables);
    detail(execution)
        .with("actionExecutionId", execution.id)
        .with("actionName", &execution.key.name)
        .object("input", input)
        .object("output", output)
        .done()
}

/// `RuleExecutionDetail`, an entry of ListRuleExecutions.
pub fn rule_execution_detail(execution: &ActionExecution, beside: Beside<'_>) -> Value {
    let rule = beside.action;
    let input = Fields::default()
        .with("ruleTypeId", &execution.action_type)
        .maybe("configuration", rule.map(|rule| &rule.configuration))
        .maybe("resolvedConfiguration", beside.resolved)
        .maybe("roleArn", rule.and_then(|rule| rule.role_arn.as_deref()).or(beside.role_arn))
        .with("region", execution.region.as_deref().unwrap_or(beside.region))
        .with("inputArtifacts", artifacts(&execution.inputs));
    detail(execution)
        .with("ruleExecutionId", execution.id)
        .with("ruleName", &execution.key.name)
        .object("input", input)
        .object("output", Fields::default().object("executionResult", result(execution)))
        .done()
}

fn detail(execution: &ActionExecution) -> Fields {
    Fields::default()
        .with("pipelineExecutionId", execution.key.execution)
        .with("pipelineVersion", execution.version)
        .with("stageName", &execution.key.stage)
        .time("startTime", execution.started_at)
        .time("lastUpdateTime", execution.updated_at)
        .maybe("updatedBy", updated_by(execution))
        .with("status", status(execution.status))
}

fn result(execution: &ActionExecution) -> Fields {
    Fields::default()
        .text("externalExecutionId", external_id(execution), 1500)
        .text("externalExecutionSummary", execution.summary.as_deref(), 2048)
        .url("externalExecutionUrl", execution.external_url.as_deref())
        .object("errorDetails", execution.error.as_ref().map(error_details).unwrap_or_default())
}

/// A pending approval's token stands here too: in PARALLEL mode an approver finds it nowhere else.
fn external_id(execution: &ActionExecution) -> Option<&str> {
    let token = || pending_token(execution);
    execution.external_id.as_deref().or_else(token)
}

fn pending_token(execution: &ActionExecution) -> Option<&str> {
    let approval = execution.approval.as_ref().filter(|_| execution.status == ActionStatus::InProgress);
    approval.map(|approval| approval.token.as_str())
}

/// Outputs exist once the action succeeded; before, they are only planned.
fn made(execution: &ActionExecution) -> Vec<ArtifactLocation> {
    if execution.status == ActionStatus::Succeeded { execution.outputs.clone() } else { Vec::new() }
}

fn updated_by(execution: &ActionExecution) -> Option<&str> {
    execution.approval.as_ref()?.decisions.last().map(|decision| decision.by.as_str())
}

fn log_stream(execution: &ActionExecution) -> Option<&str> {
    let log = execution.log.as_ref().filter(|log| log.kind == "cloudwatch")?;
    Some(log.location.as_str()).filter(|arn| !arn.is_empty() && arn.chars().count() <= 250)
}

fn artifacts(locations: &[ArtifactLocation]) -> Vec<Value> {
    locations
        .iter()
        .map(|artifact| {
            let place = Fields::default().with("bucket", &artifact.bucket).with("key", &artifact.key);
            Fields::default().with("name", &artifact.name).object("s3location", place).done()
        })
        .collect()
}

/// `ErrorDetails`.
pub(crate) fn error_details(error: &ErrorDetail) -> Fields {
    Fields::default().with("code", &error.code).text("message", Some(&error.message), 5000)
}

/// `ActionExecution`, the latest execution in an `ActionState`.
pub fn action_execution(execution: &ActionExecution) -> Value {
    latest(execution)
        .with("actionExecutionId", execution.id)
        .maybe("percentComplete", execution.percent_complete)
        .maybe("token", pending_token(execution))
        .maybe("logStreamARN", log_stream(execution))
        .done()
}

/// `RuleExecution`, the latest execution in a `RuleState`.
pub fn rule_execution(execution: &ActionExecution) -> Value {
    latest(execution).with("ruleExecutionId", execution.id).done()
}

fn latest(execution: &ActionExecution) -> Fields {
    Fields::default()
        .with("status", status(execution.status))
        .text("summary", execution.summary.as_deref(), 2048)
        // What is told of its progress meanwhile changes no status.
        .time(
            "lastStatusChange",
            if execution.status == ActionStatus::InProgress { execution.started_at } else { execution.updated_at },
        )
        .maybe("lastUpdatedBy", updated_by(execution))
        .text("externalExecutionId", execution.external_id.as_deref(), 1500)
        .url("externalExecutionUrl", execution.external_url.as_deref())
        .object("errorDetails", execution.error.as_ref().map(error_details).unwrap_or_default())
}
