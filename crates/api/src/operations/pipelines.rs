//! CreatePipeline, UpdatePipeline, GetPipeline, ListPipelines, DeletePipeline.

use control::pipelines::StoredPipeline;
use engine::{Start, TriggerDetail};
use model::{PipelineName, StringMap, TriggerType};
use serde_json::{Value, json};
use wire::pipelines::Times;

use super::{Call, declared, input, pages, tags};
use crate::error::ApiError;

/// The most pipelines of a page.
const MAX_PAGE: usize = 1000;

pub(super) async fn create(call: &Call) -> Result<Value, ApiError> {
    let tags = tags::given(&call.input["tags"])?;
    let created = call.control.create_tagged_pipeline(declared::pipeline(call).await?, &tags).await?;
    if call.means.starts_created {
        start_created(call, &created.declaration.name).await;
    }
    let mut output = json!({ "pipeline": shown(created) });
    if !tags.is_empty() {
        output["tags"] = json!(tags::shown(&tags));
    }
    Ok(output)
}

/// Starts the first execution. What keeps it from starting (a variable that has no default) is no fault of the creation.
async fn start_created(call: &Call, name: &PipelineName) {
    let start = Start {
        trigger: TriggerDetail { kind: TriggerType::CreatePipeline, detail: call.principal.clone() },
        origin: None,
        variables: StringMap::new(),
        overrides: Vec::new(),
    };
    if let Err(error) = call.control.start_pipeline_execution(name, start, None).await {
        tracing::warn!(%name, %error, "the pipeline was created, but its first execution does not start");
    }
}

pub(super) async fn update(call: &Call) -> Result<Value, ApiError> {
    let updated = call.control.update_pipeline(declared::pipeline(call).await?).await?;
    Ok(json!({ "pipeline": shown(updated) }))
}

pub(super) async fn get(call: &Call) -> Result<Value, ApiError> {
    let name = input::text(&call.input, "name").into();
    let version = call.input["version"].as_u64().and_then(|version| u32::try_from(version).ok());
    let found = call.control.get_pipeline(&name, version).await?;
    let found = found.ok_or_else(|| {
        ApiError::new("PipelineVersionNotFoundException", format!("the pipeline {name} has no such version"))
    })?;
    let times = Times { created: found.created_at, updated: found.updated_at };
    let mut metadata = wire::pipelines::metadata(&name, times, &call.place());
    if let Some(at) = call.control.polling_disabled_at(found.id).await? {
        metadata["pollingDisabledAt"] = json!(at.as_epoch_seconds());
    }
    Ok(json!({ "pipeline": shown(found), "metadata": metadata }))
}

pub(super) async fn list(call: &Call) -> Result<Value, ApiError> {
    let limit = input::max_results(&call.input, MAX_PAGE);
    let (found, more) = call.control.list_pipelines(pages::place(call)?, limit).await?;
    let pipelines: Vec<Value> = found
        .iter()
        .map(|found| {
            let (name, item) = (&found.name, &found.item);
            let times = Times { created: item.created_at, updated: item.updated_at };
            wire::pipelines::summary(name, item.version, item.kind, item.mode, times)
        })
        .collect();
    let mut output = json!({ "pipelines": pipelines });
    if let Some(last) = found.last().filter(|_| more) {
        output["nextToken"] = json!(pages::token(call, &last.name)?);
    }
    Ok(output)
}

pub(super) async fn delete(call: &Call) -> Result<Value, ApiError> {
    call.control.delete_pipeline(&input::text(&call.input, "name").into()).await?;
    Ok(Value::Null)
}

/// The declaration as the service gives it back: no secret leaves.
fn shown(stored: StoredPipeline) -> Value {
    let mut declaration = stored.declaration;
    model::action_types::mask_pipeline(&mut declaration);
    wire::pipelines::declaration(&declaration, declaration.version.unwrap_or(1))
}
