//! The `git` command, on a repository's objects but never under its configuration.
//!
//! Every command runs in an empty repository of Penstock's own that borrows the other's objects. So no hook, filter,
//! program or setting of the repository takes effect, and it may belong to somebody else. Only the question whether a
//! working tree has uncommitted changes is asked under the user's own settings, since they say what to ignore.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use model::Timestamp;
use tokio::process::Command;

use super::repository::{ObjectFormat, Repository, RepositoryError};

/// How long the question for uncommitted changes may take: it is a courtesy.
const COURTESY: Duration = Duration::from_secs(1);

/// Why git did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// The program could not be started, or its files not be written.
    #[error("git could not be run: {0}")]
    NotRun(io::Error),
    /// It failed.
    #[error("git {what} failed: {said}")]
    Failed {
        /// Its command.
        what: &'static str,
        /// What it wrote, cut.
        said: String,
    },
}

/// What a commit says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its full name.
    pub id: String,
    /// When it was written.
    pub authored: Timestamp,
    /// When it was committed.
    pub committed: Timestamp,
    /// Its message, without the line breaks at its end.
    pub message: String,
}

/// Runs git.
pub struct Git {
    directory: PathBuf,
    /// The directory is made, and cleared of what a killed process left, when git is first needed.
    made: Mutex<bool>,
    next: AtomicU64,
}

