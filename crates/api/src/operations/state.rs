//! What people look at: GetPipelineState, GetPipelineExecution and the listings of executions.

use std::collections::{BTreeMap, HashMap};

use control::action_types::fill_url;
use control::jobs::takes_jobs;
use control::state::{PipelineState, StageView as Found};
use control::views::{ActionCursor, ActionDetail, ActionFilter};
use engine::Hold;
use model::{ActionName, ActionTypeId, ExecutionId, ExecutionMode, Stage, StageName};
use serde_json::{Value, json};
use wire::actions::Beside;
use wire::pipelines::Times;
use wire::state::StageView;

use super::{Call, input, pages};
use crate::error::ApiError;
use crate::output::Output;

/// The most entries of a page.
const MAX_PAGE: usize = 100;

pub(super) async fn pipeline_state(call: &Call) -> Result<Value, ApiError> {
    let state = call.control.get_pipeline_state(&input::text(&call.input, "name").into()).await?;
    let mut templates = HashMap::new();
    let mut views = Vec::with_capacity(state.stages.len());
    for (index, found) in state.stages.iter().enumerate() {
        let entity_urls = entity_urls(call, &found.declared, &mut templates).await?;
        views.push(StageView { entity_urls, ..stage_view(&state, index, found) });
    }
    let times = Times { created: state.created_at, updated: state.updated_at };
    Ok(wire::state::pipeline_state(&state.pipeline.name, state.header.version, times, &views))
}

/// Where the subjects of a stage's actions are shown that job workers do: their types have templates, each read once.
async fn entity_urls(
    call: &Call,
    stage: &Stage,
    templates: &mut HashMap<ActionTypeId, Option<String>>,
) -> Result<BTreeMap<ActionName, String>, ApiError> {
    let mut urls = BTreeMap::new();
    for action in stage.actions.iter().filter(|action| takes_jobs(&action.action_type_id)) {
        let id = &action.action_type_id;
        if !templates.contains_key(id) {
            let known = call.control.custom_action_type(id).await?;
            templates.insert(id.clone(), known.and_then(|known| known.settings.entity_url_template));
        }
        if let Some(Some(template)) = templates.get(id) {
            urls.insert(action.name.clone(), fill_url(template, &action.configuration, None));
        }
    }
    Ok(urls)
}

/// In PARALLEL mode stages have no state and no transitions; the first stage has none but what somebody disabled.
fn stage_view<'a>(state: &PipelineState, index: usize, found: &'a Found) -> StageView<'a> {
    let stateless = StageView::stateless(&found.declared);
    if state.header.mode == ExecutionMode::Parallel {
        return stateless;
    }
    let holds: &[Hold] = &found.lane.holds;
    StageView {
        waiting: found.inbound.iter().collect(),
        holds: (index > 0 || !holds.is_empty()).then_some(holds),
        enabled: found.lane.enabled.as_ref(),
        latest: found.latest.as_ref().zip(found.stage_execution.as_ref()),
        actions: found.actions.iter().collect(),
        ..stateless
    }
}

pub(super) async fn pipeline_execution(call: &Call) -> Result<Value, ApiError> {
    let id = input::execution_id(&call.input, "pipelineExecutionId")?;
    let execution = call.control.get_pipeline_execution(&call.pipeline_name(), id).await?;
    Ok(json!({ "pipelineExecution": wire::executions::pipeline_execution(&execution) }))
}

pub(super) async fn pipeline_executions(call: &Call) -> Result<Output, ApiError> {
    let input = &call.input;
    let limit = input::max_results(input, MAX_PAGE);
    let stage = input["filter"]["succeededInStage"]["stageName"].as_str().map(StageName::from);
    let before: Option<u64> = pages::place(call)?;
    let (found, more) =
        call.control.list_pipeline_executions(&call.pipeline_name(), before, limit, stage.as_ref()).await?;
    let next = more.map(|ordinal| pages::token(call, &ordinal)).transpose()?;
    Output::json(&wire::executions::pipeline_executions(&found, next.as_deref()))
}

pub(super) async fn action_executions(call: &Call) -> Result<Value, ApiError> {
    let (details, next) = listed(call, false).await?;
    let region = &call.control.place().region;
    let shown = |detail: &ActionDetail| wire::actions::action_execution_detail(&detail.action, beside(detail, region));
    output(call, "actionExecutionDetails", details.iter().map(shown).collect(), next)
}

