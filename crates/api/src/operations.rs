//! The operations of CodePipeline's API, by name. Inputs are checked against the API model before they come here.

use control::Control;
use model::{PipelineName, shapes};
use serde_json::Value;

use crate::error::ApiError;
use crate::protocol;

mod declared;
mod executions;
mod input;
mod pages;
mod pipelines;
mod state;

/// One call: where, by whom, with what.
pub struct Call {
    /// The control plane of the region that the request was signed for.
    pub control: Control,
    /// The caller's ARN.
    pub principal: String,
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
pub async fn run(operation: &str, call: Call) -> Result<Value, ApiError> {
    let shape = shapes::operation(operation).ok_or_else(|| ApiError::not_implemented(operation))?;
    protocol::check(&shape.input, &call.input)?;
    let call = &call;
    match operation {
        "CreatePipeline" => pipelines::create(call).await,
        "DeletePipeline" => pipelines::delete(call).await,
        "DisableStageTransition" => executions::disable_transition(call).await,
        "EnableStageTransition" => executions::enable_transition(call).await,
        "GetPipeline" => pipelines::get(call).await,
        "GetPipelineExecution" => state::pipeline_execution(call).await,
        "GetPipelineState" => state::pipeline_state(call).await,
        "ListActionExecutions" => state::action_executions(call).await,
        "ListPipelineExecutions" => state::pipeline_executions(call).await,
        "ListPipelines" => pipelines::list(call).await,
        "ListRuleExecutions" => state::rule_executions(call).await,
        "OverrideStageCondition" => executions::override_condition(call).await,
        "PutApprovalResult" => executions::approve(call).await,
        "RetryStageExecution" => executions::retry(call).await,
        "RollbackStage" => executions::rollback(call).await,
        "StartPipelineExecution" => executions::start(call).await,
        "StopPipelineExecution" => executions::stop(call).await,
        "UpdatePipeline" => pipelines::update(call).await,
        _ => Err(ApiError::not_implemented(operation)),
    }
}
