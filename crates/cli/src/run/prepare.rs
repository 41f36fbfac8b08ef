//! Everything that can be wrong before an execution starts: all of it is found here, and nothing is started.

use std::io::Write;
use std::path::{Path, PathBuf};

use local::config::{ConfigError, LocalConfig};
use model::{Category, Pipeline, Severity, StringMap};

use crate::args::{ActionPath, RunArgs};
use crate::declaration::Checked;
use crate::exit::Unusable;
use crate::input;
use crate::output::Look;
use crate::validate;

/// The data directory, beside FILE.
const DATA: &str = ".penstock";

/// What is to be run.
pub struct Prepared {
    /// The pipeline.
    pub pipeline: Pipeline,
    /// Which stand-in serves which name.
    pub config: LocalConfig,
    /// Where history, artifacts and logs are kept.
    pub data: PathBuf,
    /// The values of pipeline variables.
    pub variables: StringMap,
    /// Approval actions that are approved without asking.
    pub approve: Vec<ActionPath>,
    /// The pipeline's region.
    pub region: String,
}

/// Reads and checks everything; none where the declaration has faults, which are told.
///
/// # Errors
/// Whatever else cannot be used.
pub fn prepare(args: &RunArgs) -> anyhow::Result<Option<Prepared>> {
    let name = input::shown(&args.file);
    let bytes = input::read(&args.file).map_err(|message| Unusable::new(format!("{name} {message}")))?;
    let checked = Checked::of(bytes, &args.file);
    let Some(pipeline) = checked.pipeline.clone() else {
        std::io::stderr().write_all(validate::render(&name, &checked, Look::of_stderr()).as_bytes())?;
        return Ok(None);
    };
    tell_warnings(&name, &checked)?;
    let beside = directory_of(&args.file);
    let config = configuration(args, &pipeline, &beside)?;
    check_stand_ins(&pipeline, &config)?;
    check_approvals(&pipeline, &args.approve)?;
    let variables = variables(&pipeline, &args.variable)?;
    let data = args.data.clone().unwrap_or_else(|| beside.join(DATA));
    let region = region(&pipeline);
    Ok(Some(Prepared { pipeline, config, data, variables, approve: args.approve.clone(), region }))
}

fn tell_warnings(name: &str, checked: &Checked) -> std::io::Result<()> {
    let count = checked.findings.iter().filter(|finding| finding.severity == Severity::Warning).count();
    if count == 0 {
        return Ok(());
    }
    let s = if count == 1 { "" } else { "s" };
    writeln!(std::io::stderr(), "{count} warning{s}: `penstock validate {name}` shows them")
}

/// Where a file stands; standard input stands in the working directory.
fn directory_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.into(),
        _ => PathBuf::new(),
    }
}

fn configuration(args: &RunArgs, pipeline: &Pipeline, beside: &Path) -> Result<LocalConfig, Unusable> {
    let unusable = |error: ConfigError| Unusable::new(error.to_string());
    let mut config = match &args.config {
        Some(file) => LocalConfig::load(file).map_err(unusable)?,
        None => LocalConfig::discover(beside).map_err(unusable)?,
    };
    for name in config.unmatched_sources(pipeline) {
        let hint = near_source(pipeline, &name);
        let warning =
            format!("warning: {}: [source.\"{name}\"] stands in for no source action{hint}\n", config.shown());
        // Standard error that is gone cannot be warned on; the run goes on.
        drop(std::io::stderr().write_all(warning.as_bytes()));
    }
    if let Some(repository) = repository_of(beside) {
        config.assume_source(pipeline, &repository);
    }
    Ok(config)
}

fn near_source(pipeline: &Pipeline, name: &str) -> String {
    let sources = pipeline.actions().filter(|(_, action)| action.action_type_id.category == Category::Source);
    let sources: Vec<&str> = sources.map(|(_, action)| action.name.as_str()).collect();
    let action = name.rsplit('/').next().unwrap_or(name);
    match model::suggestion::did_you_mean(action, sources.iter().copied()) {
        Some(near) => format!("; did you mean \"{near}\"?"),
        None => format!(" of the pipeline, which has {}", sources.join(", ")),
    }
}

