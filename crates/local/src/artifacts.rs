//! Artifacts as files, `<bucket>/<key>` below one directory: never seen half-written, never changed in place.
//!
//! A file is made under another name and renamed. Under [`Durability::Synced`] a call returns once its file survives a
//! loss of power, so that a commit may name it; what concurrent calls do to the same directories is made durable once.
//! Equal content may share one file (a hard link), which is why stored files are read-only.

mod durable;
mod names;

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use control::ports::{Artifacts, PortError};
use sha2::{Digest, Sha256};

use durable::Directories;
use names::{Name, Names};

/// Where files are made before they are renamed; no bucket may begin with a dot.
const INCOMING: &str = ".incoming";

/// What a stored artifact survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Durability {
    /// A loss of power.
    #[default]
    Synced,
    /// The end of the process only: for runs whose state does not outlive them either.
    Buffered,
}

/// The artifacts of one data directory. Cheap to clone.
#[derive(Clone)]
pub struct LocalArtifacts(Arc<Inner>);

struct Inner {
    root: PathBuf,
    durability: Durability,
    directories: Directories,
    next: AtomicU64,
    /// fsyncs of files.
    syncs: AtomicU64,
}

impl LocalArtifacts {
    /// Opens (or makes) the store at `root`, removes what a killed process was still writing, and puts back names that
    /// a loss of power took.
    ///
    /// # Errors
    /// A directory that cannot be written.
    pub fn open(root: impl Into<PathBuf>, durability: Durability) -> Result<Self, PortError> {
        let root = root.into();
        let incoming = root.join(INCOMING);
        match fs::remove_dir_all(&incoming) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unavailable(&incoming, &error)),
            _ => {}
        }
        fs::create_dir_all(&incoming).map_err(|error| unavailable(&incoming, &error))?;
        let names = Names::open(&root).map_err(|error| unavailable(&root, &error))?;
        let directories = Directories::new(&root, names, durability).map_err(|error| unavailable(&root, &error))?;
        Ok(Self(Arc::new(Inner { root, durability, directories, next: AtomicU64::new(0), syncs: AtomicU64::new(0) })))
    }

    /// Where an artifact lies, or would lie.
    ///
    /// # Errors
    /// `Invalid` for a bucket or key that is no path below the store.
    pub fn path(&self, bucket: &str, key: &str) -> Result<PathBuf, PortError> {
        let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
        let one = Path::new(bucket).components().map(plain).eq([true]);
        if !one || bucket.starts_with('.') || bucket.contains(['/', '\0']) {
            return Err(PortError::Invalid(format!("`{bucket}` is no name of a bucket")));
        }
        let below = !key.is_empty() && !key.ends_with('/') && !key.contains('\0');
        if !below || !Path::new(key).components().all(plain) {
            return Err(PortError::Invalid(format!("`{key}` is no key of an artifact")));
        }
        Ok(self.0.root.join(bucket).join(key))
    }

    /// How many times something was made durable since the store was opened; each is one fsync.
    pub fn syncs(&self) -> u64 {
        self.0.syncs.load(Ordering::Relaxed) + self.0.directories.syncs()
    }

    /// A path on the store's file system where nothing lies, to make a file that is then adopted.
    pub fn incoming(&self) -> PathBuf {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        self.0.root.join(INCOMING).join(number.to_string())
    }

    /// Moves a file made at [`incoming`](Self::incoming) to its key; what lies there is replaced.
    ///
    /// # Errors
    /// `Invalid` as [`path`](Self::path), `Unavailable` where the file system refuses.
    pub async fn adopt(&self, bucket: &str, key: &str, file: &Path) -> Result<(), PortError> {
        let to = self.path(bucket, key)?;
        let (store, from) = (self.clone(), file.to_path_buf());
        self.durably(to, move |to| Ok((store.0.finish(&from, to)?, None))).await
    }

    /// Stores once more what is stored already, without copying where the file system can share it.
    ///
    /// # Errors
    /// `NotFound` where `stored` is gone, `Invalid` as [`path`](Self::path), `Unavailable` where the file system refuses.
    pub async fn share(&self, stored: &Path, bucket: &str, key: &str) -> Result<(), PortError> {
        let to = self.path(bucket, key)?;
        let (store, from) = (self.clone(), stored.to_path_buf());
        self.durably(to, move |to| Ok(((), store.link(&from, to)?))).await
    }

    /// Puts a file at `to` by `put`, off the executor, and makes its place durable. `put` says what it only named.
    async fn durably<T: Send + 'static>(
        &self,
        to: PathBuf,
        put: impl FnOnce(&Path) -> Result<(T, Option<Name>), PortError> + Send + 'static,
    ) -> Result<T, PortError> {
        let store = self.clone();
        let shown = to.clone();
        let (done, synced) = blocking(move || {
            let directory = to.parent().unwrap_or(&store.0.root);
            let above = store.0.directories.create(directory).map_err(|error| unavailable(directory, &error))?;
            let (done, name) = put(&to)?;
            Ok((done, store.0.directories.sync(directory, above, name)))
        })
        .await?;
        synced.await.map_err(|error| unavailable(&shown, &error))?;
        Ok(done)
    }

    /// Gives stored content another name. It is returned where nothing else had it: then it can be made again from what
    /// it names.
    fn link(&self, from: &Path, to: &Path) -> Result<Option<Name>, PortError> {
        // The content is durable since it was stored.
        match fs::hard_link(from, to) {
            Ok(()) => return Ok(Name::new(&self.0.root, to, from)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(PortError::NotFound(from.display().to_string()));
            }
            // The name is taken, or too many links, or a file system without them.
            Err(_) => {}
        }
        let incoming = self.incoming();
        match fs::hard_link(from, &incoming) {
            Ok(()) => fs::rename(&incoming, to).map_err(|error| unavailable(to, &error))?,
            Err(_) => {
                fs::copy(from, &incoming).map_err(|error| unavailable(from, &error))?;
                self.0.finish(&incoming, to)?;
            }
        }
        Ok(None)
    }

    fn copy_in(&self, from: &Path, to: &Path) -> Result<(String, u64), PortError> {
        let incoming = self.incoming();
        let copied = copy_digesting(from, &incoming);
        let (digest, size) = copied.map_err(|error| {
            // Half a copy is of no use; if it cannot be removed, the next start does it.
            let _ = fs::remove_file(&incoming);
            match error.kind() {
                io::ErrorKind::NotFound => PortError::NotFound(from.display().to_string()),
                _ => unavailable(from, &error),
            }
        })?;
        self.0.finish(&incoming, to)?;
        Ok((digest, size))
    }
}

