//! Pipelines as the API shows them: declarations with the service's defaults, `PipelineMetadata`, `PipelineSummary`.

use engine::PipelineItem;
use model::{ExecutionMode, Pipeline, PipelineType, Version};
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

/// `PipelineMetadata`.
pub fn metadata(pipeline: &PipelineItem, place: &Place) -> Value {
    Fields::default()
        .with("pipelineArn", arn(pipeline.name.as_str(), place))
        .time("created", pipeline.created_at)
        .time("updated", pipeline.updated_at)
        .done()
}

/// `PipelineSummary`, an entry of ListPipelines.
pub fn summary(pipeline: &PipelineItem, kind: PipelineType, mode: ExecutionMode) -> Value {
    Fields::default()
        .with("name", &pipeline.name)
        .with("version", pipeline.version)
        .with("pipelineType", kind)
        .with("executionMode", mode)
        .time("created", pipeline.created_at)
        .time("updated", pipeline.updated_at)
        .done()
}