/// The top of the git repository that a directory stands in.
fn repository_of(dir: &Path) -> Option<PathBuf> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let full = dir.canonicalize().ok()?;
    full.ancestors().find(|parent| parent.join(".git").exists()).map(Path::to_path_buf)
}

/// What has no stand-in: all of it, in one error.
fn check_stand_ins(pipeline: &Pipeline, config: &LocalConfig) -> Result<(), Unusable> {
    let missing = local::runner::unsupported(pipeline, config);
    if missing.is_empty() {
        return Ok(());
    }
    let list: Vec<String> =
        missing.iter().map(|found| format!("  {}", found.to_string().replace('\n', "\n    "))).collect();
    Err(Unusable::new(format!(
        "nothing was started: not everything has a stand-in on this machine\n{}",
        list.join("\n")
    )))
}

fn check_approvals(pipeline: &Pipeline, approve: &[ActionPath]) -> Result<(), Unusable> {
    let approvals: Vec<ActionPath> = pipeline
        .actions()
        .filter(|(_, action)| action.action_type_id.category == Category::Approval)
        .map(|(stage, action)| ActionPath { stage: stage.name.to_string(), action: action.name.to_string() })
        .collect();
    let Some(unknown) = approve.iter().find(|wanted| !approvals.contains(wanted)) else { return Ok(()) };
    let known: Vec<String> = approvals.iter().map(ActionPath::to_string).collect();
    let known = if known.is_empty() { "it has none".into() } else { format!("it has {}", known.join(", ")) };
    Err(Unusable::new(format!("--approve {unknown}: the pipeline has no such approval action; {known}")))
}

/// The most characters of a variable's value (`PipelineVariableValue` of the API model).
const MOST_CHARACTERS: usize = 1000;

/// The variables given, every one declared, and none missing that has no default.
fn variables(pipeline: &Pipeline, given: &[(String, String)]) -> Result<StringMap, Unusable> {
    let declared: Vec<&str> = pipeline.variables.iter().map(|variable| variable.name.as_str()).collect();
    let mut values = StringMap::new();
    for (name, value) in given {
        if !declared.contains(&name.as_str()) {
            let hint = match model::suggestion::did_you_mean(name, declared.iter().copied()) {
                Some(near) => format!("did you mean {near}?"),
                None if declared.is_empty() => "it declares none".into(),
                None => format!("it declares {}", declared.join(", ")),
            };
            return Err(Unusable::new(format!("--variable {name}: the pipeline declares no such variable; {hint}")));
        }
        let length = value.chars().count();
        if !(1..=MOST_CHARACTERS).contains(&length) {
            let what =
                format!("--variable {name}: the value has {length} characters; it can have 1 to {MOST_CHARACTERS}");
            return Err(Unusable::new(what));
        }
        if value.contains('\n') {
            return Err(Unusable::new(format!("--variable {name}: the value must be a single line")));
        }
        if values.insert(name.clone(), value.clone()).is_some() {
            return Err(Unusable::new(format!("--variable {name} is given twice; give it once")));
        }
    }
    let missing: Vec<&str> = pipeline
        .variables
        .iter()
        .filter(|variable| variable.default_value.is_none() && !values.contains_key(&variable.name))
        .map(|variable| variable.name.as_str())
        .collect();
    match missing.first() {
        None => Ok(values),
        Some(first) => Err(Unusable::new(format!(
            "the pipeline's variable{} {} need{} a value: --variable {first}=VALUE",
            if missing.len() == 1 { "" } else { "s" },
            missing.join(", "),
            if missing.len() == 1 { "s" } else { "" },
        ))),
    }
}

/// The region of the environment; of a pipeline that has no store there, the first that it has one in.
fn region(pipeline: &Pipeline) -> String {
    let region = crate::environment::region();
    let stores = pipeline.artifact_stores.as_ref();
    match stores.and_then(|stores| stores.keys().next()) {
        Some(first) if pipeline.store(&region).is_none() => first.clone(),
        _ => region,
    }
}