impl Inner {
    fn finish(&self, incoming: &Path, to: &Path) -> Result<(), PortError> {
        let finish = || {
            let file = File::open(incoming)?;
            file.set_permissions(Permissions::from_mode(0o444))?;
            if self.durability == Durability::Synced {
                file.sync_all()?;
                self.syncs.fetch_add(1, Ordering::Relaxed);
            }
            fs::rename(incoming, to)
        };
        finish().map_err(|error| unavailable(to, &error))
    }
}

#[async_trait]
impl Artifacts for LocalArtifacts {
    async fn store(&self, bucket: &str, key: &str, from: &Path) -> Result<(String, u64), PortError> {
        let to = self.path(bucket, key)?;
        let (store, from) = (self.clone(), from.to_path_buf());
        self.durably(to, move |to| Ok((store.copy_in(&from, to)?, None))).await
    }

    async fn fetch(&self, bucket: &str, key: &str, to: &Path) -> Result<(), PortError> {
        let (from, to) = (self.path(bucket, key)?, to.to_path_buf());
        let name = format!("the artifact {bucket}/{key}");
        blocking(move || {
            // A directory is what other keys begin with, no artifact.
            let mut source = match File::open(&from) {
                Ok(file) if from.is_file() => file,
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unavailable(&from, &error)),
                Ok(_) | Err(_) => return Err(PortError::NotFound(name)),
            };
            let mut target = File::create_new(&to).map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => PortError::Invalid(format!("{} exists already", to.display())),
                _ => unavailable(&to, &error),
            })?;
            io::copy(&mut source, &mut target).map_err(|error| unavailable(&to, &error))?;
            Ok(())
        })
        .await
    }
}

fn copy_digesting(from: &Path, to: &Path) -> io::Result<(String, u64)> {
    let mut source = File::open(from)?;
    let mut target = File::create_new(to)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 128 * 1024];
    let mut size = 0;
    loop {
        let read = source.read(&mut buffer)?;
        if read == 0 {
            return Ok((control::hexadecimal::hex(&hasher.finalize()), size));
        }
        hasher.update(&buffer[..read]);
        target.write_all(&buffer[..read])?;
        size += read as u64;
    }
}

fn unavailable(path: &Path, error: &io::Error) -> PortError {
    PortError::Unavailable(format!("{} ({error})", path.display()))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PortError> + Send + 'static,
) -> Result<T, PortError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(PortError::Unavailable("the artifact store (its thread ended)".into())),
    }
}

#[cfg(test)]
mod tests;
