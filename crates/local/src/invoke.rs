//! Lambda functions as local commands or at an endpoint.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use control::ports::ActionRequest;
use engine::{ArtifactLocation, Outcome};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::archive;
use crate::commands::Ctx;
use crate::commands::context::{Fault, time_left};
use crate::commands::scratch::{self, Scratch};
use crate::commands::variables;
use crate::config::Function;
use crate::process::{self, ProgramEnd, ProgramSpec, base_environment};

/// How long a function at an endpoint may take where the action names no time: Lambda's own limit.
const LAMBDA_LIMIT: Duration = Duration::from_secs(15 * 60);

/// Runs a Lambda invoke action or a LambdaInvoke rule, with what stands in for its function.
///
/// A command reads CodePipeline's job event on its standard input; exit status 0 is success. Its input artifacts lie
/// unpacked in the directories that `PENSTOCK_INPUT_DIR_<artifact>` name, and what it leaves in those of
/// `PENSTOCK_OUTPUT_DIR_<artifact>` becomes its output artifacts. (Characters of an artifact's name that a variable's name
/// cannot have are underscores.) A function at an endpoint is invoked, and its answer waited for.
///
/// The outcome's error is `JobFailed`, `ConfigurationError`, `Timeout` or `Stopped`.
pub async fn run_invoke(ctx: &Ctx, request: &ActionRequest, stop: &CancellationToken) -> Outcome {
    invoke(ctx, request, stop).await.unwrap_or_else(Outcome::from)
}

async fn invoke(ctx: &Ctx, request: &ActionRequest, stop: &CancellationToken) -> Result<Outcome, Fault> {
    let name = request.declaration.configuration.get("FunctionName").filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| Fault::configuration("configuration.FunctionName: is missing"))?;
    let plain = plain_name(name);
    let function = ctx.config.functions.get(name).or_else(|| ctx.config.functions.get(plain));
    match function {
        None => Err(Fault::configuration(format!(
            "nothing stands in for the function {name}; add to {}:\n[function.\"{plain}\"]\ncommand = [\"./{plain}\"]",
            ctx.config.shown()
        ))),
        Some(Function::Command { command, environment }) => {
            let scratch = Scratch::make(ctx, request, None).await?;
            let ended = run_command(ctx, request, command, environment, &scratch, stop).await;
            scratch.remove().await;
            ended
        }
        Some(Function::Endpoint(url)) => {
            let call = call(url.clone(), plain.to_owned(), event(request), time_left(request).unwrap_or(LAMBDA_LIMIT));
            tokio::select! {
                ended = call => ended.map(|()| Outcome::default()),
                () = stop.cancelled() => Err(stopped()),
            }
        }
    }
}

/// A function's name of its name or ARN, `arn:aws:lambda:REGION:ACCOUNT:function:NAME[:ALIAS]`.
pub(crate) fn plain_name(name: &str) -> &str {
    if name.starts_with("arn:") { name.split(':').nth(6).unwrap_or(name) } else { name }
}

/// The event that a function gets (semantics 8). There are no credentials: nothing is to be fetched from S3.
fn event(request: &ActionRequest) -> Value {
    let artifact = |artifact: &ArtifactLocation| {
        json!({
            "location": {"s3Location": {"bucketName": artifact.bucket, "objectKey": artifact.key}, "type": "S3"},
            "revision": request.input_revisions.get(artifact.name.as_str()).or(artifact.revision.as_ref()),
            "name": artifact.name,
        })
    };
    let mut data = json!({
        "actionConfiguration": {"configuration": request.declaration.configuration},
        "inputArtifacts": request.action.inputs.iter().map(artifact).collect::<Vec<_>>(),
        "outputArtifacts": request.action.outputs.iter().map(artifact).collect::<Vec<_>>(),
        "artifactCredentials": {"accessKeyId": "", "secretAccessKey": "", "sessionToken": ""},
    });
    if let (Some(key), Some(fields)) = (&request.encryption_key, data.as_object_mut()) {
        fields.insert("encryptionKey".into(), json!({"id": key, "type": "KMS"}));
    }
    json!({"CodePipeline.job": {"id": request.action.id, "accountId": request.account, "data": data}})
}

