//! The event log as a stream: an event's number is the offset of its line's end, so that a client can come back to it.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use api::error::ApiError;
use api::events::{EventLog, Numbered};
use async_trait::async_trait;
use local::host::{Host, Published};
use tokio::sync::broadcast;

/// How long a reader waits for the next event before it is told that the connection lives.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// The most bytes read at a time; an event is far smaller.
const PIECE_BYTES: u64 = 1024 * 1024;

/// The event log file of a host.
pub struct FileLog {
    path: PathBuf,
    published: broadcast::Sender<Published>,
}

impl FileLog {
    /// The events of a host.
    pub fn new(path: PathBuf, host: &Host) -> Self {
        Self { path, published: host.publisher() }
    }

    fn read(&self, number: u64, limit: usize) -> std::io::Result<Vec<Numbered>> {
        let mut file = match File::open(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            opened => opened?,
        };
        // From the byte before on: it must end a line, or the number is not an event's.
        let start = number.saturating_sub(1);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(PIECE_BYTES).read_to_end(&mut bytes)?;
        let lines = match (number, bytes.split_first()) {
            (0, _) => &bytes[..],
            (_, Some((b'\n', rest))) => rest,
            (_, Some(_)) => return Err(std::io::Error::other("there is no event of that number")),
            (_, None) => return Ok(Vec::new()),
        };
        Ok(numbered(number, lines, limit))
    }
}

fn numbered(mut number: u64, bytes: &[u8], limit: usize) -> Vec<Numbered> {
    let mut events = Vec::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n').take_while(|line| line.ends_with(b"\n")) {
        number += u64::try_from(line.len()).unwrap_or(u64::MAX);
        let text = String::from_utf8_lossy(line.trim_ascii_end());
        // A line that a crash cut short is no event.
        if text.starts_with('{') && text.ends_with('}') {
            events.push(Numbered { number, envelope: Arc::from(&*text) });
        }
        if events.len() == limit {
            break;
        }
    }
    events
}

#[async_trait]
impl EventLog for FileLog {
    async fn newest(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |file| file.len())
    }

    async fn after(&self, number: u64, limit: usize) -> Result<Vec<Numbered>, ApiError> {
        let mut news = self.published.subscribe();
        let read = || self.read(number, limit).map_err(|error| ApiError::invalid(error.to_string()));
        let events = read()?;
        if !events.is_empty() {
            return Ok(events);
        }
        // Whatever woke it: the file says what there is.
        drop(tokio::time::timeout(HEARTBEAT, news.recv()).await);
        read()
    }
}
