//! What follows a commit: rows due now are sent, publications published, drivers started or woken. What a crash leaves
//! unsent is found by `relay` (the table's stream) and `sweep` (a schedule).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use engine::{ActionExecution, ActionKey};
use model::{ActionStatus, Timestamp};
use serde_json::{Value, json};

use crate::control::{Control, ControlError, Handoff};
use crate::keys;
use crate::ports::{Bus, Condition, Key, PortError, PublicEvent, Write};
use crate::rows::{MAX_PUBLICATION, PublicationRow, Task, WorkRow};
use crate::stored::{decode, encode};

mod sweep;

pub use sweep::{Redriven, Swept};

/// The detail type of hand-offs: a row's place, never what it says.
pub const WORK_ROW: &str = "Penstock Work Row";
/// The version of hand-offs and of drivers' inputs.
pub const HANDOFF_VERSION: u64 = 1;
/// How long after it was due a row counts as left behind, in milliseconds.
pub const GRACE_MILLIS: i64 = 15_000;
/// How young a row is that its sender may still be sending, in milliseconds: the relay leaves it to the sweep.
pub const SENDING_MILLIS: u64 = 5_000;
/// How often a row is sent before it is parked.
pub const MAX_TRIES: u32 = 10;

/// Runs drivers: state machine executions that start an action and see it to its end.
#[async_trait]
pub trait Drivers: Send + Sync {
    /// Starts a driver. One of this name that exists counts as started.
    async fn start(&self, name: &str, input: &Value) -> Result<(), PortError>;

    /// Wakes the driver that waits with this token. A token that is unknown, used or expired is no error.
    async fn wake(&self, task_token: &str, output: &Value) -> Result<(), PortError>;
}

/// What this process committed and has not sent yet.
#[derive(Default)]
pub struct Outbox(Mutex<Pending>);

#[derive(Default)]
struct Pending {
    rows: Vec<WorkRow>,
    publications: Vec<PublicationRow>,
    wakes: Vec<String>,
}

impl Outbox {
    fn with<T>(&self, change: impl FnOnce(&mut Pending) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Handoff for Outbox {
    fn committed(&self, rows: &[WorkRow], publications: &[PublicationRow]) {
        self.with(|pending| {
            pending.rows.extend_from_slice(rows);
            pending.publications.extend_from_slice(publications);
        });
    }

    fn end_driver(&self, _: &ActionKey, action: Option<&ActionExecution>) {
        if let Some(token) = action.and_then(|action| action.task_token.clone()) {
            self.with(|pending| pending.wakes.push(token));
        }
    }
}

/// What a driver is started with.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DriverInput {
    /// [`HANDOFF_VERSION`].
    pub v: u64,
    /// The pipeline.
    pub pipeline_id: model::PipelineId,
    /// The action execution.
    pub action_execution_id: model::ActionExecutionId,
    /// Under which drive it claims.
    pub drive: u32,
    /// The place of the action's item in its pipeline's partition.
    pub at: String,
}

impl DriverInput {
    /// The input of an action's driver.
    pub fn new(pipeline_id: model::PipelineId, action: &ActionExecution, drive: u32) -> Self {
        let at = keys::item_sk(&engine::ItemKey::Action(action.key.clone()));
        Self { v: HANDOFF_VERSION, pipeline_id, action_execution_id: action.id, drive, at }
    }

    /// The driver's name.
    pub fn name(&self) -> String {
        format!("{}-{}", self.action_execution_id, self.drive)
    }
}

/// Sends what commits left to do.
#[derive(Clone)]
pub struct Sender {
    /// The control plane.
    pub control: Control,
    /// What this process committed: the hand-off port of `control`.
    pub outbox: Arc<Outbox>,
    /// Where hand-offs and state changes go.
    pub bus: Arc<dyn Bus>,
    /// What drives actions.
    pub drivers: Arc<dyn Drivers>,
    /// The `source` of events.
    pub source: String,
}

impl Sender {
    /// The same for one invocation: what it reads or writes it does not read again.
    #[must_use]
    pub fn for_invocation(&self) -> Self {
        Self { control: self.control.remembering(), ..self.clone() }
    }

    /// Sends all that this process committed. What fails stays in the table, for `relay` and `sweep`.
    pub async fn flush(&self) -> Result<(), ControlError> {
        let pending = self.outbox.with(std::mem::take);
        for token in &pending.wakes {
            self.drivers.wake(token, &json!({ "v": HANDOFF_VERSION })).await?;
        }
        let now = self.control.now();
        let due: Vec<_> = pending.rows.into_iter().filter(|row| row.due <= now).collect();
        self.send(&due, &pending.publications).await
    }

    /// Sends rows and publications: one call of the bus for every ten events, a driver for every action.
    pub async fn send(&self, rows: &[WorkRow], publications: &[PublicationRow]) -> Result<(), ControlError> {
        let mut done = Vec::new();
        let mut events = Vec::new();
        let mut failure = None;
        for row in rows {
            match &row.task {
                Task::Dispatch(actions) => match self.dispatch(row, actions).await {
                    Ok(()) => done.push(delete(row.key(self.control.place()))),
                    Err(error) => failure = Some(error),
                },
                _ => events.push((self.handoff(row), None)),
            }
        }
        let account = &self.control.place().account;
        for (index, row) in publications.iter().enumerate() {
            let envelopes = row.envelopes(account, &self.source).into_iter().enumerate();
            events.extend(envelopes.map(|(place, envelope)| (PublicEvent { envelope }, Some((index, place)))));
        }
        let refused = self.publish(&events).await?;
        for (index, row) in publications.iter().enumerate() {
            done.extend(self.published(row, refused.get(&index).map_or(&[][..], Vec::as_slice))?);
        }
        self.make_all(done).await?;
        failure.map_or(Ok(()), Err)
    }

