//! Sources from directories, files and git repositories.

mod commit;
mod files;
mod full_clone;
mod git;
mod ready;
mod repository;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use control::ports::{ActionRequest, PortError};
use engine::{ArtifactLocation, Outcome, SourceRevision};
use model::StringMap;

use crate::archive::ArchiveError;
use crate::artifacts::LocalArtifacts;
use crate::config::LocalConfig;
use crate::process::LogSink;
pub(crate) use files::missing;
pub use git::{Git, GitError};
use ready::{Prepared, Ready};
pub use repository::{Repository, RepositoryError};

/// The most characters of a revision's summary (`ArtifactRevision.revisionSummary` of the API model).
const SUMMARY_CHARACTERS: usize = 2048;

/// Why a source action brings nothing.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The pipeline or `penstock.toml` must be changed.
    #[error("{0}")]
    Configuration(String),
    /// The revision asked for is not there.
    #[error("{0}")]
    Revision(String),
    /// The repository cannot be read.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// Git did not do it.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The files cannot be packed.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The artifact cannot be stored.
    #[error(transparent)]
    Store(#[from] PortError),
}

impl SourceError {
    /// The API's word for this kind of failure (`FailureType`).
    pub fn code(&self) -> &'static str {
        match self {
            Self::Configuration(_) | Self::Repository(_) => "ConfigurationError",
            Self::Revision(_) => "RevisionUnavailable",
            Self::Git(GitError::NotRun(_)) | Self::Io { .. } | Self::Store(_) => "SystemUnavailable",
            Self::Git(GitError::Failed { .. }) | Self::Archive(_) => "JobFailed",
        }
    }
}

/// What a source action found.
struct Found {
    ready: Arc<Ready>,
    revision_id: String,
    summary: String,
    url: Option<String>,
    variables: StringMap,
}

/// Runs source actions, and keeps what they packed: the same commit, or the same files, are packed once.
pub struct Sources {
    artifacts: LocalArtifacts,
    git: Arc<Git>,
    prepared: Prepared,
    courtesy: commit::Courtesy,
    /// The data directory, which no source brings along.
    data: PathBuf,
}

impl Sources {
    /// `data` is the data directory; what lies in its directory `git` is removed when git is first needed.
    pub fn new(data: &Path, artifacts: LocalArtifacts) -> Self {
        let (prepared, courtesy) = (Prepared::default(), commit::Courtesy::default());
        Self { artifacts, git: Arc::new(Git::new(data.join("git"))), prepared, courtesy, data: data.into() }
    }

    /// Brings a source action's revision into its output artifact.
    pub async fn run(&self, request: &ActionRequest, config: &LocalConfig, sink: &Arc<LogSink>) -> Outcome {
        let Some(output) = request.action.outputs.first() else {
            return Outcome::failed("ConfigurationError", "a source action needs an output artifact");
        };
        let found = match request.declaration.action_type_id.provider.as_str() {
            "S3" => self.bring_object(request, config, output, sink).await,
            _ => self.bring_commit(request, config, output, sink).await,
        };
        match found {
            Ok(found) => outcome(request, output, found),
            Err(error) => {
                sink.remark(&error.to_string());
                Outcome::failed(error.code(), error.to_string())
            }
        }
    }
}

fn outcome(request: &ActionRequest, output: &ArtifactLocation, found: Found) -> Outcome {
    let summary: String = found.summary.chars().take(SUMMARY_CHARACTERS).collect();
    let location = ArtifactLocation {
        digest: Some(found.ready.sha256.clone()),
        size: Some(found.ready.size),
        revision: Some(found.revision_id.clone()),
        ..output.clone()
    };
    Outcome {
        external_id: Some(found.revision_id.clone()),
        external_url: found.url.clone(),
        summary: Some(summary.clone()),
        revision: Some(SourceRevision {
            action: request.declaration.name.clone(),
            artifact: Some(output.name.clone()),
            revision_id: found.revision_id,
            summary: Some(summary).filter(|text| !text.is_empty()),
            url: found.url,
            created: found.ready.created,
        }),
        outputs: vec![location],
        variables: found.variables,
        ..Outcome::default()
    }
}

/// A setting of an action that its type requires.
fn required<'a>(request: &'a ActionRequest, key: &str) -> Result<&'a str, SourceError> {
    let value = request.declaration.configuration.get(key).map(String::as_str).filter(|value| !value.is_empty());
    value.ok_or_else(|| {
        let action = &request.declaration.name;
        SourceError::Configuration(format!("the source action `{action}` needs `{key}` in its configuration"))
    })
}
