//! The journal: two files that take turns, each a sequence of whole transactions with checksums.
//!
//! A flush is one write and one `fdatasync` here, however much redb would have to rewrite. While a checkpoint carries
//! one file's transactions into redb, the other takes the new ones; files are used again from the start, so that a
//! flush soon overwrites blocks that the file system has already given, which is faster than appending.
//!
//! A record is `length: u32, checksum: u32 (CRC-32 of the payload), payload`, numbers in little endian; the payload is
//! `commit: u64` and then for each change `kind: u8, key length: u32, key` and, for a put, `revision: u64, body length:
//! u32, body`. Numbers of transactions rise by one from record to record: the first that does not is left from before.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::overlay::{Entry, Overlay};

const HEADER: usize = 8;
const PUT: u8 = 1;
const DELETE: u8 = 2;
/// How much is written ahead of the end with zeros when a file grows: the flushes after it then change no metadata.
const AHEAD: u64 = 256 * 1024;

/// One transaction, as it is being written.
pub(super) struct RecordWriter<'a> {
    buffer: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> RecordWriter<'a> {
    /// Begins a record at the end of a buffer.
    pub fn new(buffer: &'a mut Vec<u8>, commit: u64) -> Self {
        let start = buffer.len();
        buffer.extend_from_slice(&[0; HEADER]);
        buffer.extend_from_slice(&commit.to_le_bytes());
        Self { buffer, start }
    }

    /// Adds a put.
    pub fn put(&mut self, key: &[u8], revision: u64, body: &[u8]) {
        self.buffer.push(PUT);
        self.sized(key);
        self.buffer.extend_from_slice(&revision.to_le_bytes());
        self.sized(body);
    }

    /// Adds a removal.
    pub fn delete(&mut self, key: &[u8]) {
        self.buffer.push(DELETE);
        self.sized(key);
    }

    /// Seals the record.
    pub fn finish(self) {
        let payload = self.start + HEADER;
        let length = length_of(&self.buffer[payload..]);
        let checksum = crc32fast::hash(&self.buffer[payload..]).to_le_bytes();
        self.buffer[self.start..self.start + 4].copy_from_slice(&length);
        self.buffer[self.start + 4..payload].copy_from_slice(&checksum);
    }

    fn sized(&mut self, part: &[u8]) {
        self.buffer.extend_from_slice(&length_of(part));
        self.buffer.extend_from_slice(part);
    }
}

/// A length as it is stored. A transaction is far below 4 GiB (`MAX_TRANSACTION_BYTES`).
fn length_of(part: &[u8]) -> [u8; 4] {
    u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes()
}

#[derive(Debug)]
enum Change {
    Put(Vec<u8>, Entry),
    Delete(Vec<u8>),
}

/// One transaction, as it was read.
#[derive(Debug)]
struct Record {
    commit: u64,
    changes: Vec<Change>,
}

/// Takes the front of a slice.
fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (front, back) = rest.split_at_checked(count)?;
    *rest = back;
    Some(front)
}

fn take_u32(rest: &mut &[u8]) -> Option<usize> {
    let number = u32::from_le_bytes(take(rest, 4)?.try_into().ok()?);
    usize::try_from(number).ok()
}

fn take_u64(rest: &mut &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(take(rest, 8)?.try_into().ok()?))
}

fn take_sized<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take_u32(rest)?;
    take(rest, length)
}

/// The next record, if a whole one stands there.
fn take_record(rest: &mut &[u8]) -> Option<Record> {
    let mut ahead = *rest;
    let length = take_u32(&mut ahead)?;
    let checksum = u32::from_le_bytes(take(&mut ahead, 4)?.try_into().ok()?);
    let mut payload = take(&mut ahead, length)?;
    if payload.is_empty() || crc32fast::hash(payload) != checksum {
        return None;
    }
    let commit = take_u64(&mut payload)?;
    let mut changes = Vec::new();
    while !payload.is_empty() {
        let kind = take(&mut payload, 1)?;
        let key = take_sized(&mut payload)?.to_vec();
        changes.push(match kind {
            [PUT] => {
                let revision = take_u64(&mut payload)?;
                let body = Bytes::copy_from_slice(take_sized(&mut payload)?);
                Change::Put(key, Entry { revision, commit, body })
            }
            [DELETE] => Change::Delete(key),
            _ => return None,
        });
    }
    *rest = ahead;
    Some(Record { commit, changes })
}

/// The whole records at the start of a file, and where they end.
#[derive(Debug, Default)]
struct Contents {
    records: Vec<Record>,
    end: u64,
}

impl Contents {
    fn read(bytes: &[u8]) -> Self {
        let mut contents = Self::default();
        let mut rest = bytes;
        while let Some(record) = take_record(&mut rest) {
            if contents.last().is_some_and(|last| record.commit != last + 1) {
                break;
            }
            contents.records.push(record);
            contents.end = (bytes.len() - rest.len()) as u64;
        }
        contents
    }

    fn first(&self) -> Option<u64> {
        self.records.first().map(|record| record.commit)
    }

    fn last(&self) -> Option<u64> {
        self.records.last().map(|record| record.commit)
    }

