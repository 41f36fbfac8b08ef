//! The table's limits, checked in one place so that every implementation refuses the same requests.

use std::collections::HashSet;

use crate::ports::{Key, MAX_ITEM_BYTES, MAX_TRANSACTION_BYTES, MAX_WRITES, PortError, Query, Write};

/// The most bytes of a partition's name (DynamoDB's limit of a partition key).
pub const MAX_PK_BYTES: usize = 2048;
/// The most bytes of a place in a partition (DynamoDB's limit of a sort key).
pub const MAX_SK_BYTES: usize = 1024;
/// A page ends with the item that brings its keys and bodies to this many bytes (as DynamoDB's pages do).
pub const MAX_PAGE_BYTES: usize = 1024 * 1024;

/// Refuses a key that some implementation could not store.
///
/// # Errors
/// [`PortError::Invalid`] naming the part at fault.
pub fn check_key(key: &Key) -> Result<(), PortError> {
    check_pk(&key.pk)?;
    if key.sk.is_empty() || key.sk.len() > MAX_SK_BYTES {
        return Err(PortError::Invalid(format!(
            "the place {} has {} bytes; it must have 1 to {MAX_SK_BYTES}",
            shown(&key.sk),
            key.sk.len()
        )));
    }
    Ok(())
}

/// Refuses a query that some implementation could not answer.
///
/// # Errors
/// [`PortError::Invalid`] naming the part at fault.
pub fn check_query(query: &Query) -> Result<(), PortError> {
    check_pk(&query.pk)?;
    if query.limit == 0 {
        return Err(PortError::Invalid("the limit of a query is 0; it must be at least 1".into()));
    }
    Ok(())
}

/// Refuses a transaction that some implementation could not carry out.
///
/// # Errors
/// [`PortError::Invalid`] naming the limit and the item at fault.
pub fn check_transaction(writes: &[Write]) -> Result<(), PortError> {
    if writes.len() > MAX_WRITES {
        return Err(PortError::Invalid(format!("a transaction has {} writes; at most {MAX_WRITES}", writes.len())));
    }
    let mut keys = HashSet::with_capacity(writes.len());
    let mut total = 0;
    for write in writes {
        let key = write.key();
        check_key(key)?;
        if !keys.insert(key) {
            return Err(PortError::Invalid(format!("{} is written twice in one transaction", shown(&key.sk))));
        }
        let size = write_bytes(write);
        if size > MAX_ITEM_BYTES {
            return Err(PortError::Invalid(format!(
                "{} has {size} bytes with its key; at most {MAX_ITEM_BYTES}",
                shown(&key.sk)
            )));
        }
        total += size;
    }
    if total > MAX_TRANSACTION_BYTES {
        return Err(PortError::Invalid(format!(
            "a transaction has {total} bytes of keys and bodies; at most {MAX_TRANSACTION_BYTES}"
        )));
    }
    Ok(())
}

/// What a write counts against the limits: its key and its body, in bytes.
pub fn write_bytes(write: &Write) -> usize {
    let key = write.key();
    let body = match write {
        Write::Put { body, .. } => body.len(),
        Write::Delete { .. } | Write::Check { .. } => 0,
    };
    key.pk.len() + key.sk.len() + body
}

fn check_pk(pk: &str) -> Result<(), PortError> {
    if pk.is_empty() || pk.len() > MAX_PK_BYTES {
        return Err(PortError::Invalid(format!(
            "the partition {} has {} bytes; it must have 1 to {MAX_PK_BYTES}",
            shown(pk),
            pk.len()
        )));
    }
    if pk.contains('\0') {
        return Err(PortError::Invalid(format!("the partition {} contains a NUL character", shown(pk))));
    }
    Ok(())
}

/// The beginning of a name, short enough for a message.
fn shown(name: &str) -> String {
    let mut short: String = name.chars().take(80).collect();
    if short.len() < name.len() {
        short.push('…');
    }
    format!("{short:?}")
}
