//! The table in memory: the exact contract, deterministic, with faults and crashes on demand.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use control::limits::{MAX_PAGE_BYTES, check_key, check_query, check_transaction};
use control::ports::{Condition, Key, Page, PortError, Query, Stored, Table, Write};

/// What a table is asked to do.
#[derive(Clone, Copy, Debug)]
pub enum Operation<'a> {
    /// Read one item.
    Get(&'a Key),
    /// Read a page.
    Query(&'a Query),
    /// Carry out a transaction.
    Transact {
        /// Its name.
        token: &'a str,
        /// Its writes.
        writes: &'a [Write],
    },
    /// Make everything survive a crash.
    Flush,
}

/// What goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// [`PortError::Throttled`].
    Throttled,
    /// [`PortError::Unavailable`].
    Unavailable,
    /// [`PortError::Conflict`], though no condition failed: another transaction was in the way.
    Conflict,
}

impl Fault {
    fn error(self) -> PortError {
        match self {
            Self::Throttled => PortError::Throttled,
            Self::Unavailable => PortError::Unavailable("the table".into()),
            Self::Conflict => PortError::Conflict,
        }
    }
}

/// Decides what goes wrong. Must not call the table.
pub trait Faults: Send + Sync {
    /// Asked before an operation: with a fault it is not carried out.
    fn before(&self, operation: Operation<'_>) -> Option<Fault> {
        let _ = operation;
        None
    }

    /// Asked after an operation succeeded: with a fault the caller does not learn that it did.
    fn after(&self, operation: Operation<'_>) -> Option<Fault> {
        let _ = operation;
        None
    }
}

/// Nothing goes wrong.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFaults;

impl Faults for NoFaults {}

#[derive(Clone, Debug)]
struct Row {
    stored: Stored,
    commit: u64,
}

/// What can be taken back: a row as it was before, or a token that was not yet known.
#[derive(Clone, Debug)]
enum Undo {
    Row(Key, Option<Row>),
    Token(String),
}

/// All that a [`MemoryTable`] holds, at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    rows: BTreeMap<Key, Row>,
    tokens: BTreeMap<String, Vec<Write>>,
    unflushed: Vec<Undo>,
    commits: u64,
}

/// A table in memory. Tokens are remembered for good (until a crash that loses their transaction).
pub struct MemoryTable {
    state: Mutex<Snapshot>,
    faults: Mutex<Arc<dyn Faults>>,
}

impl Default for MemoryTable {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for MemoryTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.lock().fmt(f)
    }
}

impl MemoryTable {
    /// An empty table without faults.
    pub fn new() -> Self {
        Self::with_faults(Arc::new(NoFaults))
    }

    /// An empty table with faults.
    pub fn with_faults(faults: Arc<dyn Faults>) -> Self {
        Self { state: Mutex::default(), faults: Mutex::new(faults) }
    }

    /// Lets these faults decide from now on.
    pub fn set_faults(&self, faults: Arc<dyn Faults>) {
        *self.faults.lock().unwrap_or_else(PoisonError::into_inner) = faults;
    }

    /// Loses every transaction since the last flush, as a crash may.
    pub fn crash(&self) {
        let mut state = self.lock();
        while let Some(undo) = state.unflushed.pop() {
            match undo {
                Undo::Row(key, Some(row)) => drop(state.rows.insert(key, row)),
                Undo::Row(key, None) => drop(state.rows.remove(&key)),
                Undo::Token(token) => drop(state.tokens.remove(&token)),
            }
        }
    }

    /// All that the table holds now.
    pub fn snapshot(&self) -> Snapshot {
        self.lock().clone()
    }

    /// Holds what it held then.
    pub fn restore(&self, snapshot: Snapshot) {
        *self.lock() = snapshot;
    }

    /// Every item in the order of keys, for checkers.
    pub fn items(&self) -> Vec<(Key, Stored)> {
        self.lock().rows.iter().map(|(key, row)| (key.clone(), row.stored.clone())).collect()
    }

