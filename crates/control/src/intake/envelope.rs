//! Events as EventBridge brings them, read into changes of sources.

use engine::SourceOverride;
use engine::triggers::{Commit, ImageChange, ObjectChange, Push, ReferenceChange, RepositoryEvent};
use model::{PipelineName, SourceRevisionType, StringMap};
use serde::Deserialize;
use serde_json::Value;

use super::{SourceEvent, Told};

/// The detail type of a repository event from elsewhere: its detail is a [`RepositoryEvent`].
pub const REPOSITORY_EVENT: &str = "Penstock Repository Event";

/// What an event asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Incoming {
    /// A source changed.
    Change(Box<SourceEvent>, Told),
    /// A pipeline is to be started.
    Start(StartRequest, Told),
    /// Nothing that starts anything.
    Nothing,
}

/// A start that somebody's own rule or schedule asks for:
/// `{"pipelineName": "…", "sourceRevisions": […] or {…}, "variables": […]}`.
#[derive(Clone, Debug, PartialEq)]
pub struct StartRequest {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// Revisions to take.
    pub source_revisions: Vec<SourceOverride>,
    /// Values of pipeline variables.
    pub variables: StringMap,
}

/// Why an event cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event cannot be read: {0}")]
pub struct EnvelopeError(pub String);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawStart {
    pipeline_name: PipelineName,
    #[serde(default)]
    source_revisions: OneOrMany<RawRevision>,
    #[serde(default)]
    variables: Vec<RawVariable>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    detail: Option<String>,
}

/// The guide's template gives `sourceRevisions` as an object although the API takes a list: both are taken.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawRevision {
    action_name: String,
    revision_type: SourceRevisionType,
    revision_value: String,
}

#[derive(Deserialize)]
struct RawVariable {
    name: String,
    value: String,
}

/// Reads an event. `rule` is the ARN of the rule that brought it, where the host knows it.
///
/// # Errors
/// It is of a known kind, and lacks what that kind has.
pub fn read(event: &Value, rule: Option<&str>) -> Result<Incoming, EnvelopeError> {
    if event.get("pipelineName").is_some() {
        return read_start(event, rule);
    }
    let detail = &event["detail"];
    let change = match (event["source"].as_str(), event["detail-type"].as_str()) {
        (Some("aws.s3"), Some("Object Created")) => Some(object(detail)?),
        (Some("aws.s3"), Some("AWS API Call via CloudTrail")) => recorded_object(detail)?,
        (Some("aws.codecommit"), Some("CodeCommit Repository State Change")) => reference(detail)?,
        (Some("aws.ecr"), Some("ECR Image Action")) => image(detail)?,
        (Some(_), Some(REPOSITORY_EVENT)) => {
            let event = RepositoryEvent::deserialize(detail).map_err(|error| EnvelopeError(error.to_string()))?;
            Some(SourceEvent::Repository(event))
        }
        _ => None,
    };
    let Some(mut change) = change else { return Ok(Incoming::Nothing) };
    let id = event["id"].as_str().map(str::to_owned);
    if let SourceEvent::Repository(repository) = &mut change {
        repository.delivery = repository.delivery.take().or_else(|| id.clone());
    }
    let source = event["source"].as_str().unwrap_or_default();
    Ok(Incoming::Change(Box::new(change), Told { delivery: id, detail: rule.unwrap_or(source).to_owned() }))
}

fn read_start(event: &Value, rule: Option<&str>) -> Result<Incoming, EnvelopeError> {
    let raw = RawStart::deserialize(event).map_err(|error| EnvelopeError(error.to_string()))?;
    let revisions = match raw.source_revisions {
        OneOrMany::One(one) => vec![one],
        OneOrMany::Many(many) => many,
    };
    let revision = |raw: RawRevision| SourceOverride {
        action: raw.action_name.into(),
        kind: raw.revision_type,
        value: raw.revision_value,
    };
    let request = StartRequest {
        pipeline: raw.pipeline_name,
        source_revisions: revisions.into_iter().map(revision).collect(),
        variables: raw.variables.into_iter().map(|variable| (variable.name, variable.value)).collect(),
    };
    let detail = raw.detail.or_else(|| rule.map(str::to_owned)).unwrap_or_default();
    Ok(Incoming::Start(request, Told { delivery: raw.id, detail }))
}

/// A text that an event of its kind always has.
fn text<'a>(value: &'a Value, pointer: &str) -> Result<&'a str, EnvelopeError> {
    let missing = || EnvelopeError(format!("its detail has no text at {pointer}"));
    value.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty()).ok_or_else(missing)
}

fn maybe(value: &Value, pointer: &str) -> Option<String> {
    value.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn object(detail: &Value) -> Result<SourceEvent, EnvelopeError> {
    Ok(SourceEvent::Object(ObjectChange {
        bucket: text(detail, "/bucket/name")?.into(),
        key: text(detail, "/object/key")?.into(),
        version_id: maybe(detail, "/object/version-id").filter(|version| version != "null"),
        etag: maybe(detail, "/object/etag").map(|etag| etag.trim_matches('"').to_owned()),
        sequencer: maybe(detail, "/object/sequencer"),
    }))
}

/// CloudTrail tells of failed calls too.
fn recorded_object(detail: &Value) -> Result<Option<SourceEvent>, EnvelopeError> {
    let is_write = matches!(
        detail["eventName"].as_str(),
        Some("PutObject" | "CopyObject" | "CompleteMultipartUpload" | "RestoreObject")
    );
    if !is_write || !detail["errorCode"].is_null() {
        return Ok(None);
    }
    Ok(Some(SourceEvent::Object(ObjectChange {
        bucket: text(detail, "/requestParameters/bucketName")?.into(),
        key: text(detail, "/requestParameters/key")?.into(),
        version_id: maybe(detail, "/responseElements/x-amz-version-id").filter(|version| version != "null"),
        etag: maybe(detail, "/responseElements/eTag").map(|etag| etag.trim_matches('"').to_owned()),
        sequencer: None,
    })))
}

fn reference(detail: &Value) -> Result<Option<SourceEvent>, EnvelopeError> {
    let kind = match text(detail, "/referenceType")? {
        "branch" => "heads",
        "tag" => "tags",
        _ => return Ok(None),
    };
    let after = match text(detail, "/event")? {
        "referenceCreated" | "referenceUpdated" => Some(text(detail, "/commitId")?.to_owned()),
        "referenceDeleted" => None,
        _ => return Ok(None),
    };
    // Where a deletion does not say where the branch was, its commit does.
    let before = maybe(detail, "/oldCommitId").or_else(|| maybe(detail, "/commitId").filter(|_| after.is_none()));
    let commit = after.clone().map(|id| Commit { id, ..Commit::default() });
    let push = Push {
        git_ref: format!("refs/{kind}/{}", text(detail, "/referenceName")?),
        before,
        after,
        commit,
        forced: false,
        files: None,
    };
    Ok(Some(SourceEvent::Reference(ReferenceChange { repository: text(detail, "/repositoryName")?.into(), push })))
}

fn image(detail: &Value) -> Result<Option<SourceEvent>, EnvelopeError> {
    if detail["action-type"] != "PUSH" || detail["result"] != "SUCCESS" {
        return Ok(None);
    }
    // An image pushed without a tag is nobody's source.
    let Some(tag) = maybe(detail, "/image-tag") else { return Ok(None) };
    Ok(Some(SourceEvent::Image(ImageChange {
        repository: text(detail, "/repository-name")?.into(),
        tag,
        digest: text(detail, "/image-digest")?.into(),
    })))
}
