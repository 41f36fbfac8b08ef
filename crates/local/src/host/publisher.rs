//! Publishes state changes in commit order: to the event log and to whoever listens.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use control::Control;
use control::ports::{Condition, MAX_WRITES, PortError, Write};
use control::rows::PublicationRow;
use serde_json::Value;
use tokio::sync::broadcast;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;

use super::Published;

/// How long the publisher gathers before it flushes.
const GATHER: std::time::Duration = std::time::Duration::from_millis(1);
/// How long where the last batch was large: under load each flush carries more.
const GATHER_MORE: std::time::Duration = std::time::Duration::from_millis(5);
/// How many rows a large batch has.
const LARGE: usize = 10;

/// The event log: one envelope a line. An event's sequence is the offset of its line's end.
pub struct EventLog {
    file: File,
    end: u64,
    /// A write failed and may have left a part behind the end.
    torn: bool,
}

impl EventLog {
    /// Opens the log to append; a line that a crash cut short is ended first.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let mut options = OpenOptions::new();
        options.create(true).append(true).read(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path)?;
        let mut end = file.metadata()?.len();
        if end > 0 && !ends_with_newline(&file, end)? {
            file.write_all(b"\n")?;
            end += 1;
        }
        Ok(Self { file, end, torn: false })
    }

    /// Writes all of them or, when it fails, nothing: what a full disk took of a line is cut off again.
    fn append(&mut self, envelopes: &[Arc<Value>]) -> std::io::Result<Vec<u64>> {
        if self.torn {
            self.file.set_len(self.end)?;
            self.torn = false;
        }
        let mut lines = Vec::new();
        let mut ends = Vec::with_capacity(envelopes.len());
        for envelope in envelopes {
            serde_json::to_writer(&mut lines, envelope)?;
            lines.push(b'\n');
            ends.push(self.end + u64::try_from(lines.len()).unwrap_or(u64::MAX));
        }
        if let Err(error) = self.file.write_all(&lines) {
            self.torn = self.file.set_len(self.end).is_err();
            return Err(error);
        }
        self.end = ends.last().copied().unwrap_or(self.end);
        Ok(ends)
    }
}

fn ends_with_newline(file: &File, end: u64) -> std::io::Result<bool> {
    let mut last = [0];
    std::os::unix::fs::FileExt::read_exact_at(file, &mut last, end - 1)?;
    Ok(last == *b"\n")
}

/// Publishes publication rows and removes them.
pub struct Publisher {
    /// The control plane.
    pub control: Arc<Control>,
    /// The `source` of events.
    pub source: String,
    /// The event log.
    pub log: EventLog,
    /// Whoever listens.
    pub events: broadcast::Sender<Published>,
}

impl Publisher {
    /// Publishes what a crash left, then what comes.
    pub async fn run(
        mut self,
        left: Vec<PublicationRow>,
        mut rows: UnboundedReceiver<PublicationRow>,
        stop: CancellationToken,
    ) {
        self.publish_surely(left, &stop).await;
        let mut gather = GATHER;
        loop {
            let mut batch = Vec::new();
            tokio::select! {
                biased;
                count = rows.recv_many(&mut batch, MAX_WRITES) => if count == 0 { return },
                () = stop.cancelled() => break,
            }
            // What the same moment brings shares its flush: an action's end, its stage's next step, the next claim.
            tokio::time::sleep(gather).await;
            while batch.len() < MAX_WRITES
                && let Ok(row) = rows.try_recv()
            {
                batch.push(row);
            }
            gather = if batch.len() >= LARGE { GATHER_MORE } else { GATHER };
            self.publish_surely(batch, &stop).await;
        }
        // What was committed before the stop is published still.
        let mut batch = Vec::new();
        while let Ok(row) = rows.try_recv() {
            batch.push(row);
        }
        self.publish_surely(batch, &stop).await;
    }

    /// Publishes rows, again and again until it works; gives up at a stop: the rows stay for the next host.
    async fn publish_surely(&mut self, rows: Vec<PublicationRow>, stop: &CancellationToken) {
        let mut wait = std::time::Duration::from_millis(50);
        let mut told = false;
        while !rows.is_empty() {
            match self.publish(&rows, &mut told).await {
                Ok(()) => return,
                Err(error) => tracing::error!(%error, "events could not be published; trying again"),
            }
            if stop.is_cancelled() {
                return;
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(std::time::Duration::from_secs(5));
        }
    }

    /// `told`: they were published already, and are only removed.
    async fn publish(&mut self, rows: &[PublicationRow], told: &mut bool) -> Result<(), PortError> {
        if !*told {
            self.tell(rows).await?;
            *told = true;
        }
        for chunk in rows.chunks(MAX_WRITES) {
            self.remove(chunk).await?;
        }
        Ok(())
    }

    async fn tell(&mut self, rows: &[PublicationRow]) -> Result<(), PortError> {
        self.control.table().flush().await?;
        let account = &self.control.place().account;
        let envelopes = rows.iter().flat_map(|row| row.envelopes(account, &self.source));
        let envelopes: Vec<Arc<Value>> = envelopes.map(Arc::new).collect();
        let sequences =
            self.log.append(&envelopes).map_err(|error| PortError::Unavailable(format!("the event log ({error})")))?;
        for (envelope, sequence) in envelopes.into_iter().zip(sequences) {
            // Nobody may listen.
            let _ = self.events.send(Published { sequence, envelope });
        }
        Ok(())
    }

    async fn remove(&self, rows: &[PublicationRow]) -> Result<(), PortError> {
        let place = self.control.place();
        let delete = |row: &PublicationRow| Write::Delete { key: row.key(place), condition: Condition::Always };
        // A transaction writes a key once.
        let mut seen = HashSet::new();
        let writes: Vec<_> = rows.iter().filter(|row| seen.insert((row.at, row.id))).map(delete).collect();
        let token = format!("published-{}", rows.first().map(|row| row.id).unwrap_or_default());
        self.control.table().transact(&token, &writes).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_part_of_a_line_that_a_failed_write_left_is_cut_off() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.jsonl");
        let mut log = EventLog::open(&path).unwrap();
        let first = log.append(&[Arc::new(json!({ "id": 1 }))]).unwrap();
        log.file.write_all(b"{\"id\": 2, \"so").unwrap();
        log.torn = true;
        let second = log.append(&[Arc::new(json!({ "id": 3 }))]).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "{\"id\":1}\n{\"id\":3}\n");
        assert_eq!((first, second), (vec![9], vec![18]));
    }
}