    /// A partition's items with this prefix, in the order in which they were last written.
    pub fn items_in_commit_order(&self, pk: &str, prefix: &str) -> Vec<(Key, Stored)> {
        let state = self.lock();
        let mut rows: Vec<_> = state
            .rows
            .iter()
            .filter(|(key, _)| key.pk == pk && key.sk.starts_with(prefix))
            .map(|(key, row)| (row.commit, key.clone(), row.stored.clone()))
            .collect();
        rows.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
        rows.into_iter().map(|(_, key, stored)| (key, stored)).collect()
    }

    /// How many transactions were carried out.
    pub fn commits(&self) -> u64 {
        self.lock().commits
    }

    fn lock(&self) -> MutexGuard<'_, Snapshot> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn around<T>(
        &self,
        operation: Operation<'_>,
        carry_out: impl FnOnce(&mut Snapshot) -> Result<T, PortError>,
    ) -> Result<T, PortError> {
        let faults = Arc::clone(&*self.faults.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(fault) = faults.before(operation) {
            return Err(fault.error());
        }
        let answer = carry_out(&mut self.lock())?;
        faults.after(operation).map_or(Ok(answer), |fault| Err(fault.error()))
    }
}

impl Snapshot {
    fn transact(&mut self, token: &str, writes: &[Write]) -> Result<(), PortError> {
        if let Some(before) = self.tokens.get(token) {
            if before == writes {
                return Ok(());
            }
            return Err(PortError::Invalid(format!("the token {token:?} named other writes before")));
        }
        if !writes.iter().all(|write| self.allows(write)) {
            return Err(PortError::Conflict);
        }
        self.commits += 1;
        self.tokens.insert(token.into(), writes.to_vec());
        self.unflushed.push(Undo::Token(token.into()));
        for write in writes {
            let key = write.key().clone();
            let before = match write {
                Write::Check { .. } => continue,
                Write::Delete { .. } => self.rows.remove(&key),
                Write::Put { revision, body, .. } => {
                    let stored = Stored { revision: *revision, body: body.clone() };
                    self.rows.insert(key.clone(), Row { stored, commit: self.commits })
                }
            };
            self.unflushed.push(Undo::Row(key, before));
        }
        Ok(())
    }

    fn allows(&self, write: &Write) -> bool {
        let (Write::Put { key, condition, .. } | Write::Delete { key, condition } | Write::Check { key, condition }) =
            write;
        let revision = self.rows.get(key).map(|row| row.stored.revision);
        match condition {
            Condition::Absent => revision.is_none(),
            Condition::Revision(expected) => revision == Some(*expected),
            Condition::Present => revision.is_some(),
            Condition::Always => true,
        }
    }

    fn query(&self, query: &Query) -> Page {
        let first = Key { pk: query.pk.clone(), sk: query.prefix.clone() };
        let mut matching: Vec<_> = self
            .rows
            .range((Bound::Included(first), Bound::Unbounded))
            .take_while(|(key, _)| key.pk == query.pk && key.sk.starts_with(&query.prefix))
            .filter(|(key, _)| match &query.after {
                None => true,
                Some(after) if query.backward => key.sk < *after,
                Some(after) => key.sk > *after,
            })
            .collect();
        if query.backward {
            matching.reverse();
        }
        let mut page = Page::default();
        let mut bytes = 0;
        for (key, row) in matching {
            if page.items.len() == query.limit || bytes >= MAX_PAGE_BYTES {
                page.more = true;
                break;
            }
            bytes += key.pk.len() + key.sk.len() + row.stored.body.len();
            page.items.push((key.clone(), row.stored.clone()));
        }
        page
    }
}

#[async_trait]
impl Table for MemoryTable {
    async fn get(&self, key: &Key) -> Result<Option<Stored>, PortError> {
        check_key(key)?;
        self.around(Operation::Get(key), |state| Ok(state.rows.get(key).map(|row| row.stored.clone())))
    }

    async fn query(&self, query: &Query) -> Result<Page, PortError> {
        check_query(query)?;
        self.around(Operation::Query(query), |state| Ok(state.query(query)))
    }

    async fn transact(&self, token: &str, writes: &[Write]) -> Result<(), PortError> {
        check_transaction(writes)?;
        self.around(Operation::Transact { token, writes }, |state| state.transact(token, writes))
    }

    async fn flush(&self) -> Result<(), PortError> {
        self.around(Operation::Flush, |state| {
            state.unflushed.clear();
            Ok(())
        })
    }
}
