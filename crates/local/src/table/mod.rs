//! The table on redb, with a journal before it and the recent writes in memory.
//!
//! A transaction is carried out in memory, under one lock, in microseconds. A flush writes what is new to the journal:
//! one `fdatasync`, shared by all who wait. When the journal's file is full, a thread carries its writes into redb in
//! one durable transaction (a checkpoint) while the other file takes over. So redb's cost (the pages of a B-tree, two
//! fsyncs for a quick start after a crash) falls on thousands of writes at once, and rows that live shortly never reach
//! it. At a start the journal's writes since the checkpoint are read back into memory.

mod journal;
mod look_up;
mod overlay;
mod state;
mod store;
#[cfg(test)]
mod tests;
mod tokens;
mod worker;

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use control::limits::{MAX_PAGE_BYTES, check_query, check_transaction};
use control::ports::{Key, Page, PortError, Query, Stored, Table, Write};
use tokio::sync::oneshot;

use journal::Journal;
use overlay::{Entry, Merge, Row, Stretch, decode};
use state::{PortFailure, State, Waiter};
use store::Store;
use worker::Shared;

/// Called with the writes of each transaction, in commit order, before `transact` returns.
///
/// It runs under the table's lock: it must be quick and must not call the table. The writes are not flushed yet.
pub type Observer = Box<dyn Fn(&[Write]) + Send + Sync>;

/// How a table is opened.
pub struct Options {
    /// redb's cache, in bytes; 4 MiB unless told. Reads beyond it come from the system's cache.
    pub cache_bytes: usize,
    /// So many bytes of writes are gathered before a checkpoint; 4 MiB unless told. About four times as many can be in
    /// memory at worst, and are read at a start.
    pub journal_bytes: u64,
    /// Sees every transaction.
    pub observer: Option<Observer>,
}

impl Default for Options {
    fn default() -> Self {
        Self { cache_bytes: 4 * 1024 * 1024, journal_bytes: 4 * 1024 * 1024, observer: None }
    }
}

/// What the table did since it was opened.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Statistics {
    /// Transactions carried out.
    pub transactions: u64,
    /// `fdatasync`s of the journal.
    pub journal_syncs: u64,
    /// Checkpoints; each costs two fsyncs in the background.
    pub checkpoints: u64,
}

/// Why a table could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("in use by another penstock (data directory {})", directory.display())]
    InUse {
        /// The data directory.
        directory: PathBuf,
    },
    /// A newer Penstock wrote it.
    #[error("{} was written by a newer Penstock (format {found}; this one knows {known})", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The newest format known here.
        known: u64,
    },
    /// The system refused.
    #[error("{} cannot be opened", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its content cannot be read.
    #[error("{} cannot be read: {reason}", path.display())]
    Failed {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl OpenError {
    fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }

    fn of_database(path: &Path, error: redb::DatabaseError) -> Self {
        match error {
            redb::DatabaseError::DatabaseAlreadyOpen => {
                Self::InUse { directory: path.parent().unwrap_or(path).to_path_buf() }
            }
            redb::DatabaseError::Storage(redb::StorageError::Io(source)) => Self::io(path, source),
            other => Self::Failed { path: path.into(), reason: other.to_string() },
        }
    }
}

/// How long files that are in use are waited for. A program that a killed process was just about to start has its files
/// open, and so locked, until it becomes that program.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often they are tried meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(5);

fn open_files(directory: &Path, path: &Path, cache_bytes: usize) -> Result<(Journal, (Store, u64)), OpenError> {
    let journal = Journal::open(directory).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => OpenError::InUse { directory: directory.into() },
        _ => OpenError::io(directory, error),
    })?;
    let is_new = std::fs::metadata(path).map_or(true, |metadata| metadata.len() == 0);
    create_private(path).map_err(|source| OpenError::io(path, source))?;
    if is_new {
        // The names of new files must survive a power failure like their content.
        File::open(directory)
            .and_then(|directory| directory.sync_all())
            .map_err(|source| OpenError::io(directory, source))?;
    }
    Ok((journal, Store::open(path, cache_bytes)?))
}

