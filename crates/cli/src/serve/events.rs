//! The event log as the event stream reads it: an event's number is where its line ends.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use api::ApiError;
use api::events::{EventLog, Numbered};
use async_trait::async_trait;
use local::host::{Host, Published};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

/// How long a client waits before it is told that the connection lives.
const PATIENCE: Duration = Duration::from_secs(15);

/// `events.jsonl` of a host.
#[derive(Clone)]
pub struct FileEvents {
    path: PathBuf,
    /// Tells that there is more in the file. Nobody listens between two requests: thousands of events would be kept for
    /// a listener that does not take them.
    news: broadcast::Sender<Published>,
    ended: CancellationToken,
}

impl FileEvents {
    /// Of a host.
    pub fn new(host: &Host) -> Self {
        Self { path: host.data().join("events.jsonl"), news: host.publisher(), ended: CancellationToken::new() }
    }

    /// Ends every stream: else their connections would be waited for.
    pub fn end(&self) {
        self.ended.cancel();
    }

    async fn read(&self, number: u64, limit: usize) -> Result<Vec<Numbered>, ApiError> {
        let path = self.path.clone();
        let read = tokio::task::spawn_blocking(move || read_behind(&path, number, limit)).await;
        match read {
            Ok(Ok(events)) => Ok(events),
            Ok(Err(error)) => {
                tracing::error!(%error, "the event log cannot be read");
                Err(ApiError::unavailable())
            }
            Err(_) => Err(ApiError::internal()),
        }
    }
}

#[async_trait]
impl EventLog for FileEvents {
    async fn newest(&self) -> u64 {
        tokio::fs::metadata(&self.path).await.map_or(0, |metadata| metadata.len())
    }

    async fn after(&self, number: u64, limit: usize) -> Result<Vec<Numbered>, ApiError> {
        // Subscribed before reading: what is published between the two is told.
        let mut news = self.news.subscribe();
        let found = self.read(number, limit).await?;
        if !found.is_empty() {
            return Ok(found);
        }
        tokio::select! {
            () = self.ended.cancelled() => Err(ApiError::unavailable()),
            _ = news.recv() => self.read(number, limit).await,
            () = tokio::time::sleep(PATIENCE) => Ok(Vec::new()),
        }
    }
}

/// The whole lines behind a place; of a place within a line, those behind that line.
fn read_behind(path: &Path, number: u64, limit: usize) -> io::Result<Vec<Numbered>> {
    let mut file = File::open(path)?;
    let from = number.saturating_sub(1);
    file.seek(SeekFrom::Start(from))?;
    let mut reader = BufReader::new(file);
    let mut at = from;
    if number > 0 {
        let mut skipped = Vec::new();
        at += u64::try_from(reader.read_until(b'\n', &mut skipped)?).unwrap_or(0);
    }
    let mut events = Vec::new();
    while events.len() < limit {
        let mut line = String::new();
        let length = reader.read_line(&mut line)?;
        if !line.ends_with('\n') {
            break;
        }
        at += u64::try_from(length).unwrap_or(0);
        // A line that a crash cut short is no event.
        let envelope = line.trim_end();
        if envelope.starts_with('{') && envelope.ends_with('}') {
            events.push(Numbered { number: at, envelope: envelope.into() });
        }
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::read_behind;

    #[test]
    fn whole_lines_are_read_from_every_place() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "{1}\n{22}\n{333}\n{4\n{5").unwrap();
        let read = |number, limit| {
            let events = read_behind(file.path(), number, limit).unwrap();
            events.into_iter().map(|event| (event.number, event.envelope.to_string())).collect::<Vec<_>>()
        };
        let all = [(4, "{1}".to_owned()), (9, "{22}".to_owned()), (15, "{333}".to_owned())];
        assert_eq!(read(0, 10), all);
        assert_eq!(read(0, 2), all[..2]);
        assert_eq!(read(4, 10), all[1..]);
        assert_eq!(read(6, 10), all[2..]);
        assert_eq!(read(15, 10), []);
        assert_eq!(read(1_000, 10), []);
    }
}
