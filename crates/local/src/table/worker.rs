//! The two threads behind the table: one flushes the journal, one carries checkpoints into redb.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use control::ports::PortError;

use super::Options;
use super::journal::Journal;
use super::state::{PortFailure, State};
use super::store::Store;

/// How long a thread waits after the disk failed before it tries again by itself.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);
/// How long where someone asks for a flush: whoever tries again must not keep the disk and the log busy.
const BREATH_AFTER_FAILURE: Duration = Duration::from_millis(50);
/// When so many have waited for a flush, the next one waits a little for more to share it: they are more than the disk
/// keeps up with. Fewer are never kept waiting.
const CROWD: usize = 3;
/// The shortest and the longest of these waits; between them, half the time of a flush.
const GATHERING: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(2));
/// So many keep the processors busy for longer than the wait of a multitude takes, whatever the disk does.
const MULTITUDE: usize = 8;
/// That wait.
const GATHERING_A_MULTITUDE: Duration = Duration::from_millis(5);
/// So many bytes are flushed even if nobody asks.
const EAGER_BYTES: u64 = 1024 * 1024;
/// A larger buffer is given back after a flush.
const KEPT_BYTES: usize = 256 * 1024;

/// What the table and its threads share.
pub(super) struct Shared {
    /// Everything that changes.
    pub state: Mutex<State>,
    /// Someone wants a flush, or there is much to write.
    pub journal_wanted: Condvar,
    /// A layer was frozen, or redb's file must be opened again.
    pub checkpoint_wanted: Condvar,
    /// redb's file.
    pub path: PathBuf,
    /// As opened.
    pub options: Options,
}

impl Shared {
    /// The state. A panic of an observer must not make the table unusable: it is called after everything is in place.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether writers must wait for a checkpoint.
    pub fn is_full(&self, state: &State) -> bool {
        state.recent.bytes() as u64 >= self.options.journal_bytes.saturating_mul(2)
    }

    /// Whether the journal's file has had its share, and the other one is free.
    fn may_rotate(&self, state: &State) -> bool {
        state.journal_bytes >= self.options.journal_bytes && state.frozen.is_none()
    }

    /// Whether the journal goes to work though nobody waits for it.
    pub fn has_much_to_write(&self, state: &State) -> bool {
        state.pending.len() as u64 >= EAGER_BYTES.min(self.options.journal_bytes) || self.may_rotate(state)
    }