/// The table in a data directory. One process at a time.
pub struct RedbTable {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl std::fmt::Debug for RedbTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedbTable").field("path", &self.shared.path).finish_non_exhaustive()
    }
}

impl RedbTable {
    /// Opens or creates the table in a directory, which is created where missing; files are for their owner only
    /// (0600). Blocks for some milliseconds; for a second when another process has it open.
    ///
    /// # Errors
    /// [`OpenError`], naming the directory or file.
    pub fn open(directory: &Path, options: Options) -> Result<Self, OpenError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|source| OpenError::io(directory, source))?;
        let path = directory.join("table.redb");
        let began = Instant::now();
        let (mut journal, (store, checkpoint)) = loop {
            match open_files(directory, &path, options.cache_bytes) {
                Err(OpenError::InUse { .. }) if began.elapsed() < PATIENCE => thread::sleep(LOOK_EVERY),
                opened => break opened?,
            }
        };
        let recovered = journal.recover(checkpoint).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => OpenError::Failed { path: directory.into(), reason: error.to_string() },
            _ => OpenError::io(directory, error),
        })?;
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(store, recovered, journal.bytes())),
            journal_wanted: Condvar::new(),
            checkpoint_wanted: Condvar::new(),
            path,
            options,
        });
        let threads = start_threads(&shared, journal).map_err(|source| OpenError::io(directory, source))?;
        Ok(Self { shared, threads: Mutex::new(threads) })
    }

    /// A partition's items with this prefix, in the order of the transactions that last wrote them; within one, in the
    /// order of keys, each with its transaction's place among all of the table. Reads all of them: for recovery.
    ///
    /// # Errors
    /// As of [`Table::query`].
    pub fn rows_in_commit_order(&self, pk: &str, prefix: &str) -> Result<Vec<(u64, Key, Stored)>, PortError> {
        check_query(&Query { pk: pk.into(), prefix: prefix.into(), after: None, limit: 1, backward: false })?;
        let stretch = Stretch::of(pk, prefix);
        let mut entries = Vec::new();
        self.each_row(&stretch, false, usize::MAX, |key, entry| {
            entries.push((key, entry));
            Ok(true)
        })?;
        entries.sort_by_key(|(_, entry)| entry.commit);
        let row = |(key, entry): (Vec<u8>, Entry)| {
            let commit = entry.commit;
            decode(&key, entry).map(|(key, stored)| (commit, key, stored))
        };
        entries.into_iter().map(row).collect()
    }

    /// What was done since the opening.
    pub fn statistics(&self) -> Statistics {
        self.shared.lock().statistics
    }

    /// Flushes, and closes the files, so that the next start is quick; later calls fail. Blocks for some milliseconds.
    ///
    /// # Errors
    /// [`PortError::Unavailable`] where the flush failed: then not everything acknowledged survives. The files are
    /// closed all the same.
    pub async fn close(&self) -> Result<(), PortError> {
        let flushed = self.flush().await;
        let closed = self.stop();
        flushed.and(closed)
    }

    fn stop(&self) -> Result<(), PortError> {
        self.shared.lock().closing = true;
        self.shared.journal_wanted.notify_one();
        self.shared.checkpoint_wanted.notify_one();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the table panicked");
            }
        }
        let store = self.shared.lock().store.take();
        store.map_or(Ok(()), Store::close)
    }

    /// Hands over rows that were not removed, in order, until `visit` says false. At most `most` are asked for.
    fn each_row(
        &self,
        stretch: &Stretch,
        backward: bool,
        most: usize,
        mut visit: impl FnMut(Vec<u8>, Entry) -> Result<bool, PortError>,
    ) -> Result<(), PortError> {
        let (recent, reader) = {
            let state = self.shared.lock();
            (state.recent_rows(stretch, backward, most)?, state.reader()?)
        };
        let stored = self.watched(reader.range(stretch, backward))?;
        for row in Merge::new(recent.into_iter().map(Ok), stored, backward) {
            let (key, entry): Row = self.watched(row)?;
            if let Some(entry) = entry
                && !visit(key, entry)?
            {
                break;
            }
        }
        Ok(())
    }

    /// Has redb's file opened again after a read failed.
    fn watched<A>(&self, answer: Result<A, PortError>) -> Result<A, PortError> {
        if matches!(answer, Err(PortError::Unavailable(_))) {
            let mut state = self.shared.lock();
            state.store_failed |= !state.closing;
            self.shared.checkpoint_wanted.notify_one();
        }
        answer
    }

    /// Carries a transaction out, unless the layers in memory are full: then whom to wait for.
    fn try_transact(&self, token: &str, writes: &[Write]) -> Result<Option<Waiting>, PortError> {
        let mut state = self.shared.lock();
        if state.closing {
            return Err(closed());
        }
        if self.shared.is_full(&state) {
            let (waiter, waiting) = oneshot::channel();
            state.room.push(waiter);
            self.shared.journal_wanted.notify_one();
            self.shared.checkpoint_wanted.notify_one();
            return Ok(Some(waiting));
        }
        let observe = |writes: &[Write]| {
            if let Some(observer) = &self.shared.options.observer {
                observer(writes);
            }
        };
        state.transact(token, writes, &observe)?;
        if self.shared.has_much_to_write(&state) {
            self.shared.journal_wanted.notify_one();
        }
        Ok(None)
    }
}

