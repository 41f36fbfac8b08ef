//! What people look at: GetPipelineState, GetPipelineExecution and the listings of executions.

use std::collections::HashSet;

use control::state::{PipelineState, StageView as Found};
use control::views::{ActionCursor, ActionDetail};
use engine::{ActionExecution, Hold};
use model::{ExecutionId, ExecutionMode, StageName};
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
    let views: Vec<StageView<'_>> =
        state.stages.iter().enumerate().map(|(index, found)| stage_view(&state, index, found)).collect();
    let times = Times { created: state.created_at, updated: state.updated_at };
    Ok(wire::state::pipeline_state(&state.pipeline.name, state.header.version, times, &views))
}

/// In PARALLEL mode stages have no state and no transitions; the first stage never has a transition.
fn stage_view<'a>(state: &PipelineState, index: usize, found: &'a Found) -> StageView<'a> {
    let stateless = StageView::stateless(&found.declared);
    if state.header.mode == ExecutionMode::Parallel {
        return stateless;
    }
    let holds: &[Hold] = &found.lane.holds;
    StageView {
        waiting: found.inbound.iter().collect(),
        holds: (index > 0).then_some(holds),
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
        output["nextToken"] = json!(pages::token(call, &(next.ordinal, next.shown))?);
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
    let only = [&filter["pipelineExecutionId"], &latest["pipelineExecutionId"]].into_iter().find(|id| !id.is_null());
    let only: Option<ExecutionId> = only
        .map(|id| id.as_str().unwrap_or_default().parse())
        .transpose()
        .map_err(|_| ApiError::invalid("pipelineExecutionId must be the id of an execution"))?;
    let cursor: Option<(u64, usize)> = pages::place(call)?;
    let cursor = cursor.map(|(ordinal, shown)| ActionCursor { ordinal, shown });
    let limit = input::max_results(&call.input, MAX_PAGE);
    let name = call.pipeline_name();
    let (mut details, next) = call.control.list_action_executions(&name, only, cursor, limit, rules).await?;
    if let (Some(execution), "Latest") = (only, input::text(latest, "startTimeRange")) {
        let newest = newest_attempts(call, execution).await?;
        details.retain(|detail| newest.contains(&detail.action.id));
    }
    Ok((details, next))
}

/// The newest attempt of each action and rule of an execution.
async fn newest_attempts(call: &Call, id: ExecutionId) -> Result<HashSet<model::ActionExecutionId>, ApiError> {
    let pipeline = call.control.pipeline_ref(&call.pipeline_name()).await?;
    let actions = call.control.actions_of(pipeline.id, id).await?;
    let is_newest = |action: &&ActionExecution| {
        !actions.iter().any(|other| {
            other.key.attempt > action.key.attempt
                && (&other.key.stage, other.key.slot, &other.key.name)
                    == (&action.key.stage, action.key.slot, &action.key.name)
        })
    };
    Ok(actions.iter().filter(is_newest).map(|action| action.id).collect())
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
