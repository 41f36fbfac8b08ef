//! What was written since the last checkpoint, in memory, and how it lies over what redb holds.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::iter::Peekable;

use bytes::Bytes;
use control::ports::{Key, PortError, Query, Stored};

/// An item with the number of the transaction that wrote it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    pub revision: u64,
    pub commit: u64,
    pub body: Bytes,
}

impl Entry {
    /// The item as the port has it.
    pub fn stored(&self) -> Stored {
        Stored { revision: self.revision, body: self.body.clone() }
    }
}

/// An encoded key, and what lies there: nothing where it was removed.
pub(super) type Row = (Vec<u8>, Option<Entry>);

#[derive(Clone, Debug)]
struct Slot {
    entry: Option<Entry>,
    /// Whether an older layer may hold something under this key. Where none does, a removed item needs no trace.
    below: bool,
}

/// A layer of writes, by encoded key.
#[derive(Clone, Debug, Default)]
pub(super) struct Overlay {
    slots: BTreeMap<Vec<u8>, Slot>,
    bytes: usize,
    last_commit: u64,
}

impl Overlay {
    /// The bytes of its keys and bodies.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The greatest number of a transaction in it.
    pub fn last_commit(&self) -> u64 {
        self.last_commit
    }

    /// Says that every transaction up to this one is in it or below it.
    pub fn covers(&mut self, commit: u64) {
        self.last_commit = self.last_commit.max(commit);
    }

    /// What it knows of a key, and whether an older layer may hold the key too; none where it knows nothing.
    pub fn look(&self, key: &[u8]) -> Option<(Option<&Entry>, bool)> {
        self.slots.get(key).map(|slot| (slot.entry.as_ref(), slot.below))
    }

    /// Puts an item.
    pub fn put(&mut self, key: Vec<u8>, entry: Entry, below: bool) {
        self.last_commit = self.last_commit.max(entry.commit);
        self.set(key, Slot { entry: Some(entry), below });
    }

    /// Removes an item.
    pub fn remove(&mut self, key: Vec<u8>, commit: u64, below: bool) {
        self.last_commit = self.last_commit.max(commit);
        if below {
            self.set(key, Slot { entry: None, below });
        } else if let Some(old) = self.slots.remove(&key) {
            self.bytes -= size(&key, &old);
        }
    }

    /// The rows of a stretch, greatest first if `backward`.
    pub fn range(&self, stretch: &Stretch, backward: bool) -> Box<dyn Iterator<Item = Result<Row, PortError>> + '_> {
        if stretch.is_empty() {
            return Box::new(std::iter::empty());
        }
        let rows = self.slots.range(stretch.lower.clone()..stretch.upper.clone());
        let row = |(key, slot): (&Vec<u8>, &Slot)| Ok((key.clone(), slot.entry.clone()));
        if backward { Box::new(rows.rev().map(row)) } else { Box::new(rows.map(row)) }
    }

    /// Every row, in the order of keys.
    pub fn rows(&self) -> impl Iterator<Item = (&[u8], Option<&Entry>)> {
        self.slots.iter().map(|(key, slot)| (key.as_slice(), slot.entry.as_ref()))
    }

    fn set(&mut self, key: Vec<u8>, slot: Slot) {
        self.bytes += size(&key, &slot);
        let length = key.len();
        if let Some(old) = self.slots.insert(key, slot) {
            self.bytes -= length + old.entry.map_or(0, |entry| entry.body.len());
        }
    }
}

fn size(key: &[u8], slot: &Slot) -> usize {
    key.len() + slot.entry.as_ref().map_or(0, |entry| entry.body.len())
}

/// A stretch of encoded keys, from `lower` up to but not including `upper`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Stretch {
    pub lower: Vec<u8>,
    pub upper: Vec<u8>,
}

impl Stretch {
    /// Everything in a partition whose place begins with a prefix.
    pub fn of(pk: &str, prefix: &str) -> Self {
        let lower = encode(pk, prefix);
        let mut upper = lower.clone();
        // The last byte is UTF-8's or the separator: never 0xFF, so one more is the first key behind the prefix.
        if let Some(last) = upper.last_mut() {
            *last = last.saturating_add(1);
        }
        Self { lower, upper }
    }

    /// What a query may still return.
    pub fn of_query(query: &Query) -> Self {
        let mut stretch = Self::of(&query.pk, &query.prefix);
        if let Some(after) = &query.after {
            let mut after = encode(&query.pk, after);
            if query.backward {
                stretch.upper = stretch.upper.min(after);
            } else {
                // The first key behind another is the same with a zero byte more.
                after.push(0);
                stretch.lower = stretch.lower.max(after);
            }
        }
        stretch
    }

    /// Whether no key can lie in it.
    pub fn is_empty(&self) -> bool {
        self.lower >= self.upper
    }
}

/// A key as one string of bytes: partitions do not contain the zero byte that ends them.
pub(super) fn encode(pk: &str, sk: &str) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(pk.len() + 1 + sk.len());
    encoded.extend_from_slice(pk.as_bytes());
    encoded.push(0);
    encoded.extend_from_slice(sk.as_bytes());
    encoded
}

/// A row as the port has it.
pub(super) fn decode(key: &[u8], entry: Entry) -> Result<(Key, Stored), PortError> {
    let mut parts = key.splitn(2, |byte| *byte == 0).map(std::str::from_utf8);
    let (Some(Ok(pk)), Some(Ok(sk))) = (parts.next(), parts.next()) else {
        return Err(PortError::Corrupt(format!("the table's key {}", key.escape_ascii())));
    };
    let key = Key { pk: pk.into(), sk: sk.into() };
    Ok((key, Stored { revision: entry.revision, body: entry.body }))
}

/// Two ordered sequences of rows as one; where both have a key, `newer` wins.
pub(super) struct Merge<N: Iterator<Item = Result<Row, PortError>>, O: Iterator<Item = Result<Row, PortError>>> {
    newer: Peekable<N>,
    older: Peekable<O>,
    backward: bool,
}

impl<N: Iterator<Item = Result<Row, PortError>>, O: Iterator<Item = Result<Row, PortError>>> Merge<N, O> {
    /// Both in the same direction.
    pub fn new(newer: N, older: O, backward: bool) -> Self {
        Self { newer: newer.peekable(), older: older.peekable(), backward }
    }
}

impl<N: Iterator<Item = Result<Row, PortError>>, O: Iterator<Item = Result<Row, PortError>>> Iterator for Merge<N, O> {
    type Item = Result<Row, PortError>;

    fn next(&mut self) -> Option<Self::Item> {
        let order = match (self.newer.peek(), self.older.peek()) {
            (Some(Ok(newer)), Some(Ok(older))) => {
                let order = newer.0.cmp(&older.0);
                if self.backward { order.reverse() } else { order }
            }
            (Some(_), None) | (Some(Err(_)), _) => Ordering::Less,
            (None, _) | (_, Some(Err(_))) => Ordering::Greater,
        };
        match order {
            Ordering::Less => self.newer.next(),
            Ordering::Greater => self.older.next(),
            Ordering::Equal => {
                self.older.next();
                self.newer.next()
            }
        }
    }
}
