//! The Step Functions invoke action. A Standard execution is waited for; an Express one only started.

use async_trait::async_trait;
use aws_sdk_sfn::Client;
use aws_sdk_sfn::error::ProvideErrorMetadata;
use aws_sdk_sfn::operation::describe_execution::DescribeExecutionOutput;
use aws_sdk_sfn::types::{ExecutionStatus, StateMachineType};
use aws_types::SdkConfig;
use control::ports::{ActionReply, ActionRequest};
use engine::{ArtifactLocation, Outcome, Started};
use model::StringMap;

use crate::archive::{Archive, pack_one};
use crate::configuration::{Settings, console, region};
use crate::fault::{Access, Fault, code, scratch};
use crate::objects::{Objects, Storing};
use crate::polling;
use crate::registry::Provider;
use crate::roles::Session;
use crate::runner::{Guarantee, ProviderParts, ended};

/// The most characters of an execution's name.
const MAX_NAME: usize = 80;
/// The most bytes of an execution's input.
const MAX_INPUT_BYTES: usize = 256 * 1024;
/// The file of the output artifact.
const OUTPUT_FILE: &str = "output.json";

/// The Step Functions invoke action.
pub(crate) struct StepFunctions;

/// An execution to start.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Call {
    machine: String,
    /// Made of the action execution's id: the same name starts nothing twice.
    name: String,
}

#[async_trait]
impl Provider for StepFunctions {
    /// A Standard execution is found by its name. An Express one is not: when it may have been started, it is not again.
    fn guarantee(&self) -> Guarantee {
        Guarantee::Lookup
    }

    async fn start(&self, parts: &ProviderParts, request: &ActionRequest) -> Result<ActionReply, Fault> {
        let call = call(request)?;
        let config = parts.roles.config(&session(request, &call.machine)).await?;
        let client = Client::new(&config);
        let is_express = is_express(&client, request, &call).await?;
        if is_express && !request.action.outputs.is_empty() {
            let what = format!("action {}: an Express state machine has no output artifact", request.declaration.name);
            return Err(Fault::configuration(what));
        }
        let input = input(&config, request).await?;
        let access = Access::new(&request.role_arn, "states:StartExecution", &call.machine);
        let begun =
            client.start_execution().state_machine_arn(&call.machine).name(&call.name).input(input).send().await;
        let arn = match begun {
            Ok(begun) => begun.execution_arn().to_owned(),
            // By an earlier attempt of this very action execution: nobody else uses its id.
            Err(error) if error.code() == Some("ExecutionAlreadyExists") && !is_express => execution_arn(&call),
            Err(error) => return Err(access.fault(&error)),
        };
        if is_express {
            let variables = StringMap::from([("StateMachineArn".into(), call.machine.clone())]);
            let summary = Some("an Express execution was started; its end is not waited for".into());
            return Ok(ended(Outcome { external_id: Some(arn), summary, variables, ..Outcome::default() }));
        }
        Ok(pending(parts, request, arn))
    }

    async fn find(&self, parts: &ProviderParts, request: &ActionRequest) -> Result<Option<ActionReply>, Fault> {
        let call = call(request)?;
        let config = parts.roles.config(&session(request, &call.machine)).await?;
        let client = Client::new(&config);
        if is_express(&client, request, &call).await? {
            let message =
                "nobody knows whether the Express state machine was started; it is not started again by itself";
            return Err(Fault::Ends { code: code::UNKNOWN_START, message: message.into() });
        }
        let arn = execution_arn(&call);
        let access = Access::new(&request.role_arn, "states:DescribeExecution", &arn);
        match client.describe_execution().execution_arn(&arn).send().await {
            Ok(_) => Ok(Some(pending(parts, request, arn))),
            Err(error) if error.code() == Some("ExecutionDoesNotExist") => Ok(None),
            Err(error) => Err(access.fault(&error)),
        }
    }

    async fn poll(&self, parts: &ProviderParts, request: &ActionRequest) -> Result<ActionReply, Fault> {
        let arn = request.external_id.clone().unwrap_or_default();
        let call = call(request)?;
        let config = parts.roles.config(&session(request, &call.machine)).await?;
        let access = Access::new(&request.role_arn, "states:DescribeExecution", &arn);
        let found = Client::new(&config).describe_execution().execution_arn(&arn).send().await;
        let young = polling::may_turn_up(&request.action, parts.clock.now());
        let found = found.map_err(|error| match error.code() {
            Some("ExecutionDoesNotExist") if young => Fault::Later(format!("Step Functions knows no execution {arn}")),
            _ => access.fault(&error),
        })?;
        let Some(mut outcome) = judge(&call, &found)? else { return Ok(pending(parts, request, arn)) };
        if let Some(output) = request.action.outputs.first() {
            outcome.outputs.push(store(parts, request, output, found.output().unwrap_or("{}")).await?);
        }
        Ok(ended(outcome))
    }
}

fn call(request: &ActionRequest) -> Result<Call, Fault> {
    let settings = Settings(request);
    let machine = settings.required("StateMachineArn")?.to_owned();
    if machine.split(':').nth(5) != Some("stateMachine") {
        return Err(settings.fault("StateMachineArn", &format!("{machine} is no state machine's ARN")));
    }
    let id = request.action.id;
    let name =
        settings.optional("ExecutionNamePrefix").map_or_else(|| id.to_string(), |prefix| format!("{prefix}-{id}"));
    if name.chars().count() > MAX_NAME {
        let most = MAX_NAME - id.to_string().len() - 1;
        return Err(settings.fault("ExecutionNamePrefix", &format!("has more than {most} characters")));
    }
    Ok(Call { machine, name })
}

