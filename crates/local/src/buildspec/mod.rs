//! CodeBuild in a scratch directory: buildspec v0.2.

mod node;
mod number;
mod spec;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path};

use control::ports::ActionRequest;
use engine::{ArtifactLocation, Outcome};
use model::StringMap;
use model::suggestion::did_you_mean;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::commands::context::{Ctx, Fault};
use crate::commands::files::{self, Selection};
use crate::commands::scratch::{self, Scratch};
use crate::commands::session::{self, Plan};
use crate::commands::variables::{self, Build, Declared};
use crate::commands::{check_name, environment};
use crate::config::Project;
use crate::process::LogSink;
use spec::Buildspec;

/// The buildspec of a source that nobody named another.
const USUAL_FILE: &str = "buildspec.yml";

/// Runs a CodeBuild action or rule: the phases of its buildspec in one shell session, in the directory of its primary
/// input artifact.
///
/// The outcome's error is `JobFailed` (a command failed, or output is missing), `ConfigurationError`, `Timeout` or
/// `Stopped`.
pub async fn run_codebuild(ctx: &Ctx, request: &ActionRequest, stop: &CancellationToken) -> Outcome {
    codebuild(ctx, request, stop).await.unwrap_or_else(Outcome::from)
}

async fn codebuild(ctx: &Ctx, request: &ActionRequest, stop: &CancellationToken) -> Result<Outcome, Fault> {
    let configuration = &request.declaration.configuration;
    refuse_batch(configuration)?;
    let name = configuration.get("ProjectName").filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| Fault::configuration("configuration.ProjectName: is missing"))?;
    let project = ctx.config.projects.get(name).cloned().unwrap_or_default();
    let primary = primary(request)?;
    let scratch = Scratch::make(ctx, request, Some(primary)).await?;
    let ended = in_scratch(ctx, request, name, &project, primary, &scratch, stop).await;
    scratch.remove();
    ended
}

/// The secrets and parameters that an inline buildspec reads, and whether their names may have a key behind them. What is
/// a file's name, or no buildspec, has none: that is said when the build runs.
pub(crate) fn secrets(text: &str) -> Vec<(String, bool)> {
    let Ok(spec) = spec::read(text) else { return Vec::new() };
    let names = |pairs: Vec<(String, String)>, with_key| pairs.into_iter().map(move |(_, name)| (name, with_key));
    names(spec.secrets, true).chain(names(spec.parameters, false)).collect()
}

fn refuse_batch(configuration: &StringMap) -> Result<(), Fault> {
    match configuration.get("BatchEnabled").map(|value| value.to_ascii_lowercase()).as_deref() {
        Some("true") => Err(Fault::configuration(
            "configuration.BatchEnabled: batch builds cannot be run here; set it to false, or split the batch into actions",
        )),
        Some(_) | None => Ok(()),
    }
}

fn primary(request: &ActionRequest) -> Result<&ArtifactLocation, Fault> {
    let inputs = &request.action.inputs;
    let names = || inputs.iter().map(|input| input.name.as_str()).collect::<Vec<_>>().join(", ");
    match (request.declaration.configuration.get("PrimarySource"), inputs.as_slice()) {
        (_, []) => Err(Fault::configuration("inputArtifacts: a CodeBuild action needs at least one")),
        (Some(name), _) if !name.is_empty() => inputs.iter().find(|input| input.name == **name).ok_or_else(|| {
            Fault::configuration(format!("configuration.PrimarySource: {name} is none of its inputs ({})", names()))
        }),
        (_, [only]) => Ok(only),
        _ => Err(Fault::configuration(format!("configuration.PrimarySource: is missing; name one of {}", names()))),
    }
}

async fn in_scratch(
    ctx: &Ctx,
    request: &ActionRequest,
    project_name: &str,
    project: &Project,
    primary: &ArtifactLocation,
    scratch: &Scratch,
    stop: &CancellationToken,
) -> Result<Outcome, Fault> {
    let (origin, text) = buildspec_text(ctx, request, project, &scratch.source())?;
    let spec = spec::read(&text).map_err(|problem| Fault::configuration(format!("{origin}: {problem}")))?;
    let declared = declare(ctx, request, project, project_name, &spec, &origin)?;
    let log = ctx.log_sink(request, &declared.secrets)?;
    for remark in &spec.remarks {
        log.remark(remark);
    }
    let number = number::next(&ctx.data, project_name)
        .map_err(|error| Fault::failed(format!("the number of the build cannot be kept: {error}")))?;
    let build = Build { project: project_name.to_owned(), number };
    let built_in = variables::built_in(request, &build, Some(primary), scratch);
    let environment = environment(ctx, request, &declared.values, built_in);
    let wanted = selections(request, &spec)?;
    let plan = plan(&spec, &wanted)?;
    let place = (scratch.source(), scratch.session());
    let end = session::run(ctx, request, &plan, place, environment.clone(), &log, stop).await;
    if let Some(fault) = end.fault {
        return Err(fault);
    }
    let values = environment.into_iter().chain(end.captured.clone()).collect();
    let outputs = store(ctx, scratch, &wanted, &values, &log).await?;
    let mut exported = end.captured;
    exported.retain(|name, _| spec.exported.contains(name));
    let exported = declared.without_secrets("exported", exported, &log);
    Ok(Outcome { external_id: Some(build.id(request)), outputs, variables: exported, ..Outcome::default() })
}

