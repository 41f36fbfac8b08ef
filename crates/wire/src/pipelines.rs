//! Pipelines as the API shows them: declarations with the service's defaults, `PipelineMetadata`, `PipelineSummary`.

use model::{ExecutionMode, Pipeline, PipelineName, PipelineType, Timestamp, Version};
use serde_json::{Value, json};

use crate::events::Place;
use crate::fields::Fields;

/// `PipelineDeclaration` as the service gives it back: its version, and what the author left out filled in.
pub fn declaration(pipeline: &Pipeline, version: Version) -> Value {
    let mut value = json!(pipeline);
    value["version"] = json!(version);
    value["executionMode"] = json!(pipeline.mode());
    value["pipelineType"] = json!(pipeline.kind());
    let stages = value["stages"].as_array_mut().into_iter().flatten();
    for action in stages.filter_map(|stage| stage["actions"].as_array_mut()).flatten() {
        if action["runOrder"].is_null() {
            action["runOrder"] = json!(1);
        }
    }
    value
}

/// A pipeline's ARN.
pub fn arn(name: &str, place: &Place) -> String {
    format!("arn:aws:codepipeline:{}:{}:{name}", place.region, place.account)
}

/// When a pipeline was made and last changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// Made.
    pub created: Timestamp,
    /// Last updated.
    pub updated: Timestamp,
}

/// `PipelineMetadata`.
pub fn metadata(name: &PipelineName, times: Times, place: &Place) -> Value {
    Fields::default()
        .with("pipelineArn", arn(name.as_str(), place))
        .time("created", times.created)
        .time("updated", times.updated)
        .done()
}

/// `PipelineSummary`, an entry of ListPipelines.
pub fn summary(name: &PipelineName, version: Version, kind: PipelineType, mode: ExecutionMode, times: Times) -> Value {
    Fields::default()
        .with("name", name)
        .with("version", version)
        .with("pipelineType", kind)
        .with("executionMode", mode)
        .time("created", times.created)
        .time("updated", times.updated)
        .done()
}
