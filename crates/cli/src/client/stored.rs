//! Answers calls from a data directory that no server has open: what an earlier run left is looked at with the same
//! commands as a server's.

use std::path::Path;
use std::sync::Arc;

use api::operations::{self, Call};
use api::{Api, ApiError, extensions};
use control::keys::Place;
use control::rows::{PublicationRow, WorkRow};
use control::{Control, Handoff, Ports};
use engine::ActionKey;
use local::host::{SystemClock, SystemEntropy};
use local::table::{OpenError, Options, RedbTable};
use serde_json::Value;

use crate::exit::Unusable;
use crate::server;

/// A data directory.
pub struct Stored {
    runtime: tokio::runtime::Runtime,
    control: Control,
    table: Arc<RedbTable>,
    api: Api,
}

impl Stored {
    /// Opens the directory for what it knows of a pipeline.
    ///
    /// # Errors
    /// There is none, another process has it open, or it knows no such pipeline.
    pub fn open(data: &Path, pipeline: &str) -> anyhow::Result<Self> {
        let nothing =
            || Unusable::new(format!("{} knows nothing of {pipeline}: it was never run there", data.display()));
        let place = place_of(&data.join("events.jsonl"), pipeline).ok_or_else(nothing)?;
        let table = RedbTable::open(data, Options::default()).map_err(|error| match error {
            OpenError::InUse { .. } => crate::host::in_use(data),
            error => Unusable::new(format!("{:#}", anyhow::Error::from(error))),
        })?;
        let table = Arc::new(table);
        let ports = Ports {
            table: table.clone(),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            handoff: Arc::new(NoDrivers),
            sealer: None,
        };
        let control = Control::new(ports, place);
        let api = server::offline(data, control.clone())?;
        Ok(Self { runtime: crate::run::runtime()?, control, table, api })
    }

    /// One of CodePipeline's operations.
    ///
    /// # Errors
    /// What it refuses.
    pub fn call(&self, operation: &str, input: &Value) -> Result<Value, ApiError> {
        self.runtime.block_on(operations::run(&self.prepared(operation, input)))?.into_value()
    }

    /// One of Penstock's own.
    ///
    /// # Errors
    /// What it refuses.
    pub fn extension(&self, operation: &str, input: &Value) -> Result<Value, ApiError> {
        self.runtime.block_on(extensions::run(&self.api, &self.prepared(operation, input)))
    }

    fn prepared(&self, operation: &str, input: &Value) -> Call {
        let principal = format!("arn:aws:iam::{}:user/{}", self.control.place().account, crate::environment::user());
        let (means, policies) = (self.api.means.clone(), self.api.guard.policies.clone());
        Call {
            control: self.control.clone(),
            principal,
            means,
            policies,
            operation: operation.to_owned(),
            input: input.clone(),
        }
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        // Nothing was written: a failure to close costs the next start a few milliseconds.
        let _ = self.runtime.block_on(self.table.close());
    }
}

/// Nothing runs where only the past is looked at.
struct NoDrivers;

impl Handoff for NoDrivers {
    fn committed(&self, _: &[WorkRow], _: &[PublicationRow]) {}

    fn end_driver(&self, _: &ActionKey, _: Option<&engine::ActionExecution>) {}
}

/// The account and region of a pipeline, as its last event names them.
fn place_of(events: &Path, pipeline: &str) -> Option<Place> {
    let text = std::fs::read_to_string(events).ok()?;
    let events = text.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let last = events.into_iter().find(|event| event["detail"]["pipeline"] == pipeline)?;
    Some(Place { account: last["account"].as_str()?.into(), region: last["region"].as_str()?.into() })
}