    /// Publishes; what was not accepted, by publication.
    async fn publish(
        &self,
        events: &[(PublicEvent, Option<(usize, usize)>)],
    ) -> Result<BTreeMap<usize, Vec<usize>>, ControlError> {
        let mut refused: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for chunk in events.chunks(MAX_PUBLICATION) {
            let batch: Vec<_> = chunk.iter().map(|(event, _)| event.clone()).collect();
            for index in self.bus.publish(&batch).await? {
                // A hand-off that was not accepted is found by the sweep: its row stays until it is consumed.
                if let Some((_, Some((row, place)))) = chunk.get(index) {
                    refused.entry(*row).or_default().push(*place);
                }
            }
        }
        Ok(refused)
    }

    /// A publication goes once every entry was accepted, and is rewritten with those that were not.
    fn published(&self, row: &PublicationRow, refused: &[usize]) -> Result<Option<Write>, ControlError> {
        let key = row.key(self.control.place());
        if refused.is_empty() {
            return Ok(Some(delete(key)));
        }
        if refused.len() >= row.entries.len() {
            return Ok(None);
        }
        let entries = refused.iter().filter_map(|place| row.entries.get(*place).cloned()).collect();
        let body = encode(&PublicationRow { entries, ..row.clone() })?;
        Ok(Some(Write::Put { key, revision: 2, body, condition: Condition::Present }))
    }

    async fn make_all(&self, writes: Vec<Write>) -> Result<(), ControlError> {
        // Rewritten publications are made alone: their condition must not keep what was published from going.
        let (deletes, puts): (Vec<_>, Vec<_>) =
            writes.into_iter().partition(|write| matches!(write, Write::Delete { .. }));
        for chunk in deletes.chunks(crate::ports::MAX_WRITES) {
            self.transact(chunk).await?;
        }
        for put in puts {
            match self.transact(&[put]).await {
                Ok(()) | Err(ControlError::Port(PortError::Conflict)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn transact(&self, writes: &[Write]) -> Result<(), ControlError> {
        let token = self.control.event_seed().0.simple().to_string();
        Ok(self.control.table().transact(&token, writes).await?)
    }

    /// Starts the drivers of a dispatch row.
    async fn dispatch(&self, row: &WorkRow, actions: &[ActionKey]) -> Result<(), ControlError> {
        for key in actions {
            let Some(action) = self.control.action(&row.pipeline, key).await? else { continue };
            if action.status == ActionStatus::InProgress && action.drive == 0 {
                self.drive(row.pipeline.id, &action, 1).await?;
            }
        }
        Ok(())
    }

    /// Starts a driver for an action.
    pub async fn drive(
        &self,
        pipeline: model::PipelineId,
        action: &ActionExecution,
        drive: u32,
    ) -> Result<(), ControlError> {
        let input = DriverInput::new(pipeline, action, drive);
        Ok(self.drivers.start(&input.name(), &serde_json::to_value(&input).map_err(corrupt)?).await?)
    }

    /// The event that hands a row to its consumer.
    fn handoff(&self, row: &WorkRow) -> PublicEvent {
        let place = self.control.place();
        let sk = row.key(place).sk;
        let detail = json!({ "v": HANDOFF_VERSION, "work_row_id": sk, "task": task_name(&row.task) });
        PublicEvent {
            envelope: json!({
                "version": "0", "id": row.id.to_string(), "detail-type": WORK_ROW, "source": self.source,
                "account": place.account, "time": self.control.now().to_iso_seconds(), "region": place.region,
                "resources": [], "detail": detail,
            }),
        }
    }

    /// Sends a row that the table's stream told of, if it is still there: its sender may have died.
    pub async fn relay(&self, key: &Key) -> Result<(), ControlError> {
        let Some(kind) = self.control.place().row_kind(&key.pk) else { return Ok(()) };
        let Some(stored) = self.control.table().get(key).await? else { return Ok(()) };
        match kind {
            keys::RowKind::Work => {
                let row: WorkRow = decode(&stored.body, &key.sk)?;
                if self.is_left(row.due) { self.send(&[row], &[]).await } else { Ok(()) }
            }
            keys::RowKind::Publication => {
                let row: PublicationRow = decode(&stored.body, &key.sk)?;
                if self.is_left(row.at) { self.send(&[], &[row]).await } else { Ok(()) }
            }
        }
    }

    /// Whether a row is older than its sending takes.
    fn is_left(&self, since: Timestamp) -> bool {
        self.control.now().millis_since(since) >= SENDING_MILLIS
    }

    /// The row that a hand-off names; none if it is consumed.
    pub async fn row(&self, work_row_id: &str) -> Result<Option<WorkRow>, ControlError> {
        let Some(key) = self.control.place().work_row_named(work_row_id) else { return Ok(None) };
        let found = self.control.table().get(&key).await?;
        Ok(found.map(|stored| decode(&stored.body, &key.sk)).transpose()?)
    }
}

/// What a hand-off says of its row: rules route by it, nobody trusts it.
pub fn task_name(task: &Task) -> &'static str {
    match task {
        Task::Engine(_) => "engine",
        Task::Dispatch(_) => "dispatch",
        Task::Poll(_) => "poll",
        Task::Clean => "clean",
        Task::Webhook(_) => "webhook",
    }
}

fn delete(key: Key) -> Write {
    Write::Delete { key, condition: Condition::Always }
}

fn corrupt(error: serde_json::Error) -> PortError {
    PortError::Invalid(format!("a driver's input cannot be written ({error})"))
}