/// What the session runs; it is asked for exported variables, and for those that artifacts' paths name.
fn plan(spec: &Buildspec, wanted: &[(ArtifactLocation, Selection)]) -> Result<Plan, Fault> {
    for name in &spec.exported {
        check_name("buildspec: env/exported-variables", name)?;
    }
    let named = wanted.iter().flat_map(|(_, selection)| texts_of(selection)).flat_map(|text| names_in(text));
    let capture = named.map(String::from).chain(spec.exported.iter().cloned()).collect();
    Ok(Plan { shell: spec.shell, phases: spec.phases.clone(), capture })
}

/// The buildspec and what to call it: the action's override, the project's, or the source's.
fn buildspec_text(
    ctx: &Ctx,
    request: &ActionRequest,
    project: &Project,
    source: &Path,
) -> Result<(String, String), Fault> {
    let given = request.declaration.configuration.get("BuildspecOverride").filter(|text| !text.trim().is_empty());
    let (place, given) = match (given, &project.buildspec) {
        (Some(text), _) => ("configuration.BuildspecOverride", text.as_str()),
        (None, Some(file)) => ("the project's buildspec", file.as_str()),
        (None, None) => ("the source", USUAL_FILE),
    };
    // A file's name holds no line break and no colon with a space; an inline buildspec has one, or is JSON.
    if given.contains('\n') || given.contains(": ") || given.trim_start().starts_with('{') {
        return Ok((place.to_owned(), given.to_owned()));
    }
    if given.starts_with("arn:") {
        let problem = "a buildspec in S3 cannot be read here; name a file in the source";
        return Err(Fault::configuration(format!("{place}: {given}: {problem}")));
    }
    let leads_out = Path::new(given).components().any(|part| matches!(part, Component::ParentDir | Component::RootDir));
    let in_source = Some(source.join(given)).filter(|_| !leads_out);
    let beside = project.buildspec.as_ref().filter(|file| *file == given).map(|file| ctx.config.base.join(file));
    let found = [&in_source, &beside].into_iter().flatten().find(|file| file.is_file());
    let Some(file) = found else {
        let near = in_source.as_deref().and_then(near_file).map(|near| format!("; did you mean {near}?"));
        let near = near.unwrap_or_default();
        return Err(Fault::configuration(format!("{place}: there is no file {given} in the source{near}")));
    };
    let text = fs::read_to_string(file).map_err(|error| Fault::configuration(format!("{given}: {error}")))?;
    Ok((given.to_owned(), text))
}

/// The name beside a path that is most like its own.
fn near_file(path: &Path) -> Option<String> {
    let entries = fs::read_dir(path.parent()?).ok()?.filter_map(Result::ok);
    let names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    let near = did_you_mean(path.file_name()?.to_str()?, names.iter().map(String::as_str))?;
    Some(near.to_owned())
}

/// One of the action's `EnvironmentVariables`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Variable {
    name: String,
    value: String,
    #[serde(rename = "type", default = "plaintext")]
    kind: String,
}

fn plaintext() -> String {
    "PLAINTEXT".into()
}

