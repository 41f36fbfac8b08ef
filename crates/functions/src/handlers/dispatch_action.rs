//! `dispatch-action`: starts, polls or completes one action through its provider.

use std::sync::Arc;

use actions::completion;
use async_trait::async_trait;
use control::driving::Driven;
use control::handoff::{DriverInput, Sender};
use control::ports::{ActionReply, ActionRequest, ActionRunner};
use control::rows::Task;
use engine::ActionKey;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::errors::FunctionError;
use crate::handoffs;
use crate::run::{Handler, Invocation};

/// Drives actions.
pub struct DispatchAction {
    /// The control plane.
    pub sender: Sender,
    /// The providers.
    pub runner: Arc<dyn ActionRunner>,
    /// The state machine whose executions are drivers.
    pub state_machine_arn: String,
}

/// Runs actions, and tells of their claims first: a start may take minutes, and nobody is to wait for its news so long.
struct TellFirst<'a> {
    sender: &'a Sender,
    runner: &'a dyn ActionRunner,
}

impl TellFirst<'_> {
    /// What cannot be told now is told by the relay or the sweep.
    async fn tell(&self) {
        if let Err(error) = self.sender.flush().await {
            tracing::warn!(%error, "a claim could not be told of; the relay does");
        }
    }
}

#[async_trait]
impl ActionRunner for TellFirst<'_> {
    async fn start(&self, request: ActionRequest) -> ActionReply {
        self.tell().await;
        self.runner.start(request).await
    }

    async fn poll(&self, request: ActionRequest) -> ActionReply {
        self.tell().await;
        self.runner.poll(request).await
    }

    async fn end(&self, key: &ActionKey) {
        self.runner.end(key).await;
    }
}

/// What the state machine asks for.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Operation {
    Start,
    Poll,
    GiveUp,
}

/// What the state machine invokes with.
#[derive(Debug, Deserialize)]
struct Request {
    operation: Operation,
    input: DriverInput,
    #[serde(default)]
    task_token: String,
}

impl DispatchAction {
    /// A driver's step.
    async fn drive(&self, event: &Value) -> Result<Value, FunctionError> {
        let fault = |error: serde_json::Error| FunctionError::InvalidEvent(format!("not a driver's request: {error}"));
        let request = Request::deserialize(event).map_err(fault)?;
        let control = &self.sender.control;
        let (input, token) = (&request.input, &request.task_token);
        tracing::info!(action = %input.action_execution_id, drive = input.drive, operation = ?request.operation, "driving");
        let runner = TellFirst { sender: &self.sender, runner: &*self.runner };
        let driven = match request.operation {
            Operation::Start => control.drive_action(input, token, &runner).await?,
            Operation::Poll => control.poll_driven(input, token, &runner).await?,
            Operation::GiveUp => {
                let (code, message) = failure(&event["input"]["failure"]);
                control.give_up(input, &code, message).await?;
                Driven::Done
            }
        };
        self.sender.flush().await?;
        if driven == Driven::Done && !token.is_empty() {
            self.sender.drivers.wake(token, &json!({ "v": input.v })).await?;
        }
        Ok(json!({ "driven": format!("{driven:?}") }))
    }

    /// An event of a bus: a row to consume, a driver that died, or news of a provider.
    async fn receive(&self, event: &Value) -> Result<Value, FunctionError> {
        if handoffs::is_handoff(event) {
            return self.consume(event).await;
        }
        if event["detail"]["stateMachineArn"] == self.state_machine_arn.as_str() {
            return self.replace_driver(event).await;
        }
        let Some(external_id) = completion::external_id_of(event) else {
            return Ok(json!({ "ignored": "not the end of any work" }));
        };
        let woken = self.sender.control.poll_external(&external_id, &*self.runner).await?;
        self.sender.flush().await?;
        if let Some(token) = &woken {
            self.sender.drivers.wake(token, &json!({})).await?;
        }
        Ok(json!({ "completed": woken.is_some() }))
    }

    async fn consume(&self, event: &Value) -> Result<Value, FunctionError> {
        let Some(row) = handoffs::row(event, &self.sender).await? else {
            return Ok(json!({ "consumed": false }));
        };
        if let Task::Poll(key) = &row.task {
            self.sender.control.consume_poll(&row, key, &*self.runner).await?;
        }
        self.sender.flush().await?;
        Ok(json!({ "consumed": true }))
    }

    /// A driver's execution failed, was aborted, or timed out: another follows, if its action still runs.
    async fn replace_driver(&self, event: &Value) -> Result<Value, FunctionError> {
        let detail = &event["detail"];
        if !["FAILED", "ABORTED", "TIMED_OUT"].iter().any(|status| detail["status"] == *status) {
            return Ok(json!({ "ignored": "the driver did not die" }));
        }
        let input = detail["input"].as_str().and_then(|input| serde_json::from_str::<DriverInput>(input).ok());
        let Some(input) = input else {
            return Err(FunctionError::InvalidEvent("a driver's status without its input".into()));
        };
        let Some(action) = self.sender.control.orphan(&input).await? else {
            return Ok(json!({ "ignored": "its action has ended" }));
        };
        tracing::warn!(action = %action.id, drive = input.drive, "a driver died; another follows");
        self.sender.drive(input.pipeline_id, &action, input.drive + 1).await?;
        Ok(json!({ "restarted": input.drive + 1 }))
    }
}

/// What a failed state says, as an action's error.
fn failure(failure: &Value) -> (String, String) {
    let error = failure["Error"].as_str().unwrap_or("unknown");
    let cause = failure["Cause"].as_str().unwrap_or_default();
    let message = serde_json::from_str::<Value>(cause).ok();
    let message = message.as_ref().and_then(|cause| cause["errorMessage"].as_str()).unwrap_or(cause);
    ("DriverFailed".into(), format!("The action could not be driven to its end ({error}): {message}"))
}

#[async_trait]
impl Handler for DispatchAction {
    async fn handle(&self, event: Value, _: &Invocation) -> Result<Value, FunctionError> {
        let own = Self {
            sender: self.sender.for_invocation(),
            runner: self.runner.clone(),
            state_machine_arn: self.state_machine_arn.clone(),
        };
        if event["operation"].is_string() { own.drive(&event).await } else { own.receive(&event).await }
    }
}
