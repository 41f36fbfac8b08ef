//! Rows written with each commit: what must happen next, and what must be published.

use engine::{ActionKey, StateChange, Work};
use model::{PipelineId, PipelineName, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::keys::Place;
use crate::ports::Key;
use crate::webhooks::DeliveryRef;

/// One creation of a pipeline, by id and name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineRef {
    /// This creation.
    pub id: PipelineId,
    /// Its name.
    pub name: PipelineName,
}

impl PipelineRef {
    /// Of a row that belongs to no pipeline yet: a webhook's delivery may start many.
    pub fn none() -> Self {
        Self { id: PipelineId(Uuid::nil()), name: PipelineName::from("") }
    }
}

/// An action execution and its pipeline: what lies under the work's id at a provider, and under a job's id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionRef {
    /// Its pipeline.
    pub pipeline: PipelineRef,
    /// Its key.
    pub key: ActionKey,
}

/// What must happen next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkRow {
    /// Its id.
    pub id: Uuid,
    /// The region of the pipeline.
    pub region: String,
    /// The pipeline it belongs to.
    pub pipeline: PipelineRef,
    /// When.
    pub due: Timestamp,
    /// What.
    pub task: Task,
    /// How often it was sent because nobody had consumed it in time.
    #[serde(default)]
    pub tries: u32,
}

/// What a work row asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Task {
    /// A decision of the engine.
    Engine(Work),
    /// Start these actions.
    Dispatch(Vec<ActionKey>),
    /// Ask an action's provider for news.
    Poll(ActionKey),
    /// Remove what a deleted pipeline left, page by page.
    Clean,
    /// Match a webhook's delivery.
    Webhook(DeliveryRef),
}

impl WorkRow {
    /// Where it lies.
    pub fn key(&self, place: &Place) -> Key {
        place.work_row(self.due, self.id)
    }
}

/// The most events of a publication row: what one PutEvents takes.
pub const MAX_PUBLICATION: usize = 10;

/// State changes to publish, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PublicationRow {
    /// Its id.
    pub id: Uuid,
    /// The region of the pipeline.
    pub region: String,
    /// The pipeline.
    pub pipeline: PipelineRef,
    /// The commit's time.
    pub at: Timestamp,
    /// At most [`MAX_PUBLICATION`].
    pub entries: Vec<Entry>,
    /// The record of a call, instead of state changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Box<Value>>,
}

/// One state change to publish.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The event's id: the same whenever it is sent again.
    pub id: Uuid,
    /// The changed item's revision.
    pub number: u64,
    /// The change.
    pub change: StateChange,
}

impl PublicationRow {
    /// Where it lies.
    pub fn key(&self, place: &Place) -> Key {
        place.publication_row(self.at, self.id)
    }

    /// Its events in EventBridge's envelope, in order.
    pub fn envelopes(&self, account: &str, source: &str) -> Vec<Value> {
        let place =
            wire::events::Place { account: account.to_owned(), region: self.region.clone(), source: source.to_owned() };
        let change = |entry: &Entry| wire::events::envelope(&entry.change, &place, &entry.id.to_string());
        let call = |record: &Value| wire::events::call_envelope(record, &place, &self.id.to_string(), self.at);
        self.entries.iter().map(change).chain(self.record.as_deref().map(call)).collect()
    }
}

/// The id of an action's deadline row: its completion can delete it without having read it.
pub fn deadline_row_id(pipeline: PipelineId, key: &ActionKey) -> Uuid {
    let name = format!("due/{}/{}/{:?}/{}/{}", key.execution, key.stage, key.slot, key.name, key.attempt);
    Uuid::new_v5(&pipeline.0, name.as_bytes())
}
