//! Source actions of git providers: CodeCommit, GitHub and CodeStarSourceConnection, from a repository on this machine.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use control::ports::ActionRequest;
use engine::ArtifactLocation;
use model::{SourceRevisionType, StringMap};

use super::git::{Commit, Git};
use super::ready::{Made, Ready, Wanted};
use super::repository::{Repository, is_plain};
use super::{Found, SourceError, Sources, full_clone, required};
use crate::archive;
use crate::config::{LocalConfig, source_lines};
use crate::process::LogSink;

/// The most bytes of a commit message that become a variable: all variables of an action have 122,880 (semantics 5).
const MESSAGE_BYTES: usize = 64 * 1024;
/// How long an answer about uncommitted changes is good for.
const COURTESY_AGE: Duration = Duration::from_secs(1);

/// When the uncommitted changes of a repository were last asked for.
#[derive(Default)]
pub(super) struct Courtesy(Mutex<HashMap<PathBuf, Instant>>);

impl Courtesy {
    /// Whether to ask now; at most once a second for each repository.
    fn is_due(&self, repository: &Repository) -> bool {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let last = asked.insert(repository.git_dir.clone(), now);
        let due = last.is_none_or(|last| now.duration_since(last) >= COURTESY_AGE);
        if let (false, Some(last)) = (due, last) {
            asked.insert(repository.git_dir.clone(), last);
        }
        due
    }
}

impl Sources {
    pub(super) async fn bring_commit(
        &self,
        request: &ActionRequest,
        config: &LocalConfig,
        output: &ArtifactLocation,
        sink: &Arc<LogSink>,
    ) -> Result<Found, SourceError> {
        let action = request.declaration.name.as_str();
        let path = config.source(request.pipeline.as_str(), action).ok_or_else(|| {
            let what = format!("nothing stands in for the source action `{action}`");
            SourceError::Configuration(config.advise(&what, &source_lines(action)))
        })?;
        let repository = open(path, action, config)?;
        let branch = required(request, branch_key(request))?;
        let id = self.revision(request, &repository, branch).await?;
        let ready = if clone_wanted(request)? {
            self.clone_of(&repository, branch, &id, output, sink).await?
        } else {
            self.files_of(&repository, &id, output, sink).await?
        };
        let Some(commit) = &ready.commit else {
            return Err(SourceError::Revision(format!("the commit {id} says nothing of itself")));
        };
        sink.remark(&format!("commit {} of {} in {}", commit.id, branch, path.display()));
        let variables = variables(request, branch, commit);
        let url = variables.get("CommitUrl").cloned();
        Ok(Found { revision_id: commit.id.clone(), summary: commit.message.clone(), url, variables, ready })
    }

    /// The commit to bring: the one asked for, the one pushed, or the newest of the branch, read afresh.
    async fn revision(
        &self,
        request: &ActionRequest,
        repository: &Repository,
        branch: &str,
    ) -> Result<String, SourceError> {
        // Also where another commit is asked for: a full clone has a file of the branch's name.
        if !is_plain(branch) {
            return Err(self.no_branch(repository, branch).await?);
        }
        let asked = match &request.source_override {
            Some(asked) if asked.kind == SourceRevisionType::CommitId => Some(&asked.value),
            Some(asked) => {
                let what = format!("a git source takes a COMMIT_ID as source revision, not a {}", asked.kind);
                return Err(SourceError::Configuration(what));
            }
            None => request.pushed_commit.as_ref(),
        };
        if let Some(id) = asked {
            let digits = repository.format.digits();
            if id.len() != digits || !id.chars().all(|c| c.is_ascii_hexdigit()) {
                return Err(SourceError::Revision(format!("`{id}` is no full commit id of {digits} digits")));
            }
            return Ok(id.to_ascii_lowercase());
        }
        match repository.resolve(&self.git, &format!("refs/heads/{branch}")).await? {
            Some(id) => Ok(id),
            None => Err(self.no_branch(repository, branch).await?),
        }
    }

    async fn no_branch(&self, repository: &Repository, branch: &str) -> Result<SourceError, SourceError> {
        let there: Vec<String> =
            repository.refs(&self.git, "refs/heads/").await?.into_iter().map(|(name, _)| name).collect();
        let path = repository.path.display();
        Ok(SourceError::Revision(match there.len() {
            0 => format!("{path} has no branch `{branch}`: nothing is committed there yet"),
            1..=20 => format!("{path} has no branch `{branch}`; its branches: {}", there.join(", ")),
            more => format!("{path} has no branch `{branch}` among its {more} branches"),
        }))
    }

    /// The files of a commit, at the output's key.
    pub(super) async fn files_of(
        &self,
        repository: &Repository,
        id: &str,
        output: &ArtifactLocation,
        sink: &Arc<LogSink>,
    ) -> Result<Arc<Ready>, SourceError> {
        let wanted = Wanted::Commit { objects: repository.common_dir.join("objects"), id: id.into() };
        let make = async |file: PathBuf| {
            let (commit, archived) =
                tokio::join!(self.git.commit(repository, id), self.git.archive(repository, id, &file));
            let commit = known(repository, id, commit?)?;
            archived?;
            let (sha256, size) = digest(file).await?;
            Ok(Made { sha256, size, created: Some(commit.committed), commit: Some(commit) })
        };
        let ready = self.prepared.deliver(&self.artifacts, wanted, output, make).await?;
        self.remark_changes(repository, sink);
        Ok(ready)
    }

