//! Pipeline executions as the API shows them: `PipelineExecution`, `PipelineExecutionSummary`.

use engine::{Execution, SourceRevision, StopRequest, TriggerDetail};
use model::{ActionName, ExecutionId, ExecutionMode, ExecutionStatus, ExecutionType, Ordinal, Timestamp, TriggerType};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fields::{Fields, cut, text, url};

/// What listings show of an execution. It is read of a stored [`Execution`], most of which, as the plan, is passed over.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ExecutionSummary {
    /// Its id.
    pub id: ExecutionId,
    /// Its place in the order of starts.
    pub ordinal: Ordinal,
    /// The mode of its version.
    pub mode: ExecutionMode,
    /// Whole, or a rollback.
    pub kind: ExecutionType,
    /// Its status.
    pub status: ExecutionStatus,
    /// Who or what started it.
    pub trigger: TriggerDetail,
    /// What its source actions brought.
    pub revisions: Vec<SourceRevision>,
    /// A stop asked for.
    pub stop: Option<StopRequest>,
    /// Why it is being cancelled.
    pub cancel: Option<String>,
    /// Who took its place.
    pub superseded_by: Option<ExecutionId>,
    /// For a rollback: the execution whose artifacts and variables it runs with.
    pub rollback_target: Option<ExecutionId>,
    /// When it was started.
    pub started_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// `PipelineExecution`, the answer of GetPipelineExecution.
pub fn pipeline_execution(execution: &Execution) -> Value {
    let variables: Vec<Value> = execution
        .variables
        .iter()
        .map(|(name, value)| Fields::default().with("name", name).with("resolvedValue", value).done())
        .collect();
    let revisions: Vec<Value> = execution.revisions.iter().filter_map(artifact_revision).collect();
    let summary = status_summary(execution.cancel.as_deref(), execution.superseded_by);
    let fields = Fields::default()
        .with("pipelineExecutionId", execution.id)
        .with("status", execution.status)
        .text("statusSummary", summary.as_deref(), 2048)
        .with("trigger", trigger(&execution.trigger))
        .with("executionMode", execution.mode)
        .with("executionType", execution.kind)
        .object("rollbackMetadata", rollback(execution.rollback_target));
    fields
        .with("pipelineName", &execution.pipeline)
        .with("pipelineVersion", execution.version)
        .with("artifactRevisions", revisions)
        .maybe("variables", (!variables.is_empty()).then_some(variables))
        .done()
}

/// `ListPipelineExecutionsOutput`: executions, and the token of the page behind them.
pub fn pipeline_executions<'a>(executions: &'a [ExecutionSummary], next: Option<&'a str>) -> impl Serialize + 'a {
    let pipeline_execution_summaries = executions.iter().map(Shown::of).collect();
    Listing { pipeline_execution_summaries, next_token: next }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listing<'a> {
    pipeline_execution_summaries: Vec<Shown<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<&'a str>,
}

/// `PipelineExecutionSummary`. It is written as it is, without a value between: there are a hundred in a page.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    pipeline_execution_id: ExecutionId,
    status: ExecutionStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_summary: Option<String>,
    start_time: f64,
    last_update_time: f64,
    source_revisions: Vec<ShownRevision<'a>>,
    trigger: ShownTrigger<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_trigger: Option<ShownStop<'a>>,
    execution_mode: ExecutionMode,
    execution_type: ExecutionType,
    #[serde(skip_serializing_if = "Option::is_none")]
    rollback_metadata: Option<ShownRollback>,
}

/// `SourceRevision`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownRevision<'a> {
    action_name: &'a ActionName,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision_summary: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision_url: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownTrigger<'a> {
    trigger_type: TriggerType,
    trigger_detail: &'a str,
}

#[derive(Serialize)]
struct ShownStop<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownRollback {
    rollback_target_pipeline_execution_id: ExecutionId,
}

impl<'a> Shown<'a> {
    fn of(execution: &'a ExecutionSummary) -> Self {
        let summary = status_summary(execution.cancel.as_deref(), execution.superseded_by);
        let stop = execution.stop.as_ref();
        Self {
            pipeline_execution_id: execution.id,
            status: execution.status,
            status_summary: text(summary.as_deref(), 2048).map(str::to_owned),
            start_time: execution.started_at.as_epoch_seconds(),
            last_update_time: execution.updated_at.as_epoch_seconds(),
            source_revisions: execution.revisions.iter().map(ShownRevision::of).collect(),
            trigger: ShownTrigger {
                trigger_type: execution.trigger.kind,
                trigger_detail: cut(&execution.trigger.detail, 1024),
            },
            stop_trigger: stop.map(|stop| ShownStop { reason: text(stop.reason.as_deref(), 200) }),
            execution_mode: execution.mode,
            execution_type: execution.kind,
            rollback_metadata: execution
                .rollback_target
                .map(|target| ShownRollback { rollback_target_pipeline_execution_id: target }),
        }
    }
}

impl<'a> ShownRevision<'a> {
    fn of(revision: &'a SourceRevision) -> Self {
        Self {
            action_name: &revision.action,
            revision_id: text(Some(&revision.revision_id), 1500),
            revision_summary: text(revision.summary.as_deref(), 2048),
            revision_url: url(revision.url.as_deref()),
        }
    }
}

fn rollback(target: Option<ExecutionId>) -> Fields {
    Fields::default().maybe("rollbackTargetPipelineExecutionId", target)
}

/// Why an execution was cancelled or replaced.
fn status_summary(cancel: Option<&str>, superseded_by: Option<ExecutionId>) -> Option<String> {
    let superseded = superseded_by.map(|by| format!("Superseded by {by}"));
    cancel.map(str::to_owned).or(superseded)
}

/// `ExecutionTrigger`.
pub fn trigger(trigger: &TriggerDetail) -> Value {
    Fields::default().with("triggerType", trigger.kind).with("triggerDetail", cut(&trigger.detail, 1024)).done()
}

/// `ArtifactRevision`; none for a source that made no artifact.
pub fn artifact_revision(revision: &SourceRevision) -> Option<Value> {
    let fields = Fields::default()
        .with("name", revision.artifact.as_ref()?)
        .text("revisionId", Some(&revision.revision_id), 1500)
        .text("revisionSummary", revision.summary.as_deref(), 2048)
        .maybe("created", revision.created.map(model::Timestamp::as_epoch_seconds))
        .url("revisionUrl", revision.url.as_deref());
    Some(fields.done())
}
