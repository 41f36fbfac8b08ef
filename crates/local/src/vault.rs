//! Secrets of connections and webhooks as files that only their owner may read, below the data directory.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use control::connections::Vault;
use control::ports::PortError;

mod sealing;
#[cfg(test)]
mod tests;

pub use sealing::KeySealer;

/// Secrets as files, mode 0600, in directories of mode 0700.
#[derive(Clone, Debug)]
pub struct FileVault {
    root: PathBuf,
}

impl FileVault {
    /// Below this directory, which is made with the first secret.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn path(&self, name: &str) -> Result<PathBuf, PortError> {
        let is_part = |part: &str| {
            !part.is_empty() && part.len() <= 100 && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if !name.split('/').all(is_part) {
            return Err(PortError::Invalid("a secret's name has letters, digits, - and / only".into()));
        }
        Ok(self.root.join(name))
    }

    async fn in_background<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce(&Path) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, PortError> {
        let path = self.path(name)?;
        let done = tokio::task::spawn_blocking(move || work(&path)).await;
        let failed = |why: String| {
            tracing::error!(why, "a secret's file cannot be used");
            PortError::Unavailable("the store of secrets".into())
        };
        done.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))
    }
}

#[async_trait]
impl Vault for FileVault {
    async fn put(&self, name: &str, secret: &str) -> Result<(), PortError> {
        let secret = secret.to_owned();
        self.in_background(name, move |path| write(path, &secret)).await
    }

    async fn get(&self, name: &str) -> Result<Option<String>, PortError> {
        let read = |path: &Path| match std::fs::read_to_string(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        };
        self.in_background(name, read).await
    }

    async fn delete(&self, name: &str) -> Result<(), PortError> {
        let remove = |path: &Path| match std::fs::remove_file(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        };
        self.in_background(name, remove).await
    }
}

/// Beside its place first, then moved there: whoever reads sees the old secret or the new one.
fn write(path: &Path, secret: &str) -> std::io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    let fresh = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(secret.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)?;
    std::fs::File::open(parent)?.sync_all()
}
