//! What actions wrote, from the files below the data directory.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::{Component, Path, PathBuf};

use api::error::ApiError;
use api::extensions::Logs;
use async_trait::async_trait;
use engine::LogLocation;

/// The log files of a data directory.
pub struct LogFiles {
    data: PathBuf,
}

impl LogFiles {
    /// Of this data directory.
    pub fn new(data: PathBuf) -> Self {
        Self { data }
    }
}

#[async_trait]
impl Logs for LogFiles {
    async fn read(&self, location: &LogLocation, offset: u64, limit: usize) -> Result<Vec<u8>, ApiError> {
        let relative = Path::new(&location.location);
        let plain = relative.components().all(|part| matches!(part, Component::Normal(_)));
        if location.kind != "file" || !plain {
            return Ok(Vec::new());
        }
        read(&self.data.join(relative), offset, limit).map_err(|error| {
            tracing::warn!(%error, log = %location.location, "a log cannot be read");
            ApiError::unavailable()
        })
    }
}

fn read(path: &Path, offset: u64, limit: usize) -> std::io::Result<Vec<u8>> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened?,
    };
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(u64::try_from(limit).unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
    Ok(bytes)
}
