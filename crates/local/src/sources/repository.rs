//! A git repository as it lies on disk: where its parts are, and what its branches point to, read without a process.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::git::Git;

/// Symbolic refs deeper than this are not followed; git itself follows five.
const MOST_HOPS: usize = 5;

/// Why a repository cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// There is none.
    #[error("{} is no git repository", path.display())]
    None {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A part of it cannot be read.
    #[error("{}: {reason}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl RepositoryError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |error| Self::Unreadable { path, reason: error.to_string() }
    }
}

/// What git names objects by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ObjectFormat {
    /// 40 hexadecimal digits.
    Sha1,
    /// 64 hexadecimal digits.
    Sha256,
}

impl ObjectFormat {
    /// Digits of a full object name.
    pub fn digits(self) -> usize {
        match self {
            Self::Sha1 => 40,
            Self::Sha256 => 64,
        }
    }
}

/// A repository: a working tree's, a linked working tree's, a submodule's, or a bare one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// What it is called in messages.
    pub path: PathBuf,
    /// Its own directory: `HEAD` and the index.
    pub git_dir: PathBuf,
    /// What it shares with other working trees: objects and refs.
    pub common_dir: PathBuf,
    /// Its working tree; none when bare.
    pub work_tree: Option<PathBuf>,
    /// How its objects are named.
    pub format: ObjectFormat,
}

impl Repository {
    /// The repository at `path`: its working tree or its `.git`, or a bare repository.
    ///
    /// # Errors
    /// There is none at `path` itself.
    pub fn open(path: &Path) -> Result<Self, RepositoryError> {
        let dot_git = path.join(".git");
        let (git_dir, work_tree) = if dot_git.is_dir() {
            (dot_git, Some(path.to_path_buf()))
        } else if dot_git.is_file() {
            (linked(&dot_git)?, Some(path.to_path_buf()))
        } else if path.join("HEAD").is_file() && path.join("objects").is_dir() {
            let inside = path.file_name().is_some_and(|name| name == ".git");
            (path.to_path_buf(), path.parent().filter(|_| inside).map(Path::to_path_buf))
        } else {
            return Err(RepositoryError::None { path: path.into() });
        };
        let common_dir = match fs::read_to_string(git_dir.join("commondir")) {
            Ok(text) => git_dir.join(text.trim_end()),
            Err(_) => git_dir.clone(),
        };
        if !common_dir.join("objects").is_dir() {
            return Err(RepositoryError::None { path: path.into() });
        }
        let format = object_format(&common_dir.join("config"))?;
        Ok(Self { path: path.into(), git_dir, common_dir, work_tree, format })
    }

    /// The repository that `path` lies in.
    pub fn around(path: &Path) -> Option<Self> {
        let full = std::path::absolute(path).ok()?;
        full.ancestors().find_map(|directory| Self::open(directory).ok())
    }

    /// The commit that a full ref (`refs/heads/main`) names, read afresh; none where it does not exist.
    ///
    /// # Errors
    /// Refs that cannot be read.
    pub async fn resolve(&self, git: &Git, name: &str) -> Result<Option<String>, RepositoryError> {
        if self.has_reftable() {
            return git.resolve(self, name).await;
        }
        let mut name = name.to_owned();
        for _ in 0..MOST_HOPS {
            if !is_plain(&name) {
                return Ok(None);
            }
            let own = if name == "HEAD" { &self.git_dir } else { &self.common_dir };
            let Some(content) = read_if_there(&own.join(&name))? else { return self.packed(&name) };
            match content.trim_end().strip_prefix("ref: ") {
                Some(other) => name = other.trim().to_owned(),
                None => return Ok(Some(content.trim_end().to_owned())),
            }
        }
        Ok(None)
    }

    /// The branch that `HEAD` is on; none when detached.
    pub fn head_branch(&self) -> Option<String> {
        let head = fs::read_to_string(self.git_dir.join("HEAD")).ok()?;
        head.trim_end().strip_prefix("ref: refs/heads/").map(str::to_owned)
    }

