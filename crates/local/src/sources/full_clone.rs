//! A full clone of a repository as an archive: its history, with `HEAD` at one commit.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::SourceError;
use super::git::{Git, GitError, make_empty, succeeded};
use super::repository::Repository;
use crate::archive::{self, PackSummary};

/// Packs a clone of `repository` into a new file `to`, with `branch` checked out at `commit`. `directory` is where the
/// clone is made; it is removed.
pub(super) async fn pack(
    git: &Git,
    repository: &Repository,
    branch: &str,
    commit: &str,
    directory: &Path,
    to: &Path,
) -> Result<PackSummary, SourceError> {
    let made = make(git, repository, branch, commit, directory).await;
    let packed = match made {
        Ok(()) => pack_and_remove(directory.into(), to.into()).await,
        Err(error) => Err(error),
    };
    // A clone half made is of no use, and may be large.
    let _ = fs::remove_dir_all(directory);
    packed
}

async fn pack_and_remove(directory: PathBuf, to: PathBuf) -> Result<PackSummary, SourceError> {
    let packing = tokio::task::spawn_blocking(move || archive::pack_tree(&directory, &to));
    Ok(packing.await.map_err(|error| SourceError::Git(GitError::NotRun(io::Error::other(error))))??)
}

async fn make(
    git: &Git,
    repository: &Repository,
    branch: &str,
    commit: &str,
    directory: &Path,
) -> Result<(), SourceError> {
    let git_dir = directory.join(".git");
    let refs = refs(git, repository).await?;
    let write = || {
        make_empty(&git_dir, repository.format, &format!("ref: refs/heads/{branch}"))?;
        fs::write(git_dir.join("packed-refs"), refs)?;
        // The branch has a file of its own, since archives have no empty directories, and git insists on `refs`.
        let own = git_dir.join("refs/heads").join(branch);
        fs::create_dir_all(own.parent().unwrap_or(&git_dir))?;
        fs::write(own, format!("{commit}\n"))?;
        let config = fs::read_to_string(git_dir.join("config"))?;
        fs::write(git_dir.join("config"), config + &remote(repository, branch))?;
        let objects = std::path::absolute(repository.common_dir.join("objects"))?;
        fs::write(git_dir.join("objects/info/alternates"), format!("{}\n", objects.display()))?;
        let shallow = repository.common_dir.join("shallow");
        if shallow.is_file() {
            fs::copy(shallow, git_dir.join("shallow"))?;
        }
        Ok(())
    };
    write().map_err(GitError::NotRun)?;
    run(&git_dir, directory, "repack", &["repack", "-a", "-d", "-q"]).await?;
    fs::remove_file(git_dir.join("objects/info/alternates")).map_err(GitError::NotRun)?;
    run(&git_dir, directory, "reset", &["reset", "-q", "--hard"]).await?;
    Ok(())
}

/// The refs of a clone besides its branch: every branch of the repository as a remote's, and its tags.
async fn refs(git: &Git, repository: &Repository) -> Result<String, SourceError> {
    let mut text = String::new();
    for (prefix, under) in [("refs/heads/", "refs/remotes/origin/"), ("refs/tags/", "refs/tags/")] {
        for (name, id) in repository.refs(git, prefix).await? {
            let _ = writeln!(text, "{id} {under}{name}");
        }
    }
    Ok(text)
}

fn remote(repository: &Repository, branch: &str) -> String {
    let quote = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let url = std::path::absolute(&repository.path).unwrap_or_else(|_| repository.path.clone());
    format!(
        "[remote \"origin\"]\n\turl = \"{}\"\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n\
         [branch \"{}\"]\n\tremote = origin\n\tmerge = \"refs/heads/{}\"\n",
        quote(&url.display().to_string()),
        quote(branch),
        quote(branch),
    )
}

async fn run(git_dir: &Path, directory: &Path, what: &'static str, arguments: &[&str]) -> Result<(), GitError> {
    let mut command = Git::command(git_dir);
    command.env("GIT_WORK_TREE", directory).current_dir(directory).args(arguments);
    let output = command.stdout(Stdio::null()).output().await.map_err(GitError::NotRun)?;
    succeeded(what, output).map(|_| ())
}
