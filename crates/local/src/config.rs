//! `penstock.toml`: what stands in for what on this machine.

mod lines;
mod read;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use model::{Category, Pipeline};

pub use lines::{bucket_lines, function_lines, provider_lines, secret_lines, source_lines};

/// The file's name, as it is looked for.
pub const FILE_NAME: &str = "penstock.toml";

/// A fault of the file, at its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("{}: {source}", file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file has faults: all of them.
    #[error("{}", list(file, faults))]
    Faults {
        /// Which file.
        file: PathBuf,
        /// What is wrong in it.
        faults: Vec<Fault>,
    },
    /// A secret is not there, or cannot be read.
    #[error("the secret `{name}` {reason}")]
    Secret {
        /// Its name.
        name: String,
        /// Why; never its value.
        reason: String,
    },
}

fn list(file: &Path, faults: &[Fault]) -> String {
    let lines: Vec<String> =
        faults.iter().map(|fault| format!("{}:{}: {}", file.display(), fault.line, fault.message)).collect();
    lines.join("\n")
}

/// A CodeBuild project.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Project {
    /// Where its buildspec lies: in the source, or else relative to `penstock.toml`. `buildspec.yml` of the source when
    /// absent.
    pub buildspec: Option<String>,
    /// Environment variables of its builds.
    pub environment: BTreeMap<String, String>,
}

/// What stands in for a Lambda function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Function {
    /// A program: the job event on its standard input, its exit status is the result.
    Command {
        /// The program and its arguments; run in the directory of `penstock.toml`.
        command: Vec<String>,
        /// Environment variables of it.
        environment: BTreeMap<String, String>,
    },
    /// A Lambda endpoint, as an emulator's.
    Endpoint(String),
}

/// Where a secret's value is found. Its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// In the file itself.
    Value(String),
    /// In an environment variable of Penstock.
    Env(String),
    /// In a file.
    File(PathBuf),
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(_) => f.write_str("Value(****)"),
            Self::Env(name) => write!(f, "Env({name})"),
            Self::File(path) => write!(f, "File({})", path.display()),
        }
    }
}

/// The configuration. Paths are absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalConfig {
    /// The file it came from.
    pub file: Option<PathBuf>,
    /// What its paths were relative to.
    pub base: PathBuf,
    /// `[source."ACTION"]` and `[source."PIPELINE/ACTION"]`: a git repository, a directory or a file.
    pub sources: BTreeMap<String, PathBuf>,
    /// `[bucket."NAME"]`: a directory.
    pub buckets: BTreeMap<String, PathBuf>,
    /// `[project."NAME"]`.
    pub projects: BTreeMap<String, Project>,
    /// `[function."NAME"]`.
    pub functions: BTreeMap<String, Function>,
    /// `[provider."NAME"]`: an endpoint's URL, or `aws`.
    pub providers: BTreeMap<String, String>,
    /// `[secret."NAME"]`.
    pub secrets: BTreeMap<String, Secret>,
    /// `[environment] inherit`: variables of Penstock's own environment that programs see too.
    pub inherit: Vec<String>,
    /// `[limits] programs`: how many programs run at a time; as many as the machine suggests when absent.
    pub programs: Option<usize>,
}

impl Default for LocalConfig {
    /// Nothing stands in for anything; paths are relative to the working directory.
    fn default() -> Self {
        Self::empty(std::path::absolute(".").unwrap_or_else(|_| PathBuf::from(".")))
    }
}

impl LocalConfig {
    fn empty(base: PathBuf) -> Self {
        Self {
            file: None,
            base,
            sources: BTreeMap::new(),
            buckets: BTreeMap::new(),
            projects: BTreeMap::new(),
            functions: BTreeMap::new(),
            providers: BTreeMap::new(),
            secrets: BTreeMap::new(),
            inherit: Vec::new(),
            programs: None,
        }
    }