async fn run_command(
    ctx: &Ctx,
    request: &ActionRequest,
    command: &[String],
    declared: &BTreeMap<String, String>,
    scratch: &Scratch,
    stop: &CancellationToken,
) -> Result<Outcome, Fault> {
    let [program, args @ ..] = command else {
        return Err(Fault::configuration("the function's command is empty"));
    };
    let log = ctx.open_log(request, &[])?;
    let input = scratch.session().join("event.json");
    fs::write(&input, event(request).to_string()).map_err(|error| Fault::failed(error.to_string()))?;
    let mut environment = base_environment(&ctx.config.inherit);
    environment.insert("AWS_REGION".into(), variables::region(request).into());
    for artifact in &request.action.inputs {
        let directory = scratch.source_of(artifact.name.as_str());
        environment.insert(variable("PENSTOCK_INPUT_DIR_", artifact), directory.display().to_string());
    }
    for artifact in &request.action.outputs {
        let directory = output_directory(scratch, artifact);
        fs::create_dir_all(&directory).map_err(|error| Fault::failed(error.to_string()))?;
        environment.insert(variable("PENSTOCK_OUTPUT_DIR_", artifact), directory.display().to_string());
    }
    environment.extend(declared.clone());
    let spec = ProgramSpec {
        data: ctx.data.clone(),
        supervisor: ctx.supervisor.clone(),
        id: request.action.id.to_string(),
        key: request.action.key.clone(),
        program: located(&ctx.config.base, program),
        args: args.to_vec(),
        directory: ctx.config.base.clone(),
        environment,
        stdin: Some(input),
        timeout: time_left(request),
        grace: ctx.grace,
    };
    let end = process::run(spec, &log, stop).await;
    let fault = Fault::of_end(&end, "the function").or(match end {
        ProgramEnd::Exited(0) => None,
        _ => Some(Fault::failed(message(&end, &log.tail()))),
    });
    if let Some(fault) = fault {
        return Err(fault.with_log(&log));
    }
    let mut outputs = Vec::new();
    for artifact in &request.action.outputs {
        outputs.push(store(ctx, scratch, artifact).await?);
    }
    Ok(Outcome { outputs, ..Outcome::default() })
}

fn message(end: &ProgramEnd, tail: &[String]) -> String {
    let status = match end {
        ProgramEnd::Exited(status) => format!("with exit status {status}"),
        other => format!("{other:?}"),
    };
    let last = tail.iter().rev().find(|line| !line.trim().is_empty());
    last.map_or_else(|| format!("the function failed {status}"), |line| format!("the function failed {status}: {line}"))
}

/// A program with a slash in its name lies relative to `penstock.toml`; others are found in `PATH`.
fn located(base: &Path, program: &str) -> PathBuf {
    if program.contains('/') { base.join(program) } else { program.into() }
}

fn variable(prefix: &str, artifact: &ArtifactLocation) -> String {
    format!("{prefix}{}", artifact.name.as_str().replace(|c: char| !c.is_ascii_alphanumeric(), "_"))
}

fn output_directory(scratch: &Scratch, artifact: &ArtifactLocation) -> PathBuf {
    scratch.session().join(format!("out-{}", artifact.name))
}

async fn store(ctx: &Ctx, scratch: &Scratch, artifact: &ArtifactLocation) -> Result<ArtifactLocation, Fault> {
    let root = output_directory(scratch, artifact);
    let from = root.clone();
    let entries = tokio::task::spawn_blocking(move || archive::tree(&from)).await;
    let entries = entries
        .map_err(|error| error.to_string())
        .and_then(|entries| entries.map_err(|error| error.to_string()))
        .map_err(Fault::failed)?;
    if entries.is_empty() {
        let place = variable("PENSTOCK_OUTPUT_DIR_", artifact);
        return Err(Fault::failed(format!("the function left nothing in ${place} for the artifact {}", artifact.name)));
    }
    scratch::store(ctx, root, entries, artifact).await
}

fn stopped() -> Fault {
    Fault::of_end(&ProgramEnd::Stopped, "the function").unwrap_or_else(|| Fault::failed("the function was stopped"))
}

/// Invokes a function as Lambda's API does, and waits for its answer.
async fn call(endpoint: String, name: String, event: Value, at_most: Duration) -> Result<(), Fault> {
    let url = format!("{}/2015-03-31/functions/{name}/invocations", endpoint.trim_end_matches('/'));
    if !url.starts_with("http://") {
        let right = "http://, as that of an emulator on this machine";
        return Err(Fault::configuration(format!(
            "[function.\"{name}\"] endpoint_url: {endpoint} must begin with {right}"
        )));
    }
    let answer = tokio::task::spawn_blocking(move || post(&url, &event, at_most)).await;
    answer.map_err(|error| Fault::failed(error.to_string()))?
}

fn post(url: &str, event: &Value, at_most: Duration) -> Result<(), Fault> {
    let config = ureq::Agent::config_builder().timeout_global(Some(at_most)).http_status_as_error(false).build();
    let sent = ureq::Agent::new_with_config(config)
        .post(url)
        .header("content-type", "application/json")
        .header("x-amz-invocation-type", "RequestResponse")
        .send(event.to_string());
    let mut answer = match sent {
        Ok(answer) => answer,
        Err(ureq::Error::Timeout(_)) => {
            return Err(Fault::of_end(&ProgramEnd::TimedOut, "the function")
                .unwrap_or_else(|| Fault::failed("the function took too long")));
        }
        Err(error) => return Err(Fault::failed(format!("{url}: {error}"))),
    };
    let failed = answer.headers().contains_key("x-amz-function-error");
    let status = answer.status();
    if status.is_success() && !failed {
        return Ok(());
    }
    let said: String = answer.body_mut().read_to_string().unwrap_or_default().chars().take(1000).collect();
    Err(Fault::failed(format!("the function failed ({status}): {said}")))
}