    async fn clone_of(
        &self,
        repository: &Repository,
        branch: &str,
        id: &str,
        output: &ArtifactLocation,
        sink: &Arc<LogSink>,
    ) -> Result<Arc<Ready>, SourceError> {
        let mut refs = repository.refs(&self.git, "refs/heads/").await?;
        refs.extend(repository.refs(&self.git, "refs/tags/").await?);
        let wanted = Wanted::Clone {
            objects: repository.common_dir.join("objects"),
            branch: branch.into(),
            id: id.into(),
            refs: format!("{refs:?}"),
        };
        let make = async |file: PathBuf| {
            let commit = known(repository, id, self.git.commit(repository, id).await?)?;
            let directory = self.artifacts.incoming();
            let packed = full_clone::pack(&self.git, repository, branch, id, &directory, &file).await?;
            let created = Some(commit.committed);
            Ok(Made { sha256: packed.sha256, size: packed.size, created, commit: Some(commit) })
        };
        let ready = self.prepared.deliver(&self.artifacts, wanted, output, make).await?;
        self.remark_changes(repository, sink);
        Ok(ready)
    }

    /// Says in the log, in its own time, that uncommitted changes were not taken.
    fn remark_changes(&self, repository: &Repository, sink: &Arc<LogSink>) {
        if repository.work_tree.is_none() || !self.courtesy.is_due(repository) {
            return;
        }
        let (git, repository, sink) = (self.git.clone(), repository.clone(), sink.clone());
        tokio::spawn(async move { remark_if_dirty(&git, &repository, &sink).await });
    }
}

async fn remark_if_dirty(git: &Git, repository: &Repository, sink: &LogSink) {
    let Ok(Some(head)) = repository.resolve(git, "HEAD").await else { return };
    if git.is_dirty(repository, &head).await == Some(true) {
        let path = repository.path.display();
        sink.remark(&format!("{path} has uncommitted changes: they are not part of this revision"));
    }
}

/// Opens a repository, or says what `penstock.toml` says wrong.
pub(super) fn open(path: &Path, action: &str, config: &LocalConfig) -> Result<Repository, SourceError> {
    if !path.exists() {
        let what =
            format!("{} says that {} stands in for `{action}`, but it is not there", config.shown(), path.display());
        return Err(SourceError::Configuration(what));
    }
    Ok(Repository::open(path)?)
}

fn known(repository: &Repository, id: &str, commit: Option<Commit>) -> Result<Commit, SourceError> {
    let missing = || format!("{} has no commit {id}", repository.path.display());
    commit.ok_or_else(|| SourceError::Revision(missing()))
}

async fn digest(file: PathBuf) -> Result<(String, u64), SourceError> {
    let path = file.clone();
    let digested = tokio::task::spawn_blocking(move || archive::digest_of(&file)).await;
    let digested = digested.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    digested.map_err(|source| SourceError::Io { path, source })
}

fn branch_key(request: &ActionRequest) -> &'static str {
    if request.declaration.action_type_id.provider == "GitHub" { "Branch" } else { "BranchName" }
}

fn clone_wanted(request: &ActionRequest) -> Result<bool, SourceError> {
    match request.declaration.configuration.get("OutputArtifactFormat").map(String::as_str) {
        None | Some("" | "CODE_ZIP") => Ok(false),
        Some("CODEBUILD_CLONE_REF") => Ok(true),
        Some(other) => Err(SourceError::Configuration(format!(
            "OutputArtifactFormat is CODE_ZIP or CODEBUILD_CLONE_REF, not `{other}`"
        ))),
    }
}

/// The output variables of each provider (`action_types.json`).
fn variables(request: &ActionRequest, branch: &str, commit: &Commit) -> StringMap {
    let settings = &request.declaration.configuration;
    let setting = |key: &str| settings.get(key).cloned().unwrap_or_default();
    let mut message = commit.message.clone();
    message.truncate(message.floor_char_boundary(MESSAGE_BYTES));
    let mut variables = StringMap::from([
        ("AuthorDate".into(), commit.authored.to_iso_seconds()),
        ("BranchName".into(), branch.into()),
        ("CommitId".into(), commit.id.clone()),
        ("CommitMessage".into(), message),
    ]);
    let committed = ("CommitterDate".to_owned(), commit.committed.to_iso_seconds());
    match request.declaration.action_type_id.provider.as_str() {
        "CodeStarSourceConnection" => {
            variables.insert("ConnectionArn".into(), setting("ConnectionArn"));
            variables.insert("FullRepositoryName".into(), setting("FullRepositoryId"));
        }
        "GitHub" => {
            let repository = format!("{}/{}", setting("Owner"), setting("Repo"));
            variables.extend([committed, ("RepositoryName".into(), repository.clone())]);
            variables.insert("CommitUrl".into(), format!("https://github.com/{repository}/commit/{}", commit.id));
        }
        _ => variables.extend([committed, ("RepositoryName".into(), setting("RepositoryName"))]),
    }
    variables
}