pub(super) async fn rule_executions(call: &Call) -> Result<Value, ApiError> {
    let (details, next) = listed(call, true).await?;
    let region = &call.control.place().region;
    let shown = |detail: &ActionDetail| wire::actions::rule_execution_detail(&detail.action, beside(detail, region));
    output(call, "ruleExecutionDetails", details.iter().map(shown).collect(), next)
}

fn output(call: &Call, name: &str, entries: Vec<Value>, next: Option<ActionCursor>) -> Result<Value, ApiError> {
    let mut output = json!({ name: entries });
    if let Some(next) = next {
        output["nextToken"] = json!(pages::token(call, &(next.ordinal, next.left))?);
    }
    Ok(output)
}

fn beside<'a>(detail: &'a ActionDetail, region: &'a str) -> Beside<'a> {
    Beside {
        action: detail.declared.as_ref(),
        resolved: Some(&detail.resolved_configuration),
        variables: Some(&detail.output_variables),
        region,
        role_arn: None,
    }
}

/// A page of action or rule executions, newest first.
async fn listed(call: &Call, rules: bool) -> Result<(Vec<ActionDetail>, Option<ActionCursor>), ApiError> {
    let filter = &call.input["filter"];
    let latest = &filter["latestInPipelineExecution"];
    let named = [&filter["pipelineExecutionId"], &latest["pipelineExecutionId"]].map(Value::as_str);
    if let [Some(one), Some(other)] = named
        && one != other
    {
        return Err(ApiError::invalid(
            "filter.pipelineExecutionId and filter.latestInPipelineExecution.pipelineExecutionId name two executions; no \
             action belongs to both",
        ));
    }
    let only: Option<ExecutionId> = named[0]
        .or(named[1])
        .map(str::parse)
        .transpose()
        .map_err(|_| ApiError::invalid("pipelineExecutionId must be the id of an execution"))?;
    let filter = ActionFilter { only, newest_attempts: latest["startTimeRange"] == "Latest", rules };
    let cursor: Option<(u64, usize)> = pages::place(call)?;
    let cursor = cursor.map(|(ordinal, left)| ActionCursor { ordinal, left });
    let limit = input::max_results(&call.input, MAX_PAGE);
    Ok(call.control.list_action_executions(&call.pipeline_name(), &filter, cursor, limit).await?)
}

/// The targets of a deploy action's execution, whose status is one of the filter's if there is one.
pub(super) async fn deploy_targets(call: &Call) -> Result<Value, ApiError> {
    let named = call.input["pipelineName"].as_str();
    if let Some(name) = named {
        call.control.pipeline_ref(&name.into()).await?;
    }
    pages::place::<usize>(call)?;
    let wanted = input::text(&call.input, "actionExecutionId");
    let found = call.control.action_by_external_id(wanted).await?;
    let found = found.filter(|found| named.is_none_or(|name| found.pipeline.name == name));
    let execution = match &found {
        Some(found) => call.control.action(&found.pipeline, &found.key).await?,
        None => None,
    };
    // A job's id leads to its action, too, and is not its execution's id.
    let execution = execution.filter(|action| action.id.to_string() == wanted);
    let (Some(found), Some(execution)) = (found, execution) else {
        let message = "there is no deploy action execution of this id";
        return Err(ApiError::new("ActionExecutionNotFoundException", message));
    };
    // Whoever gives no name is not asked about the pipeline before.
    call.policies.check_pipeline(call, &found.pipeline.name)?;
    let resolved = call.control.resolved_configuration(found.pipeline.id, &found.key).await?;
    let mut targets: Vec<Value> = wire::deploy_targets::deploy_target(&execution, &resolved).into_iter().collect();
    for filter in call.input["filters"].as_array().into_iter().flatten() {
        let statuses = filter["values"].as_array();
        targets.retain(|target| statuses.is_none_or(|statuses| statuses.contains(&target["status"])));
    }
    let (targets, next) = pages::slice(call, &targets, input::max_results(&call.input, MAX_PAGE))?;
    let mut output = json!({ "targets": targets });
    if let Some(next) = next {
        output["nextToken"] = json!(next);
    }
    Ok(output)
}
