//! The operations of CodePipeline's API, by name. Inputs are checked against the API model before they come here.

use std::sync::Arc;

use control::Control;
use model::{PipelineName, shapes};
use serde_json::Value;

use crate::error::ApiError;
use crate::means::Means;
use crate::output::Output;
use crate::policies::Policies;
use crate::protocol;

mod action_types;
mod declared;
mod executions;
mod input;
pub(crate) mod jobs;
pub(crate) mod pages;
mod pipelines;
mod state;
pub(crate) mod tags;
mod webhooks;

/// One call: where, by whom, with what.
pub struct Call {
    /// The control plane of the region that the request was signed for.
    pub control: Control,
    /// The caller's ARN.
    pub principal: String,
    /// What is needed beside it.
    pub means: Arc<Means>,
    /// Who may do what.
    pub policies: Arc<Policies>,
    /// The operation.
    pub operation: String,
    /// The input.
    pub input: Value,
}

impl Call {
    /// The account and region, as answers write them.
    pub(crate) fn place(&self) -> wire::Place {
        let place = self.control.place();
        wire::Place::new(&place.account, &place.region)
    }

    pub(crate) fn pipeline_name(&self) -> PipelineName {
        input::text(&self.input, "pipelineName").into()
    }
}

/// Runs an operation of the API model.
///
/// # Errors
///
/// Every fault of the input at once, what the operation refuses, or that it is not offered yet.
pub async fn run(call: &Call) -> Result<Output, ApiError> {
    let operation = call.operation.as_str();
    let shape = shapes::operation(operation).ok_or_else(|| ApiError::not_implemented(operation))?;
    protocol::check(&shape.input, &call.input)?;
    dispatch(call).await.map_err(|error| error.documented_by(&shape.errors))
}

async fn dispatch(call: &Call) -> Result<Output, ApiError> {
    let operation = call.operation.as_str();
    let output = match operation {
        "AcknowledgeJob" => jobs::acknowledge(call).await,
        "AcknowledgeThirdPartyJob" => jobs::acknowledge_third_party(call).await,
        "CreateCustomActionType" => action_types::create(call).await,
        "CreatePipeline" => pipelines::create(call).await,
        "DeleteCustomActionType" => action_types::delete(call).await,
        "DeletePipeline" => pipelines::delete(call).await,
        "DeleteWebhook" => webhooks::delete(call).await,
        "DeregisterWebhookWithThirdParty" => webhooks::register(call, false).await,
        "DisableStageTransition" => executions::disable_transition(call).await,
        "EnableStageTransition" => executions::enable_transition(call).await,
        "GetActionType" => action_types::get(call).await,
        "GetJobDetails" => jobs::details(call).await,
        "GetPipeline" => pipelines::get(call).await,
        "GetPipelineExecution" => state::pipeline_execution(call).await,
        "GetPipelineState" => state::pipeline_state(call).await,
        "GetThirdPartyJobDetails" => jobs::details_third_party(call).await,
        "ListActionExecutions" => state::action_executions(call).await,
        "ListActionTypes" => action_types::list(call).await,
        "ListDeployActionExecutionTargets" => state::deploy_targets(call).await,
        "ListPipelineExecutions" => return state::pipeline_executions(call).await,
        "ListPipelines" => pipelines::list(call).await,
        "ListRuleExecutions" => state::rule_executions(call).await,
        "ListRuleTypes" => Ok(action_types::rule_types()),
        "ListTagsForResource" => tags::list(call).await,
        "ListWebhooks" => webhooks::list(call).await,
        "OverrideStageCondition" => executions::override_condition(call).await,
        "PollForJobs" => jobs::poll(call).await,
        "PollForThirdPartyJobs" => jobs::poll_third_party(call).await,
        "PutActionRevision" => executions::put_revision(call).await,
        "PutApprovalResult" => executions::approve(call).await,
        "PutJobFailureResult" => jobs::fail(call).await,
        "PutJobSuccessResult" => jobs::succeed(call).await,
        "PutThirdPartyJobFailureResult" => jobs::fail_third_party(call).await,
        "PutThirdPartyJobSuccessResult" => jobs::succeed_third_party(call).await,
        "PutWebhook" => webhooks::put(call).await,
        "RegisterWebhookWithThirdParty" => webhooks::register(call, true).await,
        "RetryStageExecution" => executions::retry(call).await,
        "RollbackStage" => executions::rollback(call).await,
        "StartPipelineExecution" => executions::start(call).await,
        "StopPipelineExecution" => executions::stop(call).await,
        "TagResource" => tags::tag(call).await,
        "UntagResource" => tags::untag(call).await,
        "UpdateActionType" => action_types::update(call).await,
        "UpdatePipeline" => pipelines::update(call).await,
        _ => Err(ApiError::not_implemented(operation)),
    };
    output.map(Output::from)
}
