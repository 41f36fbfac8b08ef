//! `penstock doctor`: looks at everything that a run, a server or the caller of a deployed stack needs, and says what to
//! mend.

mod deployed;
mod services;

use std::io::Write;
use std::path::Path;
use std::process::Command;

use local::config::{FILE_NAME, Function, LocalConfig};
use serde_json::json;

use crate::args::DoctorArgs;
use crate::client::{Api, CallError, endpoint_url, find_credentials};
use crate::environment::variable;
use crate::exit::Exit;
use crate::output::{ATTENTION, BAD, GOOD, Look};

/// How a thing is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Health {
    /// As it should be.
    Good,
    /// Something does not work that may not be needed.
    Lacking,
    /// Must be mended.
    Broken,
}

/// What was looked at.
struct Check {
    what: &'static str,
    health: Health,
    /// What was found, and what to do about it.
    finding: String,
}

impl Check {
    fn new(what: &'static str, health: Health, finding: impl Into<String>) -> Self {
        Self { what, health, finding: finding.into() }
    }
}

/// Looks at everything; failed when something must be mended.
///
/// # Errors
/// Standard output cannot be written, or the system gives no threads.
pub fn run(args: &DoctorArgs) -> anyhow::Result<Exit> {
    let checks = if deployed::is_meant(args) { deployed::checks(args)? } else { here(args) };
    let look = Look::of_stdout();
    let mut text = String::new();
    for check in &checks {
        let (word, style) = match check.health {
            Health::Good => ("ok", GOOD),
            Health::Lacking => ("note", ATTENTION),
            Health::Broken => ("mend", BAD),
        };
        let finding = check.finding.replace('\n', &format!("\n{:22}", ""));
        text.push_str(&format!("{}  {:<14}  {finding}\n", look.paint(style, &format!("{word:<4}")), check.what));
    }
    std::io::stdout().write_all(text.as_bytes())?;
    let is_broken = checks.iter().any(|check| check.health == Health::Broken);
    Ok(if is_broken { Exit::Failed } else { Exit::Succeeded })
}

/// What this machine needs.
fn here(args: &DoctorArgs) -> Vec<Check> {
    let mut checks = configuration(args);
    checks.push(git());
    checks.push(program("sh", "commands of CodeBuild and Commands actions run under it", Health::Broken));
    checks.push(data(Path::new(".penstock")));
    checks.extend(server(args));
    checks
}

fn configuration(args: &DoctorArgs) -> Vec<Check> {
    let loaded = match &args.config {
        Some(file) => LocalConfig::load(file),
        None => LocalConfig::discover(Path::new(".")),
    };
    match loaded {
        Err(error) => vec![Check::new("configuration", Health::Broken, error.to_string())],
        Ok(config) if config.file.is_none() => {
            let finding = format!("no {FILE_NAME} here: `penstock init` writes one");
            vec![Check::new("configuration", Health::Lacking, finding)]
        }
        Ok(config) => {
            let mut checks = vec![Check::new("configuration", Health::Good, config.shown())];
            checks.extend(stand_ins(&config));
            checks
        }
    }
}

/// What the configuration names and this machine lacks.
fn stand_ins(config: &LocalConfig) -> Vec<Check> {
    let mut checks = Vec::new();
    for (name, path) in config.sources.iter().filter(|(_, path)| !path.exists()) {
        let finding = format!("[source.\"{name}\"] reads {}, which does not exist", path.display());
        checks.push(Check::new("source", Health::Broken, finding));
    }
    for (name, function) in &config.functions {
        if let Function::Command { command, .. } = function
            && let Some(program) = command.first()
            && !is_program(program, &config.base)
        {
            let finding = format!("[function.\"{name}\"] runs {program}, which is not on the PATH");
            checks.push(Check::new("function", Health::Broken, finding));
        }
    }
    for name in config.secrets.keys() {
        if let Err(error) = config.secret(name) {
            checks.push(Check::new("secret", Health::Broken, error.to_string()));
        }
    }
    checks
}

fn git() -> Check {
    match Command::new("git").arg("--version").output() {
        Ok(output) if output.status.success() => {
            Check::new("git", Health::Good, String::from_utf8_lossy(&output.stdout).trim())
        }
        _ => Check::new("git", Health::Broken, "git is not on the PATH: sources are read with it"),
    }
}

fn program(name: &'static str, why: &str, otherwise: Health) -> Check {
    if is_program(name, Path::new(".")) {
        Check::new(name, Health::Good, "is on the PATH")
    } else {
        Check::new(name, otherwise, format!("is not on the PATH: {why}"))
    }
}

fn is_program(name: &str, base: &Path) -> bool {
    if name.contains('/') {
        return base.join(name).is_file();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(name).is_file())
}

fn data(dir: &Path) -> Check {
    if !dir.exists() {
        return Check::new("data directory", Health::Good, format!("{} is made when it is needed", dir.display()));
    }
    match tempfile::NamedTempFile::new_in(dir) {
        Ok(_) => Check::new("data directory", Health::Good, format!("{} can be written", dir.display())),
        Err(error) => {
            let finding = format!("{} cannot be written: {error}", dir.display());
            Check::new("data directory", Health::Broken, finding)
        }
    }
}

/// The server: only one that was named must answer.
fn server(args: &DoctorArgs) -> Vec<Check> {
    let names = ["PENSTOCK_ENDPOINT_URL", "AWS_ENDPOINT_URL_CODEPIPELINE", "AWS_ENDPOINT_URL"];
    let is_named = args.connect.endpoint_url.is_some() || names.iter().any(|name| variable(name).is_some());
    let lacking = if is_named { Health::Broken } else { Health::Lacking };
    let credentials = match find_credentials(&args.connect) {
        Ok((_, origin)) => Check::new("credentials", Health::Good, origin.to_string()),
        Err(error) => return vec![Check::new("credentials", lacking, format!("{error:#}"))],
    };
    let url = endpoint_url(&args.connect);
    let answer = Api::open(&args.connect).map(|api| api.call("ListPipelines", &json!({ "maxResults": 1 })));
    let server = match answer {
        Ok(Ok(_)) => Check::new("server", Health::Good, format!("{url} answers")),
        Ok(Err(error @ CallError::Unreachable { .. })) => Check::new("server", lacking, error.to_string()),
        Ok(Err(error)) => Check::new("server", Health::Broken, format!("{url}: {error}")),
        Err(error) => Check::new("server", Health::Broken, format!("{error:#}")),
    };
    vec![credentials, server]
}
