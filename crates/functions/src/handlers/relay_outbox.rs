//! `relay-outbox`: sends what a crash left behind, as the table's stream tells of rows.

use async_trait::async_trait;
use control::handoff::Sender;
use control::ports::Key;
use serde_json::{Value, json};

use crate::errors::FunctionError;
use crate::run::{Handler, Invocation};

/// Reads each new row again: one that is still there was not sent, or is not consumed yet.
pub struct RelayOutbox {
    /// The control plane.
    pub sender: Sender,
}

#[async_trait]
impl Handler for RelayOutbox {
    async fn handle(&self, event: Value, _: &Invocation) -> Result<Value, FunctionError> {
        let records = event["Records"]
            .as_array()
            .ok_or_else(|| FunctionError::InvalidEvent("not a batch of a table's stream: it has no Records".into()))?;
        for record in records.iter().filter(|record| record["eventName"] == "INSERT") {
            let keys = &record["dynamodb"]["Keys"];
            let (Some(pk), Some(sk)) = (keys["pk"]["S"].as_str(), keys["sk"]["S"].as_str()) else { continue };
            let key = Key { pk: pk.into(), sk: sk.into() };
            if let Err(error) = self.sender.relay(&key).await {
                tracing::error!(%error, row = key.sk, "a row could not be relayed; it is tried again");
                // A stream is read in order: all from this one on comes again.
                let failed = json!({ "itemIdentifier": record["dynamodb"]["SequenceNumber"] });
                return Ok(json!({ "batchItemFailures": [failed] }));
            }
        }
        Ok(json!({ "batchItemFailures": [] }))
    }
}
