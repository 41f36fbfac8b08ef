//! Pipeline executions as the API shows them: `PipelineExecution`, `PipelineExecutionSummary`.

use engine::{Execution, SourceRevision, TriggerDetail};
use serde_json::Value;

use crate::fields::{Fields, cut};

/// `PipelineExecution`, the answer of GetPipelineExecution.
pub fn pipeline_execution(execution: &Execution) -> Value {
    let variables: Vec<Value> = execution
        .variables
        .iter()
        .map(|(name, value)| Fields::default().with("name", name).with("resolvedValue", value).done())
        .collect();
    let revisions: Vec<Value> = execution.revisions.iter().filter_map(artifact_revision).collect();
    common(execution)
        .with("pipelineName", &execution.pipeline)
        .with("pipelineVersion", execution.version)
        .with("artifactRevisions", revisions)
        .maybe("variables", (!variables.is_empty()).then_some(variables))
        .done()
}

/// `PipelineExecutionSummary`, an entry of ListPipelineExecutions.
pub fn pipeline_execution_summary(execution: &Execution) -> Value {
    let revisions: Vec<Value> = execution.revisions.iter().map(source_revision).collect();
    let stop = execution.stop.as_ref();
    common(execution)
        .time("startTime", execution.started_at)
        .time("lastUpdateTime", execution.updated_at)
        .with("sourceRevisions", revisions)
        .maybe("stopTrigger", stop.map(|stop| Fields::default().text("reason", stop.reason.as_deref(), 200).done()))
        .done()
}

fn common(execution: &Execution) -> Fields {
    let rollback = Fields::default().maybe("rollbackTargetPipelineExecutionId", execution.rollback_target);
    Fields::default()
        .with("pipelineExecutionId", execution.id)
        .with("status", execution.status)
        .text("statusSummary", status_summary(execution).as_deref(), 2048)
        .with("trigger", trigger(&execution.trigger))
        .with("executionMode", execution.mode)
        .with("executionType", execution.kind)
        .object("rollbackMetadata", rollback)
}

/// Why an execution was cancelled or replaced.
fn status_summary(execution: &Execution) -> Option<String> {
    let superseded = execution.superseded_by.map(|by| format!("Superseded by {by}"));
    execution.cancel.clone().or(superseded)
}

/// `ExecutionTrigger`.
pub fn trigger(trigger: &TriggerDetail) -> Value {
    Fields::default().with("triggerType", trigger.kind).with("triggerDetail", cut(&trigger.detail, 1024)).done()
}

/// `SourceRevision`.
pub fn source_revision(revision: &SourceRevision) -> Value {
    Fields::default()
        .with("actionName", &revision.action)
        .text("revisionId", Some(&revision.revision_id), 1500)
        .text("revisionSummary", revision.summary.as_deref(), 2048)
        .url("revisionUrl", revision.url.as_deref())
        .done()
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
