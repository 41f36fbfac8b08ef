//! An artifact store in memory.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use control::hexadecimal::hex;
use control::ports::{Artifacts, PortError};
use sha2::{Digest, Sha256};

type Objects = BTreeMap<(String, String), Bytes>;

/// Objects by bucket and key, in memory; the latest content of a key wins.
#[derive(Default, Debug)]
pub struct MemoryArtifacts {
    objects: Mutex<Objects>,
}

impl MemoryArtifacts {
    /// A store without objects.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts an object; returns its SHA-256 (hexadecimal).
    pub fn put(&self, bucket: &str, key: &str, content: impl Into<Bytes>) -> String {
        let content = content.into();
        let digest = hexadecimal(&content);
        self.lock().insert((bucket.into(), key.into()), content);
        digest
    }

    /// An object's content.
    pub fn content(&self, bucket: &str, key: &str) -> Option<Bytes> {
        self.lock().get(&(bucket.into(), key.into())).cloned()
    }

    /// The keys of a bucket, in order.
    pub fn keys(&self, bucket: &str) -> Vec<String> {
        self.lock().keys().filter(|(of, _)| of == bucket).map(|(_, key)| key.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Artifacts for MemoryArtifacts {
    async fn store(&self, bucket: &str, key: &str, from: &Path) -> Result<(String, u64), PortError> {
        let content = std::fs::read(from).map_err(|error| at(from, &error))?;
        let size = content.len() as u64;
        Ok((self.put(bucket, key, content), size))
    }

    async fn fetch(&self, bucket: &str, key: &str, to: &Path) -> Result<(), PortError> {
        let content = self.content(bucket, key).ok_or_else(|| PortError::NotFound(format!("s3://{bucket}/{key}")))?;
        let mut file: File =
            OpenOptions::new().write(true).create_new(true).open(to).map_err(|error| at(to, &error))?;
        file.write_all(&content).map_err(|error| at(to, &error))
    }
}

fn at(path: &Path, error: &std::io::Error) -> PortError {
    let message = format!("{}: {error}", path.display());
    match error.kind() {
        ErrorKind::NotFound => PortError::NotFound(path.display().to_string()),
        ErrorKind::AlreadyExists => PortError::Invalid(message),
        _ => PortError::Unavailable(message),
    }
}

/// A SHA-256, hexadecimal.
pub(crate) fn hexadecimal(content: &[u8]) -> String {
    hex(&Sha256::digest(content))
}
