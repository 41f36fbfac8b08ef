//! Metrics of what was committed: taken from the state changes that a commit publishes, so that nothing is read for them.

use std::sync::Arc;

use control::Handoff;
use control::handoff::Outbox;
use control::rows::{PublicationRow, WorkRow};
use engine::{ActionExecution, ActionKey, State, StateChange, Subject};
use model::Category;
use serde_json::Value;

use crate::metrics::{self, Metric};

/// Passes on what was committed, and writes its metrics.
pub struct Measuring {
    /// Whom it is passed on to.
    pub outbox: Arc<Outbox>,
    /// The stack's name.
    pub stack: String,
}

impl Handoff for Measuring {
    fn committed(&self, rows: &[WorkRow], publications: &[PublicationRow]) {
        for line in lines(&self.stack, publications) {
            metrics::write(&line);
        }
        self.outbox.committed(rows, publications);
    }

    fn end_driver(&self, key: &ActionKey, action: Option<&ActionExecution>) {
        self.outbox.end_driver(key, action);
    }
}

/// A line for each state change that is measured.
pub fn lines(stack: &str, publications: &[PublicationRow]) -> Vec<Value> {
    let changes = publications.iter().flat_map(|row| &row.entries).map(|entry| &entry.change);
    changes
        .filter_map(|change| {
            let metric = measure(change)?;
            let mut line = metrics::line(change.at.0, &[("Stack", stack)], &[metric]);
            line["pipeline"] = change.pipeline.as_str().into();
            line["execution"] = change.execution.to_string().into();
            Some(line)
        })
        .collect()
}

/// What a state change adds to which metric.
fn measure(change: &StateChange) -> Option<Metric> {
    let took = change.at.millis_since(change.started_at);
    match (&change.subject, change.state) {
        (Subject::Pipeline { .. }, State::Started) => Some(metrics::count("ExecutionsStarted", 1)),
        (Subject::Pipeline { .. }, State::Succeeded) => Some(metrics::count("ExecutionsSucceeded", 1)),
        (Subject::Pipeline { .. }, State::Failed) => Some(metrics::count("ExecutionsFailed", 1)),
        (Subject::Action(action), State::Succeeded | State::Failed) => Some(match action.action_type.category {
            Category::Approval => metrics::millis("ApprovalWait", took),
            _ => metrics::millis("ActionDuration", took),
        }),
        _ => None,
    }
}
