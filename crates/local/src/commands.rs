//! The Commands action and rule in a scratch directory.

pub(crate) mod context;
pub(crate) mod files;
pub(crate) mod scratch;
pub(crate) mod session;
pub(crate) mod variables;

use std::collections::BTreeMap;

use control::ports::ActionRequest;
use engine::Outcome;
use tokio_util::sync::CancellationToken;

pub use context::Ctx;
use context::Fault;
use scratch::Scratch;
use session::{AfterFailure, Phase, Plan};
use variables::{Build, Declared};

use crate::process::{LogSink, base_environment};

/// Runs a Commands action or rule: its commands in one shell session, in the directory of its first input artifact.
///
/// The outcome's error is `JobFailed` (a command failed, or output is missing), `ConfigurationError`, `Timeout` or
/// `Stopped`.
pub async fn run_commands(ctx: &Ctx, request: &ActionRequest, stop: &CancellationToken) -> Outcome {
    commands(ctx, request, stop).await.unwrap_or_else(Outcome::from)
}

async fn commands(ctx: &Ctx, request: &ActionRequest, stop: &CancellationToken) -> Result<Outcome, Fault> {
    let mut declared = Declared::default();
    for variable in &request.declaration.environment_variables {
        let kind = variable.kind.as_deref().unwrap_or("PLAINTEXT");
        declared.add(ctx, "environmentVariables", &variable.name, &variable.value, kind)?;
    }
    check(request)?;
    let log = ctx.log_sink(request, &declared.secrets)?;
    let scratch = Scratch::make(ctx, request, request.action.inputs.first()).await?;
    let ended = in_scratch(ctx, request, &declared, &scratch, &log, stop).await;
    scratch.remove();
    ended
}

fn check(request: &ActionRequest) -> Result<(), Fault> {
    let windows = request.declaration.configuration.get("EnvironmentType").filter(|kind| kind.starts_with("WINDOWS"));
    if let Some(kind) = windows {
        return Err(Fault::configuration(format!("configuration.EnvironmentType: {kind} cannot be run here")));
    }
    for name in &request.declaration.output_variables {
        check_name("outputVariables", name)?;
    }
    Ok(())
}

/// A name goes into the session's script.
pub(crate) fn check_name(place: &str, name: &str) -> Result<(), Fault> {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|byte| byte == b'_' || byte.is_ascii_alphabetic());
    if first && bytes.all(|byte| byte == b'_' || byte.is_ascii_alphanumeric()) {
        return Ok(());
    }
    let right = "letters, digits and underscores, the first no digit";
    Err(Fault::configuration(format!("{place}: {name:?} is no name of an environment variable: {right}")))
}

async fn in_scratch(
    ctx: &Ctx,
    request: &ActionRequest,
    declared: &Declared,
    scratch: &Scratch,
    log: &LogSink,
    stop: &CancellationToken,
) -> Result<Outcome, Fault> {
    let build = Build { project: "codepipeline-commands".into(), number: u64::from(request.action.key.attempt) };
    let built_in = variables::built_in(request, &build, request.action.inputs.first(), scratch);
    let plan = Plan {
        shell: "/bin/sh",
        phases: vec![Phase {
            name: None,
            commands: request.declaration.commands.clone(),
            finally: Vec::new(),
            retries: 0,
            after_failure: AfterFailure::End,
        }],
        capture: request.declaration.output_variables.iter().cloned().collect(),
    };
    let place = (scratch.source(), scratch.session());
    let environment = environment(ctx, request, &declared.values, built_in);
    let end = session::run(ctx, request, &plan, place, environment, log, stop).await;
    if let Some(fault) = end.fault {
        return Err(fault);
    }
    let mut outputs = Vec::new();
    for (output, declaration) in request.action.outputs.iter().zip(&request.declaration.output_artifacts) {
        // `files` is no required field: it narrows what is taken.
        let all = ["**/*".to_owned()];
        let wanted = if declaration.files.is_empty() { &all[..] } else { &declaration.files };
        let entries = files::select(scratch.source(), wanted, log)
            .await
            .map_err(|fault| fault.within(&format!("the output artifact {}", output.name)))?;
        outputs.push(scratch::store(ctx, scratch.source(), entries, output).await?);
    }
    let variables = declared.without_secrets("output", end.captured, log);
    Ok(Outcome { external_id: Some(build.id(request)), outputs, variables, ..Outcome::default() })
}

/// The whole environment: what every program has, the region, what is declared, and on top what CodeBuild reserves.
pub(crate) fn environment(
    ctx: &Ctx,
    request: &ActionRequest,
    declared: &BTreeMap<String, String>,
    built_in: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut environment = base_environment(&ctx.config.inherit);
    for name in ["AWS_REGION", "AWS_DEFAULT_REGION"] {
        environment.insert(name.into(), variables::region(request).into());
    }
    environment.extend(declared.clone());
    environment.extend(built_in);
    environment
}
