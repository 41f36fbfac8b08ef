//! Items as stored: a format version, then JSON.

use bytes::Bytes;
use engine::{Item, ItemKey};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ports::PortError;

/// The format this Penstock writes; it reads this one and older ones.
const FORMAT: u8 = b'1';

/// Encodes what is stored.
pub fn encode<T: Serialize>(value: &T) -> Result<Bytes, PortError> {
    let mut body = Vec::with_capacity(512);
    body.push(FORMAT);
    serde_json::to_writer(&mut body, value).map_err(|error| PortError::Corrupt(format!("a new item ({error})")))?;
    // Bytes would keep the rest of the allocation as long as the item lies in memory.
    body.shrink_to_fit();
    Ok(body.into())
}

/// Decodes what is stored; `what` names it in errors.
pub fn decode<T: DeserializeOwned>(body: &[u8], what: &str) -> Result<T, PortError> {
    decode_as(body, || what.to_owned())
}

/// The same, where naming it costs something.
fn decode_as<T: DeserializeOwned>(body: &[u8], what: impl Fn() -> String) -> Result<T, PortError> {
    match body.split_first() {
        Some((&FORMAT, json)) => {
            serde_json::from_slice(json).map_err(|error| PortError::Corrupt(format!("{} ({error})", what())))
        }
        Some((&newer, _)) if newer > FORMAT => Err(PortError::Newer(what())),
        Some(_) | None => Err(PortError::Corrupt(what())),
    }
}

/// Encodes an item: its kind is its key's.
pub fn encode_item(item: &Item) -> Result<Bytes, PortError> {
    match item {
        Item::Pipeline(item) => encode(item),
        Item::Header(item) => encode(item),
        Item::StagePart(item) => encode(item),
        Item::Admission(item) => encode(item),
        Item::SourceHead(item) => encode(item),
        Item::Lane(item) => encode(item),
        Item::Execution(item) => encode(item),
        Item::StageExecution(item) => encode(item),
        Item::Action(item) => encode(item),
        Item::Success(item) => encode(item),
    }
}

/// Decodes an item of this key.
pub fn decode_item(key: &ItemKey, body: &[u8]) -> Result<Item, PortError> {
    let what = || format!("{key:?}");
    Ok(match key {
        ItemKey::Pipeline => Item::Pipeline(decode_as(body, what)?),
        ItemKey::Header(_) => Item::Header(decode_as(body, what)?),
        ItemKey::StagePart(..) => Item::StagePart(decode_as(body, what)?),
        ItemKey::Admission => Item::Admission(decode_as(body, what)?),
        ItemKey::SourceHead(..) => Item::SourceHead(decode_as(body, what)?),
        ItemKey::Lane(_) => Item::Lane(decode_as(body, what)?),
        ItemKey::Execution(_) => Item::Execution(decode_as(body, what)?),
        ItemKey::StageExecution(..) => Item::StageExecution(decode_as(body, what)?),
        ItemKey::Action(_) => Item::Action(decode_as(body, what)?),
        ItemKey::Success(..) => Item::Success(decode_as(body, what)?),
    })
}