    /// Runs the journal until the table closes.
    pub fn run_journal(self: &Arc<Self>, mut journal: Journal) {
        let _stopped = Stopped(Arc::clone(self));
        let mut failed = false;
        let mut gathering = Duration::ZERO;
        loop {
            let mut state = self.lock();
            if failed && !state.closing {
                if state.flushes.is_empty() {
                    state = wait_for(&self.journal_wanted, state, PAUSE_AFTER_FAILURE);
                } else {
                    drop(state);
                    std::thread::sleep(BREATH_AFTER_FAILURE);
                    state = self.lock();
                }
            }
            while state.flushes.is_empty() && !self.has_much_to_write(&state) && !state.closing {
                state = self.journal_wanted.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if !gathering.is_zero() && !state.closing {
                drop(state);
                std::thread::sleep(gathering);
                state = self.lock();
            }
            if self.may_rotate(&state) {
                let mut full = std::mem::take(&mut state.recent);
                full.covers(state.last_commit);
                state.frozen = Some(Arc::new(full));
                journal.rotate();
                state.journal_bytes = 0;
                self.checkpoint_wanted.notify_one();
            }
            let last = state.closing;
            let upto = state.last_commit;
            let records = std::mem::take(&mut state.pending);
            drop(state);
            let began = Instant::now();
            let written = if records.is_empty() { Ok(()) } else { journal.append(&records) };
            let took = began.elapsed();
            failed = written.is_err();
            let answer = written.map_err(|error| PortFailure::from(format!("the table ({error})")));
            let waited = self.journal_written(records, upto, &answer, journal.bytes());
            gathering = match waited {
                ..CROWD => Duration::ZERO,
                CROWD..MULTITUDE => (took / 2).clamp(GATHERING.0, GATHERING.1),
                MULTITUDE.. => GATHERING_A_MULTITUDE,
            };
            if last {
                // After a failure the system may not know what it wrote: the next start looks for itself.
                let other_is_free = self.lock().frozen.is_none();
                if let Some(error) = (!failed).then(|| journal.trim(other_is_free).err()).flatten() {
                    tracing::warn!(%error, "the table's journal could not be trimmed");
                }
                return;
            }
        }
    }

    /// How many had waited for it.
    fn journal_written(
        &self,
        mut records: Vec<u8>,
        upto: u64,
        answer: &Result<(), PortFailure>,
        journal_bytes: u64,
    ) -> usize {
        let mut state = self.lock();
        if let Err(reason) = answer {
            tracing::error!(%reason, "the table's journal could not be written");
            records.append(&mut state.pending);
            state.pending = records;
            state.answer_room(answer);
        } else {
            state.statistics.journal_syncs += u64::from(!records.is_empty());
            state.durable = upto;
            state.journal_bytes = journal_bytes;
            if state.pending.is_empty() {
                // Spares the next transactions the allocation.
                records.clear();
                records.shrink_to(KEPT_BYTES);
                state.pending = records;
            }
        }
        state.answer_flushes(upto, answer)
    }

    /// Carries frozen layers into redb until the table closes.
    pub fn run_checkpoints(self: &Arc<Self>) {
        let _stopped = Stopped(Arc::clone(self));
        loop {
            let mut state = self.lock();
            while state.frozen.is_none() && !state.store_failed && !state.closing {
                state = self.checkpoint_wanted.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.store_failed {
                self.reopen(&mut state);
            }
            let last = state.closing;
            let work = state.frozen.clone().zip(state.store.clone());
            drop(state);
            let Some((overlay, store)) = work else {
                if last {
                    return;
                }
                drop(wait_for(&self.checkpoint_wanted, self.lock(), PAUSE_AFTER_FAILURE));
                continue;
            };
            let written = store.checkpoint(&overlay);
            drop((overlay, store));
            let failed = written.is_err();
            self.checkpoint_written(written);
            if last {
                return;
            }
            if failed {
                drop(wait_for(&self.checkpoint_wanted, self.lock(), PAUSE_AFTER_FAILURE));
            }
        }
    }

    fn checkpoint_written(&self, written: Result<(), PortError>) {
        let mut state = self.lock();
        match written {
            Ok(()) => {
                state.frozen = None;
                state.statistics.checkpoints += 1;
                state.answer_room(&Ok(()));
                self.journal_wanted.notify_one();
            }
            Err(error) => {
                tracing::error!(%error, "the table's checkpoint failed");
                let reason = match error {
                    PortError::Unavailable(reason) => reason,
                    other => other.to_string(),
                };
                state.answer_room(&Err(PortFailure::from(reason)));
                // Nothing is lost: the layer stays in memory and in the journal.
                state.store_failed = true;
            }
        }
    }

    /// redb refuses to go on after a failed write: opens its file again. Readers that are still at work get an error
    /// from the old one and may repeat.
    fn reopen(&self, state: &mut State) {
        if let Some(store) = state.store.take()
            && let Err(error) = store.close()
        {
            tracing::warn!(%error, "the table's file could not be closed cleanly");
        }
        match Store::open(&self.path, self.options.cache_bytes) {
            Ok((store, _)) => {
                state.store = Some(store);
                state.store_failed = false;
            }
            Err(error) => {
                tracing::error!(%error, "the table's file could not be opened again");
                state.answer_room(&Err(PortFailure::from(format!("the table ({error})"))));
            }
        }
    }
}

fn wait_for<'a>(condition: &Condvar, state: MutexGuard<'a, State>, time: Duration) -> MutexGuard<'a, State> {
    condition.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
}

/// Lets nobody wait for a thread that is no more.
struct Stopped(Arc<Shared>);

impl Drop for Stopped {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.closing = true;
        state.room.clear();
        if std::thread::panicking() {
            state.flushes.clear();
            self.0.journal_wanted.notify_one();
        }
        self.0.checkpoint_wanted.notify_one();
    }
}
