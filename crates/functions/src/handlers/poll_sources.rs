//! `poll-sources`: looks at sources that nobody tells of.

use async_trait::async_trait;
use control::handoff::Sender;
use control::sources::SourceHeads;
use serde_json::{Value, json};

use crate::errors::FunctionError;
use crate::metrics;
use crate::run::{Handler, Invocation};

/// Polling change detection, and the heads of webhook-fed branches.
pub struct PollSources {
    /// The control plane.
    pub sender: Sender,
    /// Where sources are looked at.
    pub heads: Box<dyn SourceHeads>,
    /// The stack's name, for metrics.
    pub stack: String,
}

#[async_trait]
impl Handler for PollSources {
    async fn handle(&self, _: Value, _: &Invocation) -> Result<Value, FunctionError> {
        let polls = self.sender.control.poll_sources(&*self.heads).await?;
        self.sender.flush().await?;
        let measured = [
            metrics::count("SourcesPolled", polls.looked),
            metrics::count("SourcesFailed", polls.failed),
            metrics::count("StartedByPoll", polls.started.len()),
        ];
        metrics::put(self.sender.control.now().0, &[("Stack", &self.stack)], &measured);
        Ok(json!({
            "looked": polls.looked, "failed": polls.failed, "disabled": polls.disabled, "started": polls.started.len(),
        }))
    }
}
