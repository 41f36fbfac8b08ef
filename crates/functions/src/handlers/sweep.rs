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

/// How often rules are compared with the sources that need them, in minutes.
const RECONCILE_MINUTES: i64 = 15;

impl Sweep {
    async fn reconcile(&self) -> Result<(), FunctionError> {
        let control = &self.sender.control;
        let minute = control.now().0 / 60_000;
        if control.detection().rules.is_none() || minute % RECONCILE_MINUTES != 0 {
            return Ok(());
        }
        let rules = control.reconcile_rules().await?;
        tracing::info!(made = rules.made, removed = rules.removed, "rules of sources were reconciled");
        Ok(())
    }
}

#[async_trait]
impl Handler for Sweep {
    async fn handle(&self, event: Value, _: &Invocation) -> Result<Value, FunctionError> {
        if event["redrive"] == true {
            return Ok(json!({ "redriven": self.sender.redrive().await? }));
        }
        let swept = self.sender.sweep().await?;
        self.reconcile().await?;
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
