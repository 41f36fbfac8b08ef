//! Lambda functions as local commands or at an endpoint.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use control::jobs::function_event;
use control::ports::ActionRequest;
use engine::{ArtifactLocation, Outcome};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::archive;
use crate::commands::Ctx;
use crate::commands::context::{Fault, now_millis, time_left};
use crate::commands::scratch::{self, Scratch};
use crate::commands::variables;
use crate::config::Function;
use crate::process::{self, ProgramEnd, ProgramSpec, base_environment};
use crate::sign::{self, Keys, Unsigned};

/// The name of its provider in `penstock.toml`.
pub(crate) const PROVIDER: &str = "Lambda";
/// How long a function at an endpoint may take where the action names no time: Lambda's own limit.
const LAMBDA_LIMIT: Duration = Duration::from_secs(15 * 60);

/// Runs a Lambda invoke action or a LambdaInvoke rule, with what stands in for its function.
///
/// A command reads CodePipeline's job event on its standard input; exit status 0 is success. Its input artifacts lie
/// unpacked in the directories that `PENSTOCK_INPUT_DIR_<artifact>` name, and what it leaves in those of
/// `PENSTOCK_OUTPUT_DIR_<artifact>` becomes its output artifacts. (Characters of an artifact's name that a variable's name
/// cannot have are underscores.) A function at an endpoint, its own or the provider's, is invoked by a signed request, and its
/// answer waited for.
///
/// A function that answers its job with a continuation token is called again: with its new job's id and the token, once it
/// has come back well.
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
        None => match ctx.config.providers.get(PROVIDER) {
            Some(endpoint) => {
                check_provider(endpoint).map_err(Fault::configuration)?;
                at_endpoint(endpoint, name, request, stop).await
            }
            None => Err(Fault::configuration(format!(
                "nothing stands in for the function {name}; add to {}:\n[function.\"{plain}\"]\ncommand = [\"./{plain}\"]",
                ctx.config.shown()
            ))),
        },
        Some(Function::Command { command, environment }) => {
            let scratch = Scratch::make(ctx, request, None).await?;
            let ended = run_command(ctx, request, command, environment, &scratch, stop).await;
            scratch.remove();
            ended
        }
        Some(Function::Endpoint(url)) => at_endpoint(url, plain, request, stop).await,
    }
}

/// Whether functions that have no stand-in of their own can be called at `[provider."Lambda"] endpoint_url`.
///
/// # Errors
/// Why not, and what would be right.
pub(crate) fn check_provider(endpoint: &str) -> Result<(), String> {
    let place = "[provider.\"Lambda\"] endpoint_url";
    if endpoint == "aws" {
        return Err(format!("{place}: this build has no client for AWS itself; give the URL of an emulator"));
    }
    let uri: http::Uri = endpoint.parse().map_err(|error| format!("{place}: {endpoint} is no URL: {error}"))?;
    let host = uri.host().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    let is_loopback = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    if uri.scheme_str() == Some("http") && is_loopback {
        return Ok(());
    }
    Err(format!("{place}: {endpoint} must be http:// on this machine, such as http://127.0.0.1:4566"))
}

async fn at_endpoint(
    endpoint: &str,
    name: &str,
    request: &ActionRequest,
    stop: &CancellationToken,
) -> Result<Outcome, Fault> {
    let call = Call {
        endpoint: endpoint.trim_end_matches('/').to_owned(),
        name: name.to_owned(),
        region: variables::region(request).to_owned(),
        event: event(request).to_string(),
        at_most: time_left(request).unwrap_or(LAMBDA_LIMIT),
    };
    tokio::select! {
        ended = call.made() => ended.map(|()| Outcome::default()),
        () = stop.cancelled() => Err(stopped()),
    }
}

/// A function's name of its name or ARN, `arn:aws:lambda:REGION:ACCOUNT:function:NAME[:ALIAS]`.
pub(crate) fn plain_name(name: &str) -> &str {
    if name.starts_with("arn:") { name.split(':').nth(6).unwrap_or(name) } else { name }
}

/// The event that a function gets (semantics 8). There are no credentials: nothing is to be fetched from S3.
fn event(request: &ActionRequest) -> Value {
    let credentials = json!({"accessKeyId": "", "secretAccessKey": "", "sessionToken": ""});
    // After a continuation token there is another job, by which the action is known.
    let job = request.external_id.clone().unwrap_or_else(|| request.action.id.to_string());
    function_event(request, &job, credentials, request.continuation_token.as_deref())
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
    let log = ctx.log_sink(request, &[])?;
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

/// A function's invocation, as Lambda's API has it.
struct Call {
    endpoint: String,
    name: String,
    region: String,
    event: String,
    at_most: Duration,
}

impl Call {
    /// Makes it and waits for its answer.
    async fn made(self) -> Result<(), Fault> {
        if !self.endpoint.starts_with("http://") {
            let right = "http://, as that of an emulator on this machine";
            return Err(Fault::configuration(format!(
                "[function.\"{}\"] endpoint_url: {} must begin with {right}",
                self.name, self.endpoint
            )));
        }
        // A thread of its own: it may wait for a quarter of an hour, and others must not wait behind it.
        let (done, answer) = tokio::sync::oneshot::channel();
        let calling = std::thread::Builder::new().name("invoke".into()).spawn(move || done.send(self.post()));
        calling.map_err(|error| Fault::failed(format!("no thread to call the function: {error}")))?;
        answer.await.unwrap_or_else(|_| Err(Fault::failed("the call of the function broke off")))
    }

    fn post(&self) -> Result<(), Fault> {
        let url = format!("{}/2015-03-31/functions/{}/invocations", self.endpoint, encoded(&self.name));
        let config =
            ureq::Agent::config_builder().timeout_global(Some(self.at_most)).http_status_as_error(false).build();
        let mut post = ureq::Agent::new_with_config(config).post(&url);
        let (host, path) = host_and_path(&url);
        let unsigned = Unsigned {
            service: "lambda",
            region: &self.region,
            host,
            path,
            headers: &[("content-type", "application/json"), ("x-amz-invocation-type", "RequestResponse")],
            body: self.event.as_bytes(),
            at: model::Timestamp(now_millis()),
        };
        for (name, value) in sign::headers(&unsigned, &keys()) {
            post = post.header(name, value);
        }
        judge(&url, post.send(self.event.as_bytes()))
    }
}

/// The keys of the environment, as the AWS command line finds them there; without, what emulators take from everybody.
fn keys() -> Keys {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let given = variable("AWS_ACCESS_KEY_ID").zip(variable("AWS_SECRET_ACCESS_KEY"));
    let session_token = variable("AWS_SESSION_TOKEN").filter(|_| given.is_some());
    let (access_key_id, secret_access_key) = given.unwrap_or_else(|| ("test".into(), "test".into()));
    Keys { access_key_id, secret_access_key, session_token }
}

/// A function's name or ARN as a part of a path.
fn encoded(name: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    name.bytes().map(byte).collect()
}

/// Of an `http` URL.
fn host_and_path(url: &str) -> (&str, &str) {
    let rest = url.strip_prefix("http://").unwrap_or(url);
    rest.split_at(rest.find('/').unwrap_or(rest.len()))
}

fn judge(url: &str, sent: Result<http::Response<ureq::Body>, ureq::Error>) -> Result<(), Fault> {
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