    /// The transactions after the checkpoint.
    fn overlay(self, checkpoint: u64) -> Overlay {
        let mut overlay = Overlay::default();
        for record in self.records.into_iter().filter(|record| record.commit > checkpoint) {
            for change in record.changes {
                match change {
                    Change::Put(key, entry) => overlay.put(key, entry, true),
                    Change::Delete(key) => overlay.remove(key, record.commit, true),
                }
            }
        }
        overlay
    }
}

/// What the journal holds beyond the checkpoint.
#[derive(Debug, Default)]
pub(super) struct Recovered {
    /// From the file whose checkpoint a crash interrupted.
    pub frozen: Option<Overlay>,
    /// From the file in use.
    pub recent: Overlay,
    /// The number of the last transaction.
    pub last_commit: u64,
}

#[derive(Debug)]
struct JournalFile {
    path: PathBuf,
    file: File,
    /// Up to here its blocks are written.
    length: u64,
}

impl JournalFile {
    fn open(path: PathBuf) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        Ok(Self { path, file, length: 0 })
    }

    fn contents(&mut self) -> io::Result<Contents> {
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(0))?;
        self.file.read_to_end(&mut bytes)?;
        self.length = bytes.len() as u64;
        Ok(Contents::read(&bytes))
    }

    /// Cuts off what a crash left behind: it must not be taken for a continuation of what comes to stand before it.
    fn cut(&mut self, end: u64) -> io::Result<()> {
        if self.length > end {
            self.file.set_len(end)?;
            self.file.sync_data()?;
            self.length = end;
        }
        Ok(())
    }

    fn write(&mut self, records: &[u8], offset: u64) -> io::Result<u64> {
        let end = offset + records.len() as u64;
        if end > self.length {
            let ahead = end.next_multiple_of(AHEAD);
            // What a failure leaves half written does not count: `length` stays.
            let zeros = vec![0; usize::try_from(ahead - end).unwrap_or(0)];
            self.file.write_all_at(&zeros, end)?;
            self.file.write_all_at(records, offset)?;
            self.file.sync_data()?;
            self.length = ahead;
        } else {
            self.file.write_all_at(records, offset)?;
            self.file.sync_data()?;
        }
        Ok(end)
    }
}

/// The two files, and where the next record goes.
#[derive(Debug)]
pub(super) struct Journal {
    files: [JournalFile; 2],
    current: usize,
    offset: u64,
}

impl Journal {
    /// Opens or creates both files. They are locked as long as the journal lives; `WouldBlock` where another process
    /// has them.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let first = JournalFile::open(directory.join("table.journal-0"))?;
        first.file.try_lock()?;
        let second = JournalFile::open(directory.join("table.journal-1"))?;
        Ok(Self { files: [first, second], current: 0, offset: 0 })
    }

    /// Reads what the checkpoint does not hold and prepares for writing after it.
    ///
    /// # Errors
    /// `InvalidData` where transactions are missing between the checkpoint and the journal; others from the system.
    pub fn recover(&mut self, checkpoint: u64) -> io::Result<Recovered> {
        let [one, other] = &mut self.files;
        let mut live: Vec<(usize, Contents)> = [one.contents()?, other.contents()?]
            .into_iter()
            .enumerate()
            .filter(|(_, contents)| contents.last().is_some_and(|last| last > checkpoint))
            .collect();
        live.sort_by_key(|(_, contents)| contents.first());
        let mut expected = checkpoint + 1;
        for (index, contents) in &live {
            if contents.first().is_some_and(|first| first > expected) {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("{}: transactions from {expected} on are missing", self.files[*index].path.display()),
                ));
            }
            expected = contents.last().unwrap_or(checkpoint) + 1;
        }
        for (index, file) in self.files.iter_mut().enumerate() {
            let end = live.iter().find(|(of, _)| *of == index).map_or(0, |(_, contents)| contents.end);
            file.cut(end)?;
        }
        let mut recovered = Recovered { last_commit: expected - 1, ..Recovered::default() };
        if let Some((index, contents)) = live.pop() {
            self.current = index;
            self.offset = contents.end;
            recovered.recent = contents.overlay(checkpoint);
        }
        recovered.frozen = live.pop().map(|(_, contents)| contents.overlay(checkpoint));
        Ok(recovered)
    }

    /// Writes records durably. After an error nothing counts as written, and the same records can be written again.
    pub fn append(&mut self, records: &[u8]) -> io::Result<()> {
        self.offset = self.files[self.current].write(records, self.offset)?;
        Ok(())
    }

    /// Goes on in the other file, from its start. Everything in it must be in a checkpoint.
    pub fn rotate(&mut self) {
        self.current = 1 - self.current;
        self.offset = 0;
    }

    /// Gives back what is not needed, so that the next start need not. `both` where the other file is in a checkpoint.
    pub fn trim(&mut self, both: bool) -> io::Result<()> {
        self.files[self.current].cut(self.offset)?;
        if both { self.files[1 - self.current].cut(0) } else { Ok(()) }
    }

    /// The bytes in the current file.
    pub fn bytes(&self) -> u64 {
        self.offset
    }
}
