//! `advance-execution`: consumes one work row.

use async_trait::async_trait;
use control::handoff::Sender;
use control::rows::{Task, WorkRow};
use serde_json::{Value, json};

use crate::errors::FunctionError;
use crate::handoffs;
use crate::run::{Handler, Invocation};

/// Moves one execution one step, admits the next.
pub struct AdvanceExecution {
    /// The control plane.
    pub sender: Sender,
}

async fn consume(sender: &Sender, row: &WorkRow) -> Result<(), FunctionError> {
    let control = &sender.control;
    match &row.task {
        Task::Engine(work) => {
            let applied = control.consume(row, work).await?;
            tracing::info!(pipeline = %row.pipeline.name, row = %row.id, ?work, outcome = outcome(&applied), "consumed");
        }
        Task::Dispatch(_) => sender.send(std::slice::from_ref(row), &[]).await?,
        Task::Clean => control.clean(row).await?,
        other => {
            // The rules route these elsewhere; their rows stay for whom they are for.
            tracing::warn!(task = control::handoff::task_name(other), "not a row of this function");
        }
    }
    Ok(())
}

fn outcome(applied: &control::Applied) -> &'static str {
    match applied {
        control::Applied::Changed(_) => "changed",
        control::Applied::Ignored(_) => "ignored",
        control::Applied::Consumed => "consumed by another",
    }
}

#[async_trait]
impl Handler for AdvanceExecution {
    async fn handle(&self, event: Value, _: &Invocation) -> Result<Value, FunctionError> {
        let sender = self.sender.for_invocation();
        let Some(row) = handoffs::row(&event, &sender).await? else {
            return Ok(json!({ "consumed": false }));
        };
        consume(&sender, &row).await?;
        sender.flush().await?;
        Ok(json!({ "consumed": true }))
    }
}
