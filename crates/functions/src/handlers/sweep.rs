//! `sweep`: sends overdue rows each minute, and parks those that nobody consumes.

use async_trait::async_trait;
use control::handoff::Sender;
use serde_json::{Value, json};

use crate::errors::FunctionError;
use crate::metrics;
use crate::run::{Handler, Invocation};

/// The sweep.
pub struct Sweep {
    /// The control plane.
    pub sender: Sender,
    /// The stack's name, for metrics.
    pub stack: String,
}

#[async_trait]
impl Handler for Sweep {
    async fn handle(&self, event: Value, _: &Invocation) -> Result<Value, FunctionError> {
        if event["redrive"] == true {
            return Ok(json!({ "redriven": self.sender.redrive().await? }));
        }
        let swept = self.sender.sweep().await?;
        let measured = [
            metrics::count("RowsSentAgain", swept.sent),
            metrics::count("RowsParked", swept.parked),
            metrics::count("RowsFailed", swept.failed),
            metrics::millis("OutboxAge", swept.oldest_millis),
        ];
        metrics::put(self.sender.control.now().0, &[("Stack", &self.stack)], &measured);
        Ok(json!({
            "sent": swept.sent, "parked": swept.parked, "failed": swept.failed, "oldestMillis": swept.oldest_millis,
        }))
    }
}
