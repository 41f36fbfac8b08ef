//! `sweep`: sends overdue rows each minute, and parks those that nobody consumes; what is kept for a time only expires.

use std::sync::Arc;

use async_trait::async_trait;
use control::expiring::{ArtifactMarks, Expired};
use control::handoff::Sender;
use serde_json::{Value, json};

use crate::errors::FunctionError;
use crate::metrics;
use crate::run::{Handler, Invocation};

/// The sweep.
pub struct Sweep {
    /// The control plane.
    pub sender: Sender,
    /// Marks artifacts that nobody needs any more.
    pub marks: Arc<dyn ArtifactMarks>,
    /// The stack's name, for metrics.
    pub stack: String,
}

/// How often rules are compared with the sources that need them, in minutes.
const RECONCILE_MINUTES: i64 = 15;
/// How often the day's round of what expires goes a step on, in minutes; and in which minute of them.
const EXPIRE_MINUTES: i64 = 5;
const EXPIRE_AT: i64 = 2;

impl Sweep {
    /// Rules do not keep rows waiting: what goes wrong with them is tried again.
    async fn reconcile(&self) {
        let control = &self.sender.control;
        let minute = control.now().0 / 60_000;
        if control.detection().rules.is_none() || minute % RECONCILE_MINUTES != 0 {
            return;
        }
        match control.reconcile_rules().await {
            Ok(rules) => {
                let (made, removed, failed) = (rules.made, rules.removed, rules.failed);
                tracing::info!(made, removed, failed, "rules of sources were reconciled");
            }
            Err(error) => tracing::error!(%error, "rules of sources could not be reconciled"),
        }
    }

    /// A step of the day's round. What goes wrong with it goes on the next time; rows do not wait for it.
    async fn expire(&self) -> Expired {
        let control = &self.sender.control;
        if (control.now().0 / 60_000) % EXPIRE_MINUTES != EXPIRE_AT {
            return Expired::default();
        }
        match control.expire(&*self.marks).await {
            Ok(expired) => expired,
            Err(error) => {
                tracing::error!(%error, "what expires could not be gone through");
                Expired { failed: 1, ..Expired::default() }
            }
        }
    }
}

#[async_trait]
impl Handler for Sweep {
    async fn handle(&self, event: Value, _: &Invocation) -> Result<Value, FunctionError> {
        if event["redrive"] == true {
            let redriven = self.sender.redrive().await?;
            return Ok(json!({ "redriven": redriven.rows, "more": redriven.more }));
        }
        let swept = self.sender.sweep().await?;
        self.reconcile().await;
        let expired = self.expire().await;
        let measured = [
            metrics::count("RowsSentAgain", swept.sent),
            metrics::count("RowsParked", swept.parked),
            metrics::count("RowsFailed", swept.failed),
            metrics::millis("OutboxAge", swept.oldest_millis),
            metrics::count("ArtifactsMarked", expired.marked),
            metrics::count("ExpiryFailed", expired.failed),
        ];
        metrics::put(self.sender.control.now().0, &[("Stack", &self.stack)], &measured);
        Ok(json!({
            "sent": swept.sent, "parked": swept.parked, "failed": swept.failed, "oldestMillis": swept.oldest_millis,
            "marked": expired.marked, "forgotten": expired.forgotten,
        }))
    }
}
