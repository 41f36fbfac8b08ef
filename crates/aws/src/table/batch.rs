//! Several items by one request that is no transaction: reads, and removals that nothing depends on.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{DeleteRequest, KeysAndAttributes, WriteRequest};
use control::ports::{Key, PortError, Stored, Write};

use super::item::{self, key_of};
use crate::failure::port_error;

/// The most removals of one request.
const REMOVALS: usize = 25;
/// How often what was left undone is asked for again.
const TRIES: u32 = 6;
/// The wait before the second try; it doubles.
const WAIT: Duration = Duration::from_millis(25);

/// Each of these items that is there.
pub(super) async fn read(client: &Client, table: &str, keys: &[Key]) -> Result<HashMap<Key, Stored>, PortError> {
    let mut found = HashMap::with_capacity(keys.len());
    let build = |keys: Vec<_>| {
        let wanted = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build();
        wanted.map_err(|error| PortError::Invalid(error.to_string()))
    };
    let mut wanted = build(keys.iter().map(key_of).collect())?;
    let mut wait = WAIT;
    for _ in 0..TRIES {
        let answer = client.batch_get_item().request_items(table, wanted).send().await;
        let answer = answer.map_err(|error| port_error(&format!("the table {table}"), &error))?;
        for item in answer.responses.unwrap_or_default().into_values().flatten() {
            let (key, stored) = item::decode(item)?;
            found.insert(key, stored);
        }
        let left = answer.unprocessed_keys.unwrap_or_default().into_values().next();
        match left.filter(|left| !left.keys.is_empty()) {
            None => return Ok(found),
            Some(left) => wanted = build(left.keys)?,
        }
        tokio::time::sleep(wait).await;
        wait *= 2;
    }
    Err(PortError::Throttled)
}

/// Removes items, whether they are there or not.
pub(super) async fn remove(client: &Client, table: &str, writes: &[Write]) -> Result<(), PortError> {
    if let [write] = writes {
        let removed = client.delete_item().table_name(table).set_key(Some(key_of(write.key()))).send().await;
        return removed.map(drop).map_err(|error| port_error(&format!("the table {table}"), &error));
    }
    for chunk in writes.chunks(REMOVALS) {
        let request = |write: &Write| {
            let delete = DeleteRequest::builder().set_key(Some(key_of(write.key()))).build();
            let delete = delete.map_err(|error| PortError::Invalid(error.to_string()))?;
            Ok(WriteRequest::builder().delete_request(delete).build())
        };
        remove_some(client, table, chunk.iter().map(request).collect::<Result<_, PortError>>()?).await?;
    }
    Ok(())
}

async fn remove_some(client: &Client, table: &str, mut requests: Vec<WriteRequest>) -> Result<(), PortError> {
    let mut wait = WAIT;
    for _ in 0..TRIES {
        let answer = client.batch_write_item().request_items(table, requests).send().await;
        let answer = answer.map_err(|error| port_error(&format!("the table {table}"), &error))?;
        requests = answer.unprocessed_items.unwrap_or_default().into_values().flatten().collect();
        if requests.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(wait).await;
        wait *= 2;
    }
    Err(PortError::Throttled)
}
