//! State changes as EventBridge events, key for key as CodePipeline sends them.

use engine::{ActionSubject, ArtifactLocation, State, StateChange, Subject, TriggerSubject};
use model::Timestamp;
use serde_json::{Map, Value, json};

#[cfg(test)]
mod tests;

/// The `source` of events unless a deployment sets its own (only AWS may send `aws.*`).
pub const DEFAULT_SOURCE: &str = "penstock.codepipeline";

/// The `detail-type` of records of calls.
pub const CALL: &str = "AWS API Call via CloudTrail";

/// Where events come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The account, 12 digits.
    pub account: String,
    /// The pipeline's region.
    pub region: String,
    /// The envelope's `source`.
    pub source: String,
}

impl Place {
    /// A place with [`DEFAULT_SOURCE`].
    pub fn new(account: impl Into<String>, region: impl Into<String>) -> Self {
        Self { account: account.into(), region: region.into(), source: DEFAULT_SOURCE.into() }
    }
}

/// The whole event: EventBridge's envelope and CodePipeline's detail. `id` is the envelope's `id`.
pub fn envelope(change: &StateChange, place: &Place, id: &str) -> Value {
    json!({
        "version": "0",
        "id": id,
        "detail-type": detail_type(&change.subject),
        "source": place.source,
        "account": place.account,
        "time": change.at.to_iso_seconds(),
        "region": place.region,
        "resources": [format!("arn:aws:codepipeline:{}:{}:{}", place.region, place.account, change.pipeline)],
        "detail": detail(change, place),
    })
}

/// The event of a call's record, as CloudTrail's come on the bus.
pub fn call_envelope(record: &Value, place: &Place, id: &str, at: Timestamp) -> Value {
    json!({
        "version": "0",
        "id": id,
        "detail-type": CALL,
        "source": place.source,
        "account": place.account,
        "time": at.to_iso_seconds(),
        "region": place.region,
        "resources": [],
        "detail": record,
    })
}

/// The envelope's `detail-type`.
pub fn detail_type(subject: &Subject) -> &'static str {
    match subject {
        Subject::Pipeline { .. } => "CodePipeline Pipeline Execution State Change",
        Subject::Stage { .. } => "CodePipeline Stage Execution State Change",
        Subject::Action(_) => "CodePipeline Action Execution State Change",
    }
}

fn detail(change: &StateChange, place: &Place) -> Value {
    let mut detail = Map::new();
    detail.insert("pipeline".into(), json!(change.pipeline));
    detail.insert("execution-id".into(), json!(change.execution));
    detail.insert("state".into(), json!(change.state.as_str()));
    detail.insert("version".into(), json!(f64::from(change.version)));
    detail.insert("pipeline-execution-attempt".into(), json!(f64::from(change.attempt)));
    if has_start_time(change) {
        detail.insert("start-time".into(), time(change.started_at));
    }
    match &change.subject {
        Subject::Pipeline { trigger, stop_comments } => {
            if let Some(trigger) = trigger {
                detail.insert("execution-trigger".into(), execution_trigger(trigger));
            }
            insert_some(&mut detail, "stop-execution-comments", stop_comments.as_deref());
        }
        Subject::Stage { stage, retried_at } => {
            detail.insert("stage".into(), json!(stage));
            insert_retry(&mut detail, *retried_at);
        }
        Subject::Action(action) => action_fields(&mut detail, change.state, action, place),
    }
    Value::Object(detail)
}

/// CodePipeline leaves the start out of a stage's RESUMED and of an action's ABANDONED.
fn has_start_time(change: &StateChange) -> bool {
    !matches!(
        (&change.subject, change.state),
        (Subject::Stage { .. }, State::Resumed) | (Subject::Action(_), State::Abandoned)
    )
}

fn action_fields(detail: &mut Map<String, Value>, state: State, action: &ActionSubject, place: &Place) {
    detail.insert("stage".into(), json!(action.stage));
    detail.insert("action".into(), json!(action.action));
    detail.insert("action-execution-id".into(), json!(action.id));
    detail.insert("type".into(), json!(action.action_type));
    insert_retry(detail, action.retried_at);
    // A start names only a region of the action's own; later events always name one.
    match (&action.region, state) {
        (Some(region), _) => detail.insert("region".into(), json!(region)),
        (None, State::Started) => None,
        (None, _) => detail.insert("region".into(), json!(place.region)),
    };
    match state {
        State::Started => insert_artifacts(detail, "input-artifacts", &action.inputs),
        State::Succeeded => insert_artifacts(detail, "output-artifacts", &action.outputs),
        _ => {}
    }
    if let Some(result) = execution_result(action) {
        detail.insert("execution-result".into(), result);
    }
}

fn execution_result(action: &ActionSubject) -> Option<Value> {
    let mut result = Map::new();
    let message = action.error.as_ref().map(|error| error.message.as_str());
    insert_some(&mut result, "external-execution-url", action.external_url.as_deref());
    insert_some(&mut result, "external-execution-summary", action.summary.as_deref().or(message));
    insert_some(&mut result, "external-execution-id", action.external_id.as_deref());
    insert_some(&mut result, "error-code", action.error.as_ref().map(|error| error.code.as_str()));
    (!result.is_empty()).then_some(Value::Object(result))
}

/// The git fields where there are any, else trigger type and detail: never both.
fn execution_trigger(subject: &TriggerSubject) -> Value {
    match subject.origin.as_ref().map(|origin| &origin.trigger).filter(|fields| !fields.is_empty()) {
        Some(fields) => json!(fields),
        None => json!({ "trigger-type": subject.trigger.kind, "trigger-detail": subject.trigger.detail }),
    }
}

fn insert_artifacts(detail: &mut Map<String, Value>, key: &str, artifacts: &[ArtifactLocation]) {
    let list: Vec<Value> = artifacts
        .iter()
        .map(|a| json!({ "name": a.name, "s3location": { "bucket": a.bucket, "key": a.key } }))
        .collect();
    if !list.is_empty() {
        detail.insert(key.into(), Value::Array(list));
    }
}

fn insert_retry(detail: &mut Map<String, Value>, retried_at: Option<Timestamp>) {
    if let Some(at) = retried_at {
        detail.insert("stage-last-retry-attempt-time".into(), time(at));
    }
}

fn insert_some(detail: &mut Map<String, Value>, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        detail.insert(key.into(), json!(value));
    }
}

fn time(at: Timestamp) -> Value {
    Value::String(at.to_iso_millis())
}
