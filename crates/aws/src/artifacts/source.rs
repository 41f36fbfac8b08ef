//! The file that is stored: read part by part, digested on the way.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use control::hexadecimal::hex;
use control::ports::PortError;
use sha2::{Digest, Sha256};

use super::file_failure;

/// The least bytes of a part: a file that is shorter goes in one request.
const PART_BYTES: u64 = 8 * 1024 * 1024;
/// The most parts of an upload.
const MAX_PARTS: u64 = 10_000;

/// A file being read.
pub(super) struct Source {
    path: PathBuf,
    file: File,
    digest: Sha256,
    size: u64,
    part_bytes: u64,
}

impl Source {
    /// Opens a file; a larger one is read in larger parts.
    pub(super) async fn open(path: &Path) -> Result<Self, PortError> {
        let path = path.to_path_buf();
        blocking(move || {
            let file = File::open(&path).map_err(|error| file_failure(&path, &error))?;
            let length = file.metadata().map_err(|error| file_failure(&path, &error))?.len();
            let part_bytes = PART_BYTES.max(length.div_ceil(MAX_PARTS));
            Ok(Self { path, file, digest: Sha256::new(), size: 0, part_bytes })
        })
        .await
    }

    /// The next part, and whether it is the last: shorter than the others, perhaps empty.
    pub(super) async fn next(mut self) -> Result<(Bytes, bool, Self), PortError> {
        blocking(move || {
            let mut part = Vec::new();
            let read = (&self.file).take(self.part_bytes).read_to_end(&mut part);
            let read = read.map_err(|error| file_failure(&self.path, &error))? as u64;
            self.digest.update(&part);
            self.size += read;
            Ok((part.into(), read < self.part_bytes, self))
        })
        .await
    }

    /// The SHA-256 (hexadecimal) and the size of what was read.
    pub(super) fn finish(self) -> (String, u64) {
        (hex(&self.digest.finalize()), self.size)
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PortError> + Send + 'static,
) -> Result<T, PortError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(PortError::Unavailable("the artifact's file (its thread ended)".into())),
    }
}