/// In the state machine's own region.
fn session(request: &ActionRequest, machine: &str) -> Session {
    let of_machine = machine.split(':').nth(3).filter(|region| !region.is_empty());
    Session { region: of_machine.unwrap_or_else(|| region(request)).to_owned(), ..Session::of(request) }
}

/// `arn:…:execution:MACHINE:NAME`, without the version or alias that the machine's ARN may name.
fn execution_arn(call: &Call) -> String {
    let parts: Vec<&str> = call.machine.split(':').collect();
    let (before, machine) = (parts.get(..5).unwrap_or_default(), parts.get(6).copied().unwrap_or_default());
    format!("{}:execution:{machine}:{}", before.join(":"), call.name)
}

async fn is_express(client: &Client, request: &ActionRequest, call: &Call) -> Result<bool, Fault> {
    let access = Access::new(&request.role_arn, "states:DescribeStateMachine", &call.machine);
    let described = client.describe_state_machine().state_machine_arn(&call.machine).send().await;
    let described = described.map_err(|error| access.fault(&error))?;
    Ok(*described.r#type() == StateMachineType::Express)
}

async fn input(config: &SdkConfig, request: &ActionRequest) -> Result<String, Fault> {
    let settings = Settings(request);
    let given = match settings.optional("InputType").unwrap_or("Literal") {
        "Literal" => settings.optional("Input").unwrap_or("{}").to_owned(),
        "FilePath" => file(config, request, settings.required("Input")?).await?,
        other => return Err(settings.fault("InputType", &format!("is Literal or FilePath, not {other:?}"))),
    };
    checked_input(settings, given)
}

fn checked_input(settings: Settings<'_>, input: String) -> Result<String, Fault> {
    if input.len() > MAX_INPUT_BYTES {
        return Err(settings.fault("Input", &format!("has more than {MAX_INPUT_BYTES} bytes")));
    }
    match serde_json::from_str::<serde::de::IgnoredAny>(&input) {
        Ok(_) => Ok(input),
        Err(error) => Err(settings.fault("Input", &format!("is no JSON: {error}"))),
    }
}

/// A file of the input artifact.
async fn file(config: &SdkConfig, request: &ActionRequest, path: &str) -> Result<String, Fault> {
    let input = Settings(request).input()?;
    let directory = tempfile::tempdir().map_err(|error| scratch(&error))?;
    let archive = directory.path().join("artifact");
    // The artifact lies in the action's region.
    let objects = Objects::new(config, &request.role_arn);
    objects.fetch(input, &archive).await?;
    let (name, path) = (format!("the artifact {}", input.name), path.to_owned());
    let read = tokio::task::spawn_blocking(move || Archive::open(&archive, &name)?.read_path(&path));
    let content = read.await.map_err(|error| Fault::Later(error.to_string()))??;
    String::from_utf8(content).map_err(|_| Settings(request).fault("Input", "names a file that is no text"))
}

fn pending(parts: &ProviderParts, request: &ActionRequest, arn: String) -> ActionReply {
    let page = format!("states/home#/v2/executions/details/{arn}");
    let started =
        Started { external_url: Some(console(region(request), &page)), external_id: Some(arn), ..Started::default() };
    let poll_at = Some(polling::next(polling::began(&request.action), parts.clock.now()));
    ActionReply::Pending { started, poll_at }
}

/// What an execution's status means for the action; nothing yet while it runs.
fn judge(call: &Call, found: &DescribeExecutionOutput) -> Result<Option<Outcome>, Fault> {
    let arn = found.execution_arn();
    match found.status() {
        ExecutionStatus::Running | ExecutionStatus::PendingRedrive => Ok(None),
        ExecutionStatus::Succeeded => Ok(Some(Outcome {
            external_id: Some(arn.to_owned()),
            summary: Some("the execution succeeded".into()),
            variables: StringMap::from([
                ("ExecutionArn".into(), arn.to_owned()),
                ("StateMachineArn".into(), call.machine.clone()),
            ]),
            ..Outcome::default()
        })),
        status => {
            let error = found.error().map(|error| format!(": {error}")).unwrap_or_default();
            let cause = found.cause().map(|cause| format!(": {}", cut(cause))).unwrap_or_default();
            Err(Fault::job(format!("the execution {arn} ended {}{error}{cause}", status.as_str())))
        }
    }
}

/// As much of a cause as a message shows.
fn cut(cause: &str) -> String {
    const SHOWN: usize = 1000;
    cause.chars().take(SHOWN).collect()
}

async fn store(
    parts: &ProviderParts,
    request: &ActionRequest,
    output: &ArtifactLocation,
    content: &str,
) -> Result<ArtifactLocation, Fault> {
    let directory = tempfile::tempdir().map_err(|error| scratch(&error))?;
    let archive = directory.path().join("artifact");
    pack_one(&archive, OUTPUT_FILE, content.as_bytes())?;
    let config = parts.roles.config(&Session::of(request)).await?;
    let storing = Storing { kms_key: request.encryption_key.clone(), ..Storing::default() };
    Objects::new(&config, &request.role_arn).store(output, &archive, &storing).await
}

#[cfg(test)]
mod tests;
