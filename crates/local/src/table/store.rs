//! The redb file below the recent writes: opening, reading, checkpoints.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use control::ports::PortError;
use redb::{
    CommitError, Database, DatabaseError, ReadOnlyTable, ReadableDatabase, ReadableTable, StorageError,
    TableDefinition, TableError, TransactionError, WriteTransaction,
};

use super::OpenError;
use super::overlay::{Entry, Overlay, Row, Stretch};

const ITEMS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("items");
const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
/// The format of the items, the meta table and the journal.
const FORMAT: u64 = 1;
/// An item's value begins with its revision and its transaction's number, both `u64` in little endian.
const HEADER: usize = 16;

type Guard<'a> = redb::AccessGuard<'a, &'static [u8]>;

/// The open database. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Store {
    database: Arc<Database>,
}

/// A consistent view of the items.
pub(super) struct Reader {
    items: ReadOnlyTable<&'static [u8], &'static [u8]>,
}

impl Store {
    /// Opens or creates the file; the number of the last transaction in it.
    pub fn open(path: &Path, cache_bytes: usize) -> Result<(Self, u64), OpenError> {
        let database = Database::builder().set_cache_size(cache_bytes).create(path);
        let database = database.map_err(|error| OpenError::of_database(path, error))?;
        let store = Self { database: Arc::new(database) };
        let failed = |error: PortError| OpenError::Failed { path: path.into(), reason: error.to_string() };
        match store.meta().map_err(failed)? {
            None => {
                store.write(|_, meta| meta.insert("format", FORMAT).map(drop)).map_err(failed)?;
                Ok((store, 0))
            }
            Some((FORMAT, checkpoint)) => Ok((store, checkpoint)),
            Some((found, _)) => Err(OpenError::Newer { path: path.into(), found, known: FORMAT }),
        }
    }

    /// The format and the checkpoint; none in a new file.
    fn meta(&self) -> Result<Option<(u64, u64)>, PortError> {
        let transaction = self.database.begin_read().map_err(of_transaction)?;
        let meta = match transaction.open_table(META) {
            Ok(meta) => meta,
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(of_table(error)),
        };
        let number = |name| meta.get(name).map(|found| found.map(|number| number.value())).map_err(of_storage);
        let Some(format) = number("format")? else { return Ok(None) };
        Ok(Some((format, number("checkpoint")?.unwrap_or(0))))
    }

    /// A view of what is committed now.
    pub fn reader(&self) -> Result<Reader, PortError> {
        let transaction = self.database.begin_read().map_err(of_transaction)?;
        Ok(Reader { items: transaction.open_table(ITEMS).map_err(of_table)? })
    }

    /// Writes a layer durably, and that everything up to its last transaction is in it.
    pub fn checkpoint(&self, overlay: &Overlay) -> Result<(), PortError> {
        self.write(|items, meta| {
            let mut value = Vec::new();
            for (key, entry) in overlay.rows() {
                let Some(entry) = entry else {
                    items.remove(key)?;
                    continue;
                };
                value.clear();
                value.extend_from_slice(&entry.revision.to_le_bytes());
                value.extend_from_slice(&entry.commit.to_le_bytes());
                value.extend_from_slice(&entry.body);
                items.insert(key, value.as_slice())?;
            }
            meta.insert("checkpoint", overlay.last_commit()).map(drop)
        })
    }

    /// Closes the file, if no other clone is in use, so that it opens at once next time.
    pub fn close(self) -> Result<(), PortError> {
        Arc::into_inner(self.database).map_or(Ok(()), |database| database.close().map_err(of_database))
    }

    fn write(
        &self,
        change: impl FnOnce(
            &mut redb::Table<'_, &'static [u8], &'static [u8]>,
            &mut redb::Table<'_, &'static str, u64>,
        ) -> Result<(), StorageError>,
    ) -> Result<(), PortError> {
        let mut transaction: WriteTransaction = self.database.begin_write().map_err(of_transaction)?;
        // The next start after a crash then need not read the whole file. It doubles the fsyncs of a checkpoint, which
        // nobody waits for.
        transaction.set_quick_repair(true);
        {
            let mut items = transaction.open_table(ITEMS).map_err(of_table)?;
            let mut meta = transaction.open_table(META).map_err(of_table)?;
            change(&mut items, &mut meta).map_err(of_storage)?;
        }
        transaction.commit().map_err(|error| match error {
            CommitError::Storage(error) => of_storage(error),
            other => unavailable(&other),
        })
    }
}

impl Reader {
    /// One item.
    pub fn get(&self, key: &[u8]) -> Result<Option<Entry>, PortError> {
        self.items.get(key).map_err(of_storage)?.map(|value| entry(key, value.value())).transpose()
    }

    /// One item's revision.
    pub fn revision(&self, key: &[u8]) -> Result<Option<u64>, PortError> {
        self.items
            .get(key)
            .map_err(of_storage)?
            .map(|value| header(key, value.value()).map(|(first, _)| first))
            .transpose()
    }

    /// The rows of a stretch, greatest first if `backward`.
    pub fn range(
        &self,
        stretch: &Stretch,
        backward: bool,
    ) -> Result<Box<dyn Iterator<Item = Result<Row, PortError>> + '_>, PortError> {
        if stretch.is_empty() {
            return Ok(Box::new(std::iter::empty()));
        }
        let bounds = stretch.lower.as_slice()..stretch.upper.as_slice();
        let rows = ReadableTable::range::<&[u8]>(&self.items, bounds).map_err(of_storage)?;
        let row = |row: Result<(Guard<'_>, Guard<'_>), StorageError>| {
            let (key, value) = row.map_err(of_storage)?;
            let key = key.value();
            Ok((key.to_vec(), Some(entry(key, value.value())?)))
        };
        Ok(if backward { Box::new(rows.rev().map(row)) } else { Box::new(rows.map(row)) })
    }
}

fn header(key: &[u8], value: &[u8]) -> Result<(u64, u64), PortError> {
    let number =
        |from: usize| value.get(from..from + 8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes);
    number(0).zip(number(8)).ok_or_else(|| PortError::Corrupt(format!("the table's item {}", key.escape_ascii())))
}

fn entry(key: &[u8], value: &[u8]) -> Result<Entry, PortError> {
    let (revision, commit) = header(key, value)?;
    Ok(Entry { revision, commit, body: Bytes::copy_from_slice(&value[HEADER..]) })
}

fn unavailable(error: &dyn std::error::Error) -> PortError {
    PortError::Unavailable(format!("the table ({error})"))
}

fn of_storage(error: StorageError) -> PortError {
    match error {
        StorageError::Corrupted(reason) => PortError::Corrupt(format!("the table ({reason})")),
        other => unavailable(&other),
    }
}

fn of_transaction(error: TransactionError) -> PortError {
    match error {
        TransactionError::Storage(error) => of_storage(error),
        other => unavailable(&other),
    }
}

fn of_table(error: TableError) -> PortError {
    match error {
        TableError::Storage(error) => of_storage(error),
        // The tables have had these names and types since format 1.
        other => PortError::Corrupt(format!("the table ({other})")),
    }
}

fn of_database(error: DatabaseError) -> PortError {
    match error {
        DatabaseError::Storage(error) => of_storage(error),
        other => unavailable(&other),
    }
}
