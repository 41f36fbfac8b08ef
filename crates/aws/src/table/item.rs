//! Items of DynamoDB: `pk` and `sk` (strings), `rev` (number), `body` (binary); `ttl` (number) where DynamoDB may remove
//! the item after that time.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use control::ports::{Key, PortError, Stored};
use control::retention;

/// An item as DynamoDB has it.
pub(super) type Item = HashMap<String, AttributeValue>;

/// A string.
pub(super) fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

/// A revision.
pub(super) fn number(revision: u64) -> AttributeValue {
    AttributeValue::N(revision.to_string())
}

/// A key's attributes.
pub(super) fn key_of(key: &Key) -> Item {
    HashMap::from([("pk".to_owned(), text(&key.pk)), ("sk".to_owned(), text(&key.sk))])
}

/// An item's attributes.
pub(super) fn encode(key: &Key, revision: u64, body: &Bytes) -> Item {
    let mut item = key_of(key);
    item.insert("rev".to_owned(), number(revision));
    item.insert("body".to_owned(), AttributeValue::B(Blob::new(body.as_ref())));
    if let Some(expires) = retention::expires(key, body) {
        item.insert("ttl".to_owned(), AttributeValue::N(expires.to_string()));
    }
    item
}

/// What an item's attributes say.
pub(super) fn decode(mut item: Item) -> Result<(Key, Stored), PortError> {
    let mut take = |name: &str| item.remove(name);
    let (Some(AttributeValue::S(pk)), Some(AttributeValue::S(sk))) = (take("pk"), take("sk")) else {
        return Err(PortError::Corrupt("an item of the table (its key)".into()));
    };
    let (Some(AttributeValue::N(revision)), Some(AttributeValue::B(body))) = (take("rev"), take("body")) else {
        return Err(PortError::Corrupt(format!("the item {sk:?} (it has no revision or no body)")));
    };
    let revision =
        revision.parse().map_err(|_| PortError::Corrupt(format!("the item {sk:?} (revision {revision:?})")))?;
    Ok((Key { pk, sk }, Stored { revision, body: body.into_inner().into() }))
}