    /// Loads the `penstock.toml` of a directory, or beside a file; an empty configuration where there is none.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn discover(beside: &Path) -> Result<Self, ConfigError> {
        let directory = if beside.is_dir() { beside } else { beside.parent().unwrap_or(beside) };
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        let file = directory.join(FILE_NAME);
        if file.is_file() {
            return Self::load(&file);
        }
        Ok(Self::empty(std::path::absolute(directory).unwrap_or_else(|_| directory.into())))
    }

    /// Loads a file.
    ///
    /// # Errors
    /// A file that cannot be read; all its faults, each with its line.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(file).map_err(|source| ConfigError::Unreadable { file: file.into(), source })?;
        Self::parse(file, &text)
    }

    /// Reads a file's text; `file` names it and is what its paths are relative to.
    ///
    /// # Errors
    /// All faults of the text, each with its line.
    pub fn parse(file: &Path, text: &str) -> Result<Self, ConfigError> {
        let full = std::path::absolute(file).unwrap_or_else(|_| file.into());
        let base = full.parent().unwrap_or(Path::new("/")).to_path_buf();
        let mut config = Self { file: Some(file.into()), ..Self::empty(base) };
        let faults = read::fill(&mut config, text);
        if faults.is_empty() { Ok(config) } else { Err(ConfigError::Faults { file: file.into(), faults }) }
    }

    /// What stands in for a source action: `PIPELINE/ACTION` wins over `ACTION`.
    pub fn source(&self, pipeline: &str, action: &str) -> Option<&Path> {
        let own = self.sources.get(&format!("{pipeline}/{action}"));
        own.or_else(|| self.sources.get(action)).map(PathBuf::as_path)
    }

    /// The names under `[source]` that no source action of the pipeline has, where one of its source actions has nothing to
    /// stand in for it: others may be for other pipelines.
    pub fn unmatched_sources(&self, pipeline: &Pipeline) -> Vec<String> {
        let sources = pipeline.actions().filter(|(_, action)| action.action_type_id.category == Category::Source);
        let sources: Vec<_> = sources.map(|(_, action)| action).collect();
        let lacks = |action: &&model::Action| {
            let bucket = action.configuration.get("S3Bucket").is_some_and(|name| self.buckets.contains_key(name));
            !bucket && self.source(pipeline.name.as_str(), action.name.as_str()).is_none()
        };
        if !sources.iter().any(lacks) {
            return Vec::new();
        }
        let is_of_pipeline = |name: &str| match name.rsplit_once('/') {
            Some((of, _)) => of == pipeline.name.as_str(),
            None => true,
        };
        let is_known = |name: &str| sources.iter().any(|action| name.rsplit('/').next() == Some(action.name.as_str()));
        self.sources.keys().filter(|name| is_of_pipeline(name) && !is_known(name)).cloned().collect()
    }

    /// Lets a pipeline's only source action, if nothing stands in for it, read `repository`.
    pub fn assume_source(&mut self, pipeline: &Pipeline, repository: &Path) {
        let mut sources = pipeline.actions().filter(|(_, a)| a.action_type_id.category == Category::Source);
        let (Some((_, only)), None) = (sources.next(), sources.next()) else { return };
        let bucket = only.configuration.get("S3Bucket").is_some_and(|name| self.buckets.contains_key(name));
        if self.source(pipeline.name.as_str(), only.name.as_str()).is_none() && !bucket {
            let path = std::path::absolute(repository).unwrap_or_else(|_| repository.into());
            self.sources.insert(format!("{}/{}", pipeline.name, only.name), path);
        }
    }

    /// A secret's value; of a file, without the line break at its end.
    ///
    /// # Errors
    /// There is no such secret, or its variable or file cannot be read.
    pub fn secret(&self, name: &str) -> Result<String, ConfigError> {
        let fault = |reason: String| ConfigError::Secret { name: name.into(), reason };
        let secret = self.secrets.get(name).ok_or_else(|| {
            let near = model::suggestion::did_you_mean(name, self.secrets.keys().map(String::as_str));
            let hint = near.map(|near| format!(" (there is `{near}`)")).unwrap_or_default();
            fault(self.advise(&format!("is not known{hint}"), &secret_lines(name)))
        })?;
        match secret {
            Secret::Value(value) => Ok(value.clone()),
            Secret::Env(variable) => std::env::var(variable)
                .map_err(|_| fault(format!("is in the environment variable {variable}, which is not set"))),
            Secret::File(path) => match std::fs::read_to_string(path) {
                Ok(text) => Ok(text.strip_suffix('\n').unwrap_or(&text).trim_end_matches('\r').into()),
                Err(error) => Err(fault(format!("is in {}, which cannot be read: {error}", path.display()))),
            },
        }
    }

    /// The file as messages name it.
    pub fn shown(&self) -> String {
        match &self.file {
            Some(file) => file.display().to_string(),
            None => self.base.join(FILE_NAME).display().to_string(),
        }
    }
}

#[cfg(test)]
mod tests;
