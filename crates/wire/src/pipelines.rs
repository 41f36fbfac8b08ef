//! Pipelines as the API shows them: declarations with the service's defaults, `PipelineMetadata`, `PipelineSummary`.

use engine::triggers::Watch;
use model::{
    Action, ExecutionMode, GitConfiguration, Patterns, Pipeline, PipelineName, PipelineType, PushFilter, Timestamp,
    Trigger, Version,
};
use serde_json::{Value, json};

use crate::events::Place;
use crate::fields::Fields;

/// The provider of sources with a connection, and of their triggers.
const CONNECTED: &str = "CodeStarSourceConnection";

/// The characters of a `GitBranchNamePattern`.
const MAX_PATTERN: usize = 255;

/// `PipelineDeclaration` as the service gives it back: its version, and what the author left out filled in.
pub fn declaration(pipeline: &Pipeline, version: Version) -> Value {
    let mut value = json!(pipeline);
    value["version"] = json!(version);
    value["executionMode"] = json!(pipeline.mode());
    value["pipelineType"] = json!(pipeline.kind());
    let added = default_triggers(pipeline);
    if !added.is_empty() {
        let triggers: Vec<&Trigger> = pipeline.triggers.iter().chain(&added).collect();
        value["triggers"] = json!(triggers);
    }
    let stages = value["stages"].as_array_mut().into_iter().flatten();
    for action in stages.filter_map(|stage| stage["actions"].as_array_mut()).flatten() {
        if action["runOrder"].is_null() {
            action["runOrder"] = json!(1);
        }
    }
    value
}

/// The triggers that the service adds: pushes to the branch of each connected source that detects changes and has no
/// trigger of its own. Source: terraform-provider-aws #38409.
fn default_triggers(pipeline: &Pipeline) -> Vec<Trigger> {
    let stage = pipeline.stages.first().filter(|_| pipeline.kind() == PipelineType::V2);
    let actions = stage.into_iter().flat_map(|stage| &stage.actions);
    let connected = actions.filter(|action| action.action_type_id.provider == CONNECTED);
    connected
        .filter_map(|action| match Watch::of(pipeline, action) {
            Some(Watch::Branch(branch)) if is_plain(&branch) => Some(pushes_to(branch, action)),
            Some(_) | None => None,
        })
        .collect()
}

/// Whether a trigger's pattern can say this branch, and no other.
fn is_plain(branch: &str) -> bool {
    branch.chars().count() <= MAX_PATTERN && !branch.contains(['{', '}', '*', '?', '[', ']', '\\'])
}

fn pushes_to(branch: String, action: &Action) -> Trigger {
    let branches = Patterns { includes: vec![branch], excludes: Vec::new() };
    let push = vec![PushFilter { branches: Some(branches), ..PushFilter::default() }];
    let source_action_name = action.name.clone();
    let git_configuration = GitConfiguration { source_action_name, push, pull_request: Vec::new() };
    Trigger { provider_type: CONNECTED.into(), git_configuration }
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