/// The declared variables: the action's win over the project's, and these over the buildspec's.
fn declare(
    ctx: &Ctx,
    request: &ActionRequest,
    project: &Project,
    project_name: &str,
    spec: &Buildspec,
    origin: &str,
) -> Result<Declared, Fault> {
    let mut declared = Declared::default();
    let given: Vec<Variable> = match request.declaration.configuration.get("EnvironmentVariables") {
        Some(text) if !text.trim().is_empty() => serde_json::from_str(text).map_err(|error| {
            let right = r#"write [{"name": "N", "value": "V", "type": "PLAINTEXT"}]"#;
            Fault::configuration(format!("configuration.EnvironmentVariables: {error}; {right}"))
        })?,
        Some(_) | None => Vec::new(),
    };
    let of_project = format!("[project.\"{project_name}\"] environment");
    for (kind, variables) in
        [("PLAINTEXT", &spec.variables), ("PARAMETER_STORE", &spec.parameters), ("SECRETS_MANAGER", &spec.secrets)]
    {
        for (name, value) in variables {
            // A secret that is given otherwise need not be known here.
            if !project.environment.contains_key(name) && !given.iter().any(|variable| variable.name == *name) {
                declared.add(ctx, origin, name, value, kind)?;
            }
        }
    }
    for (name, value) in &project.environment {
        declared.add(ctx, &of_project, name, value, "PLAINTEXT")?;
    }
    for variable in &given {
        let place = "configuration.EnvironmentVariables";
        declared.add(ctx, place, &variable.name, &variable.value, &variable.kind)?;
    }
    Ok(declared)
}

/// What to take for each output artifact: the only one is the buildspec's primary artifact, of several each is the
/// secondary one of its name.
fn selections(request: &ActionRequest, spec: &Buildspec) -> Result<Vec<(ArtifactLocation, Selection)>, Fault> {
    let outputs = &request.action.outputs;
    let secondary = |name: &str| spec.secondary.iter().find(|(id, _)| id == name).map(|(_, selection)| selection);
    outputs
        .iter()
        .map(|output| {
            let name = output.name.as_str();
            let primary = spec.artifacts.as_ref().filter(|_| outputs.len() == 1);
            let selection = primary.or_else(|| secondary(name)).ok_or_else(|| {
                let place = if outputs.len() == 1 {
                    "artifacts/files".into()
                } else {
                    format!("artifacts/secondary-artifacts/{name}")
                };
                Fault::configuration(format!(
                    "buildspec: {place} is missing: the action has the output artifact {name}"
                ))
            })?;
            Ok((output.clone(), selection.clone()))
        })
        .collect()
}

async fn store(
    ctx: &Ctx,
    scratch: &Scratch,
    wanted: &[(ArtifactLocation, Selection)],
    values: &BTreeMap<String, String>,
    log: &LogSink,
) -> Result<Vec<ArtifactLocation>, Fault> {
    let mut outputs = Vec::new();
    for (output, selection) in wanted {
        let expanded = Selection {
            files: selection.files.iter().map(|text| expand(text, values)).collect(),
            exclude: selection.exclude.iter().map(|text| expand(text, values)).collect(),
            base: selection.base.as_ref().map(|text| expand(text, values)),
            ..*selection
        };
        // Variables in these paths may hold secrets.
        let within = |fault: Fault| fault.within(&format!("the output artifact {}", output.name)).masked(log);
        let entries = files::select_by(scratch.source(), expanded, log).await.map_err(within)?;
        outputs.push(scratch::store(ctx, scratch.source(), entries, output).await.map_err(|fault| fault.masked(log))?);
    }
    Ok(outputs)
}

fn texts_of(selection: &Selection) -> impl Iterator<Item = &str> {
    selection.files.iter().chain(&selection.exclude).chain(&selection.base).map(String::as_str)
}

/// A text split at its variables: what stands before each, its name; and what stands behind the last.
fn pieces(text: &str) -> (Vec<(&str, &str)>, &str) {
    let mut pieces = Vec::new();
    let (mut before_from, mut at) = (0, 0);
    while let Some(dollar) = text.get(at..).and_then(|rest| rest.find('$')).map(|found| at + found) {
        let rest = text.get(dollar + 1..).unwrap_or_default();
        let braced = rest.strip_prefix('{').and_then(|inner| inner.split_once('}')).map(|(name, _)| name);
        let bare = || {
            let end = rest.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
            rest.get(..end).unwrap_or_default()
        };
        let name = braced.unwrap_or_else(bare);
        let length = name.len() + if braced.is_some() { 2 } else { 0 };
        at = dollar + 1 + length;
        if check_name("", name).is_ok() {
            pieces.push((text.get(before_from..dollar).unwrap_or_default(), name));
            before_from = at;
        }
    }
    (pieces, text.get(before_from..).unwrap_or_default())
}

fn names_in(text: &str) -> Vec<&str> {
    pieces(text).0.into_iter().map(|(_, name)| name).collect()
}

/// The text with `$NAME` and `${NAME}` replaced; by nothing where there is no such variable.
fn expand(text: &str, values: &BTreeMap<String, String>) -> String {
    let (pieces, rest) = pieces(text);
    let mut expanded = String::new();
    for (before, name) in pieces {
        expanded.push_str(before);
        expanded.push_str(values.get(name).map_or("", String::as_str));
    }
    expanded + rest
}