    /// Every ref below a prefix (`refs/heads/`) with its commit, the prefix left out, by name.
    ///
    /// # Errors
    /// Refs that cannot be read.
    pub async fn refs(&self, git: &Git, prefix: &str) -> Result<Vec<(String, String)>, RepositoryError> {
        if self.has_reftable() {
            return git.refs(self, prefix).await;
        }
        let mut names: Vec<String> =
            self.packed_refs()?.into_iter().map(|(_, name)| name).filter(|name| name.starts_with(prefix)).collect();
        loose(&self.common_dir, prefix.trim_end_matches('/'), &mut names)?;
        names.sort();
        names.dedup();
        let mut refs = Vec::new();
        for name in names {
            if let Some(id) = self.resolve(git, &name).await? {
                refs.push((name[prefix.len()..].to_owned(), id));
            }
        }
        Ok(refs)
    }

    /// Refs in git's newer format are read by git itself.
    fn has_reftable(&self) -> bool {
        self.common_dir.join("reftable").is_dir()
    }

    fn packed(&self, name: &str) -> Result<Option<String>, RepositoryError> {
        Ok(self.packed_refs()?.into_iter().find(|(_, packed)| packed == name).map(|(id, _)| id))
    }

    fn packed_refs(&self) -> Result<Vec<(String, String)>, RepositoryError> {
        let text = read_if_there(&self.common_dir.join("packed-refs"))?.unwrap_or_default();
        let lines = text.lines().filter(|line| !line.starts_with(['#', '^']));
        Ok(lines.filter_map(|line| line.split_once(' ')).map(|(id, name)| (id.into(), name.into())).collect())
    }
}

/// Where a `.git` file leads.
fn linked(dot_git: &Path) -> Result<PathBuf, RepositoryError> {
    let text = fs::read_to_string(dot_git).map_err(RepositoryError::io(dot_git))?;
    let to = text.trim_end().strip_prefix("gitdir: ").ok_or_else(|| RepositoryError::Unreadable {
        path: dot_git.into(),
        reason: "is no link to a git directory".into(),
    })?;
    Ok(dot_git.parent().unwrap_or(dot_git).join(to))
}

/// The one setting of a repository that its objects cannot be read without.
fn object_format(config: &Path) -> Result<ObjectFormat, RepositoryError> {
    let text = read_if_there(config)?.unwrap_or_default().to_lowercase();
    let sha256 = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .any(|(key, value)| key.trim() == "objectformat" && value.trim().trim_matches('"') == "sha256");
    Ok(if sha256 { ObjectFormat::Sha256 } else { ObjectFormat::Sha1 })
}

fn loose(common_dir: &Path, directory: &str, names: &mut Vec<String>) -> Result<(), RepositoryError> {
    let path = common_dir.join(directory);
    let items = match fs::read_dir(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        items => items.map_err(RepositoryError::io(&path))?,
    };
    for item in items {
        let item = item.map_err(RepositoryError::io(&path))?;
        let name = format!("{directory}/{}", item.file_name().to_string_lossy());
        if item.file_type().is_ok_and(|kind| kind.is_dir()) {
            loose(common_dir, &name, names)?;
        } else if !name.ends_with(".lock") {
            names.push(name);
        }
    }
    Ok(())
}

/// Whether a ref's name is a path below the repository.
pub(super) fn is_plain(name: &str) -> bool {
    let parts = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    parts && !name.is_empty() && !name.contains(['\0', '\n', ' ', '~', '^', ':', '\\']) && !name.contains("..")
}

fn read_if_there(path: &Path) -> Result<Option<String>, RepositoryError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => Ok(None),
            _ => Err(RepositoryError::Unreadable { path: path.into(), reason: error.to_string() }),
        },
    }
}
