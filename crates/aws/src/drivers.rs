//! Drivers of actions as executions of a Standard state machine.

use async_trait::async_trait;
use aws_sdk_sfn::Client;
use control::handoff::Drivers;
use control::ports::PortError;
use serde_json::Value;

use crate::failure::port_error;
use crate::trace::current_trace;

const WHAT: &str = "the state machine";

/// Starts and wakes executions of one state machine.
#[derive(Clone, Debug)]
pub struct StepFunctionsDrivers {
    client: Client,
    state_machine: String,
}

impl StepFunctionsDrivers {
    /// Drivers of the state machine with this ARN.
    pub fn new(client: Client, state_machine_arn: impl Into<String>) -> Self {
        Self { client, state_machine: state_machine_arn.into() }
    }
}

#[async_trait]
impl Drivers for StepFunctionsDrivers {
    async fn start(&self, name: &str, input: &Value) -> Result<(), PortError> {
        let request = self.client.start_execution().state_machine_arn(&self.state_machine).name(name);
        match request.input(input.to_string()).set_trace_header(current_trace()).send().await {
            Ok(_) => Ok(()),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_execution_already_exists()) => Ok(()),
            Err(error) => Err(port_error(WHAT, &error)),
        }
    }

    async fn wake(&self, task_token: &str, output: &Value) -> Result<(), PortError> {
        match self.client.send_task_success().task_token(task_token).output(output.to_string()).send().await {
            Ok(_) => Ok(()),
            Err(error) => match error.as_service_error() {
                Some(known)
                    if known.is_task_does_not_exist() || known.is_task_timed_out() || known.is_invalid_token() =>
                {
                    Ok(())
                }
                _ => Err(port_error(WHAT, &error)),
            },
        }
    }
}
