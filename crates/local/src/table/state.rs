//! What the table knows at one moment, under one lock: the layers of writes, and who waits for what.

use std::sync::Arc;
use std::time::Instant;

use control::ports::{Condition, PortError, Write};
use tokio::sync::oneshot;

use super::Statistics;
use super::journal::{RecordWriter, Recovered};
use super::overlay::{Entry, Merge, Overlay, Row, Stretch, encode};
use super::store::{Reader, Store};
use super::tokens::{Known, Tokens};

/// Waits for a flush or for room; hears why where it failed.
pub(super) type Waiter = oneshot::Sender<Result<(), PortFailure>>;

/// What is unavailable and why, as every waiter hears it.
pub(super) type PortFailure = Arc<str>;

/// Everything that changes.
#[derive(Debug)]
pub(super) struct State {
    /// What was written since the last rotation of the journal.
    pub recent: Overlay,
    /// What a checkpoint is carrying into redb.
    pub frozen: Option<Arc<Overlay>>,
    /// None while it cannot be opened, and after closing.
    pub store: Option<Store>,
    /// Whether redb refuses to go on after an error, and must be opened again.
    pub store_failed: bool,
    /// Records that are not in the journal yet.
    pub pending: Vec<u8>,
    /// The number of the last transaction.
    pub last_commit: u64,
    /// The number of the last transaction that survives a crash.
    pub durable: u64,
    /// The bytes in the journal's current file.
    pub journal_bytes: u64,
    /// Who waits until a transaction is durable.
    pub flushes: Vec<(u64, Waiter)>,
    /// Who waits until the layers in memory are smaller.
    pub room: Vec<Waiter>,
    /// The table takes nothing more.
    pub closing: bool,
    /// What was counted.
    pub statistics: Statistics,
    tokens: Tokens,
}

impl State {
    /// As a crash or a clean close left it.
    pub fn new(store: Store, recovered: Recovered, journal_bytes: u64) -> Self {
        Self {
            recent: recovered.recent,
            frozen: recovered.frozen.map(Arc::new),
            store: Some(store),
            store_failed: false,
            pending: Vec::new(),
            last_commit: recovered.last_commit,
            durable: recovered.last_commit,
            journal_bytes,
            flushes: Vec::new(),
            room: Vec::new(),
            closing: false,
            statistics: Statistics::default(),
            tokens: Tokens::default(),
        }
    }

    /// A view of redb's file.
    pub fn reader(&self) -> Result<Reader, PortError> {
        match &self.store {
            Some(store) => store.reader(),
            None if self.closing => Err(PortError::Unavailable("the table (it is closed)".into())),
            None => Err(PortError::Unavailable("the table (its file could not be opened again)".into())),
        }
    }

    /// What the layers in memory know of a key; the inner none where it was removed.
    pub fn look(&self, key: &[u8]) -> Option<Option<&Entry>> {
        let frozen = || self.frozen.as_ref().and_then(|frozen| frozen.look(key));
        self.recent.look(key).or_else(frozen).map(|(entry, _)| entry)
    }

    /// The rows of a stretch in the layers in memory, up to and including `live` that were not removed.
    pub fn recent_rows(&self, stretch: &Stretch, backward: bool, live: usize) -> Result<Vec<Row>, PortError> {
        let nothing = Overlay::default();
        let frozen = self.frozen.as_deref().unwrap_or(&nothing);
        let mut rows = Vec::new();
        let mut found = 0;
        for row in Merge::new(self.recent.range(stretch, backward), frozen.range(stretch, backward), backward) {
            let row = row?;
            found += usize::from(row.1.is_some());
            rows.push(row);
            if found == live {
                break;
            }
        }
        Ok(rows)
    }

    /// Carries out a transaction in memory: all writes or none.
    pub fn transact(&mut self, token: &str, writes: &[Write], observe: &dyn Fn(&[Write])) -> Result<(), PortError> {
        let now = Instant::now();
        match self.tokens.look(token, writes, now) {
            Known::Same => return Ok(()),
            Known::Other => {
                return Err(PortError::Invalid(format!("the token {token:?} named other writes before")));
            }
            Known::New => {}
        }
        let places = self.places(writes)?;
        self.apply(writes, places);
        self.tokens.remember(token, writes, now);
        self.statistics.transactions += 1;
        observe(writes);
        Ok(())
    }

    /// The encoded key of each write, and whether a layer below the recent one may hold it.
    ///
    /// # Errors
    /// [`PortError::Conflict`] where a condition does not hold.
    fn places(&self, writes: &[Write]) -> Result<Vec<(Vec<u8>, bool)>, PortError> {
        let mut reader = None;
        let mut places = Vec::with_capacity(writes.len());
        for write in writes {
            let (Write::Put { key, condition, .. }
            | Write::Delete { key, condition }
            | Write::Check { key, condition }) = write;
            let key = encode(&key.pk, &key.sk);
            let (revision, below) = if let Some((entry, below)) = self.recent.look(&key) {
                (entry.map(|entry| entry.revision), below)
            } else if let Some((entry, _)) = self.frozen.as_ref().and_then(|frozen| frozen.look(&key)) {
                (entry.map(|entry| entry.revision), true)
            } else {
                let reader = match &mut reader {
                    Some(reader) => reader,
                    none => none.insert(self.reader()?),
                };
                let revision = reader.revision(&key)?;
                (revision, revision.is_some())
            };
            if !holds(*condition, revision) {
                return Err(PortError::Conflict);
            }
            places.push((key, below));
        }
        Ok(places)
    }

    fn apply(&mut self, writes: &[Write], places: Vec<(Vec<u8>, bool)>) {
        if writes.iter().all(|write| matches!(write, Write::Check { .. })) {
            return;
        }
        self.last_commit += 1;
        let commit = self.last_commit;
        let mut record = RecordWriter::new(&mut self.pending, commit);
        for (write, (key, below)) in writes.iter().zip(places) {
            match write {
                Write::Put { revision, body, .. } => {
                    record.put(&key, *revision, body);
                    let entry = Entry { revision: *revision, commit, body: body.clone() };
                    self.recent.put(key, entry, below);
                }
                Write::Delete { .. } => {
                    record.delete(&key);
                    self.recent.remove(key, commit, below);
                }
                Write::Check { .. } => {}
            }
        }
        record.finish();
    }

    /// Tells those who wait for transactions up to this one; how many they were.
    pub fn answer_flushes(&mut self, upto: u64, answer: &Result<(), PortFailure>) -> usize {
        let answered = self.flushes.extract_if(.., |(wanted, _)| *wanted <= upto);
        // A caller that no longer waits is no error.
        answered.map(|(_, waiter)| drop(waiter.send(answer.clone()))).count()
    }

    /// Tells those who wait for room.
    pub fn answer_room(&mut self, answer: &Result<(), PortFailure>) {
        for waiter in self.room.drain(..) {
            let _ = waiter.send(answer.clone());
        }
    }
}

fn holds(condition: Condition, revision: Option<u64>) -> bool {
    match condition {
        Condition::Absent => revision.is_none(),
        Condition::Revision(expected) => revision == Some(expected),
        Condition::Present => revision.is_some(),
        Condition::Always => true,
    }
}