impl Git {
    /// `directory` is Penstock's own; what lies there is removed when git is first needed.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), made: Mutex::new(false), next: AtomicU64::new(0) }
    }

    fn make(&self) -> io::Result<()> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if *made {
            return Ok(());
        }
        match fs::remove_dir_all(&self.directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        for format in [ObjectFormat::Sha1, ObjectFormat::Sha256] {
            make_empty(&self.borrower(format), format, "ref: refs/heads/none")?;
        }
        *made = true;
        Ok(())
    }

    fn borrower(&self, format: ObjectFormat) -> PathBuf {
        match format {
            ObjectFormat::Sha1 => self.directory.join("sha1"),
            ObjectFormat::Sha256 => self.directory.join("sha256"),
        }
    }

    /// A git command on `git_dir`, without settings of anybody.
    pub(super) fn command(git_dir: &Path) -> Command {
        let mut command = Command::new("git");
        command.env_clear().envs(std::env::vars_os().filter(|(name, _)| name == "PATH" || name == "TMPDIR"));
        command
            .env("GIT_DIR", git_dir)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_ALLOW_PROTOCOL", "")
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    fn borrowing(&self, repository: &Repository) -> Result<Command, GitError> {
        self.make().map_err(GitError::NotRun)?;
        let mut command = Self::command(&self.borrower(repository.format));
        command.env("GIT_OBJECT_DIRECTORY", repository.common_dir.join("objects"));
        Ok(command)
    }

    /// What a commit says of itself; none where the repository does not have it.
    pub(super) async fn commit(&self, repository: &Repository, id: &str) -> Result<Option<Commit>, GitError> {
        let mut command = self.borrowing(repository)?;
        command.args(["log", "-1", "--no-walk", "--encoding=UTF-8", "--format=%H%x00%at%x00%ct%x00%B", id, "--"]);
        let output = command.output().await.map_err(GitError::NotRun)?;
        if !output.status.success() {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let mut parts = text.splitn(4, '\0');
        let mut next = || parts.next().unwrap_or_default();
        let seconds = |text: &str| Timestamp(text.parse::<i64>().unwrap_or_default().saturating_mul(1000));
        let (id, authored, committed) = (next().to_owned(), seconds(next()), seconds(next()));
        Ok(Some(Commit { id, authored, committed, message: next().trim_end().to_owned() }))
    }

    /// Writes a commit's files as a zip archive to a new file.
    pub(super) async fn archive(&self, repository: &Repository, id: &str, to: &Path) -> Result<(), GitError> {
        let file = File::create_new(to).map_err(GitError::NotRun)?;
        let mut command = self.borrowing(repository)?;
        command.args(["archive", "--format=zip", "-1", id]).stdout(file).stderr(Stdio::piped());
        let child = command.spawn().map_err(GitError::NotRun)?;
        succeeded("archive", child.wait_with_output().await.map_err(GitError::NotRun)?).map(|_| ())
    }

    /// Resolves a ref by git itself, for refs in a format that only git reads.
    pub(super) async fn resolve(&self, repository: &Repository, name: &str) -> Result<Option<String>, RepositoryError> {
        let mut command = Self::command(&repository.git_dir);
        command.args(["rev-parse", "--verify", "--quiet", name]);
        let output = command.output().await.map_err(|error| unreadable(repository, &error))?;
        let id = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
        Ok(Some(id).filter(|id| output.status.success() && !id.is_empty()))
    }

    /// Lists refs by git itself, for refs in a format that only git reads.
    pub(super) async fn refs(
        &self,
        repository: &Repository,
        prefix: &str,
    ) -> Result<Vec<(String, String)>, RepositoryError> {
        let mut command = Self::command(&repository.git_dir);
        command.args(["for-each-ref", "--format=%(objectname) %(refname)", prefix]);
        let output = command.output().await.map_err(|error| unreadable(repository, &error))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let pairs = text.lines().filter_map(|line| line.split_once(' '));
        Ok(pairs.filter_map(|(id, name)| Some((name.strip_prefix(prefix)?.to_owned(), id.to_owned()))).collect())
    }

    /// Whether the working tree differs from `head`; none where there is no tree, or no answer in time.
    pub(super) async fn is_dirty(&self, repository: &Repository, head: &str) -> Option<bool> {
        let work_tree = repository.work_tree.as_ref()?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let git_dir = self.directory.join(format!("status-{number}"));
        let answer = tokio::time::timeout(COURTESY, self.status(repository, work_tree, &git_dir, head)).await;
        // What cannot be removed now is removed at the next start.
        let _ = fs::remove_dir_all(&git_dir);
        answer.ok().flatten()
    }

    async fn status(&self, repository: &Repository, work_tree: &Path, git_dir: &Path, head: &str) -> Option<bool> {
        self.make().ok()?;
        make_empty(git_dir, repository.format, head).ok()?;
        fs::create_dir_all(git_dir.join("info")).ok()?;
        let exclude = repository.common_dir.join("info/exclude");
        if exclude.is_file() {
            fs::copy(exclude, git_dir.join("info/exclude")).ok()?;
        }
        let mut command = Self::command(git_dir);
        command
            .env("GIT_OBJECT_DIRECTORY", repository.common_dir.join("objects"))
            .env("GIT_INDEX_FILE", repository.git_dir.join("index"))
            .env("GIT_WORK_TREE", work_tree)
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env_remove("GIT_CONFIG_GLOBAL")
            .env_remove("GIT_CONFIG_NOSYSTEM")
            .envs(std::env::vars_os().filter(|(name, _)| name == "HOME" || name == "XDG_CONFIG_HOME"))
            .args(["-c", "core.fsmonitor=false", "status", "--porcelain", "--ignore-submodules=all"])
            .current_dir(work_tree);
        let output = command.output().await.ok()?;
        output.status.success().then_some(!output.stdout.is_empty())
    }
}

/// What git takes for a repository.
pub(super) fn make_empty(directory: &Path, format: ObjectFormat, head: &str) -> io::Result<()> {
    fs::create_dir_all(directory.join("objects/info"))?;
    fs::create_dir_all(directory.join("refs"))?;
    fs::write(directory.join("HEAD"), format!("{head}\n"))?;
    let config = match format {
        ObjectFormat::Sha1 => "[core]\n\trepositoryformatversion = 0\n",
        ObjectFormat::Sha256 => "[core]\n\trepositoryformatversion = 1\n[extensions]\n\tobjectformat = sha256\n",
    };
    fs::write(directory.join("config"), config)
}

fn unreadable(repository: &Repository, error: &io::Error) -> RepositoryError {
    RepositoryError::Unreadable { path: repository.path.clone(), reason: format!("git could not be run: {error}") }
}

/// The output of a command that succeeded.
pub(super) fn succeeded(what: &'static str, output: Output) -> Result<Output, GitError> {
    if output.status.success() {
        return Ok(output);
    }
    let said: String = String::from_utf8_lossy(&output.stderr).trim().chars().take(500).collect();
    let said = if said.is_empty() { output.status.to_string() } else { said };
    Err(GitError::Failed { what, said })
}