type Waiting = oneshot::Receiver<Result<(), PortFailure>>;

async fn wait(waiting: Waiting) -> Result<(), PortError> {
    match waiting.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(reason)) => Err(PortError::Unavailable(reason.to_string())),
        Err(_) => Err(closed()),
    }
}

fn closed() -> PortError {
    PortError::Unavailable("the table (it is closed)".into())
}

fn create_private(path: &Path) -> io::Result<()> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path).map(drop)
}

fn start_threads(shared: &Arc<Shared>, journal: Journal) -> io::Result<Vec<JoinHandle<()>>> {
    let checkpoints = Arc::clone(shared);
    let flushes = Arc::clone(shared);
    Ok(vec![
        thread::Builder::new().name("table-checkpoint".into()).spawn(move || checkpoints.run_checkpoints())?,
        thread::Builder::new().name("table-journal".into()).spawn(move || flushes.run_journal(journal))?,
    ])
}

impl Drop for RedbTable {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            tracing::error!(%error, "the table could not be closed cleanly");
        }
    }
}

#[async_trait]
impl Table for RedbTable {
    async fn get(&self, key: &Key) -> Result<Option<Stored>, PortError> {
        Ok(self.look_up(std::slice::from_ref(key))?.pop().flatten())
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Stored>>, PortError> {
        self.look_up(keys)
    }

    async fn query(&self, query: &Query) -> Result<Page, PortError> {
        check_query(query)?;
        let mut page = Page::default();
        let mut bytes = 0;
        // One more than the page holds, to know whether there is more.
        let most = query.limit.saturating_add(1);
        self.each_row(&Stretch::of_query(query), query.backward, most, |key, entry| {
            page.more = page.items.len() == query.limit || bytes >= MAX_PAGE_BYTES;
            if !page.more {
                bytes += key.len() - 1 + entry.body.len();
                page.items.push(decode(&key, entry)?);
            }
            Ok(!page.more)
        })?;
        Ok(page)
    }

    async fn transact(&self, token: &str, writes: &[Write]) -> Result<(), PortError> {
        check_transaction(writes)?;
        while let Some(waiting) = self.try_transact(token, writes)? {
            wait(waiting).await?;
        }
        Ok(())
    }

    async fn flush(&self) -> Result<(), PortError> {
        let waiting = {
            let mut state = self.shared.lock();
            if state.durable == state.last_commit {
                return Ok(());
            }
            if state.closing {
                return Err(closed());
            }
            let (waiter, waiting): (Waiter, Waiting) = oneshot::channel();
            let wanted = state.last_commit;
            state.flushes.push((wanted, waiter));
            self.shared.journal_wanted.notify_one();
            waiting
        };
        wait(waiting).await
    }
}
