//! What the use cases need of the world. Hosts bring implementations: on AWS, in one process, in memory.

use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;
use engine::{ActionExecution, ActionKey, ArtifactLocation, Outcome, SourceOverride, Started};
use model::{Action, ExecutionId, PipelineId, PipelineName, Seed, StringMap, Timestamp};

/// What went wrong at a port, by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// A condition did not hold: load again and decide anew under a new token.
    #[error("a stored item changed meanwhile")]
    Conflict,
    /// It is not there.
    #[error("{0} was not found")]
    NotFound(String),
    /// Too fast: wait and repeat.
    #[error("throttled")]
    Throttled,
    /// Not reachable, or the outcome is unknown: repeat byte for byte.
    #[error("{0} is unavailable")]
    Unavailable(String),
    /// What is stored cannot be read.
    #[error("{0} is corrupt")]
    Corrupt(String),
    /// Written by a newer Penstock: leave it to one.
    #[error("{0} was written by a newer Penstock")]
    Newer(String),
    /// The request breaks a limit of every implementation: a fault of the caller.
    #[error("{0}")]
    Invalid(String),
}

/// Where an item lies: a partition, and its place in the partition's order (by bytes).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key {
    /// The partition.
    pub pk: String,
    /// The place in it.
    pub sk: String,
}

/// An item as stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stored {
    /// How often it was written: 1 at its creation.
    pub revision: u64,
    /// Its content.
    pub body: Bytes,
}

/// What must hold for a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Condition {
    /// Nothing lies there.
    Absent,
    /// What lies there has this revision.
    Revision(u64),
    /// Something lies there.
    Present,
    /// Nothing must hold.
    Always,
}

/// One write of a transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Write {
    /// Put an item.
    Put {
        /// Where.
        key: Key,
        /// With this revision.
        revision: u64,
        /// This.
        body: Bytes,
        /// If.
        condition: Condition,
    },
    /// Remove an item; removing what is not there is no error unless the condition says so.
    Delete {
        /// Where.
        key: Key,
        /// If.
        condition: Condition,
    },
    /// Write nothing.
    Check {
        /// Where.
        key: Key,
        /// If.
        condition: Condition,
    },
}

impl Write {
    /// What it touches.
    pub fn key(&self) -> &Key {
        match self {
            Self::Put { key, .. } | Self::Delete { key, .. } | Self::Check { key, .. } => key,
        }
    }
}

/// The most writes of a transaction.
pub const MAX_WRITES: usize = 100;
/// What DynamoDB counts of an item beside its key and body at most: its attributes' names and its revision.
const ITEM_OVERHEAD_BYTES: usize = 64;
/// The most items of one [`Table::get_many`].
pub const MAX_READS: usize = 100;
/// The most bytes of a transaction: keys and bodies. DynamoDB's 4 MiB.
pub const MAX_TRANSACTION_BYTES: usize = 4 * 1024 * 1024 - MAX_WRITES * ITEM_OVERHEAD_BYTES;
/// The most bytes of an item: key and body. DynamoDB's 400 KiB.
pub const MAX_ITEM_BYTES: usize = 400 * 1024 - ITEM_OVERHEAD_BYTES;

/// A stretch of a partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Query {
    /// The partition.
    pub pk: String,
    /// What every place begins with.
    pub prefix: String,
    /// Start behind this place (in the direction of the query).
    pub after: Option<String>,
    /// The most items of a page; at least 1.
    pub limit: usize,
    /// Greatest first.
    pub backward: bool,
}

/// A page of a query.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Page {
    /// The items, in order.
    pub items: Vec<(Key, Stored)>,
    /// Whether there may be more behind the last.
    pub more: bool,
}

/// The table that holds everything.
///
/// `transact` makes its writes visible all at once or not at all, and `get` and `query` see every transaction
/// acknowledged before. What was acknowledged may still be lost in a crash until `flush` returned: therefore nothing may
/// leave the process (a started program, a published event, an answer) before `flush`. A table whose transactions are
/// durable at once flushes for nothing.
#[async_trait]
pub trait Table: Send + Sync {
    /// One item, read consistently.
    async fn get(&self, key: &Key) -> Result<Option<Stored>, PortError>;

    /// Several items, each read consistently (not all at one moment), in the order of the keys: distinct ones, at
    /// most [`MAX_READS`]. One request where the table has such.
    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Stored>>, PortError> {
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            found.push(self.get(key).await?);
        }
        Ok(found)
    }

    /// A page of items, read consistently.
    async fn query(&self, query: &Query) -> Result<Page, PortError>;

    /// All writes or none. At most one write an item, [`MAX_WRITES`], [`MAX_TRANSACTION_BYTES`], [`MAX_ITEM_BYTES`]
    /// (else `Invalid`). `token` names this exact request: repeated byte for byte within ten minutes it does nothing more.
    async fn transact(&self, token: &str, writes: &[Write]) -> Result<(), PortError>;

    /// Returns once all that was acknowledged before the call survives a crash.
    async fn flush(&self) -> Result<(), PortError>;
}

/// Where artifacts lie.
#[async_trait]
pub trait Artifacts: Send + Sync {
    /// Stores a file; returns its SHA-256 (hexadecimal) and size in bytes.
    async fn store(&self, bucket: &str, key: &str, from: &Path) -> Result<(String, u64), PortError>;

    /// Writes an object to a file that must not exist yet.
    async fn fetch(&self, bucket: &str, key: &str, to: &Path) -> Result<(), PortError>;
}

/// An event for outsiders, in EventBridge's envelope.
#[derive(Clone, PartialEq, Debug)]
pub struct PublicEvent {
    /// The envelope, complete: `version`, `id`, `detail-type`, `source`, `account`, `time`, `region`, `resources`, `detail`.
    pub envelope: serde_json::Value,
}

/// Where events go.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Publishes up to ten events; the indices of those not accepted.
    async fn publish(&self, events: &[PublicEvent]) -> Result<Vec<usize>, PortError>;
}

/// The time.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// Where ids and tokens come from.
pub trait Entropy: Send + Sync {
    /// A fresh seed that nobody can guess.
    fn seed(&self) -> Seed;
}

/// An action to run, with everything resolved. Its `Debug` does not show the configuration, in which secrets are.
#[derive(Clone, PartialEq)]
pub struct ActionRequest {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// This creation of it.
    pub pipeline_id: PipelineId,
    /// The account, 12 digits.
    pub account: String,
    /// The pipeline's region.
    pub region: String,
    /// The execution.
    pub execution: ExecutionId,
    /// The action execution as claimed: its id, key, deadline, inputs and outputs.
    pub action: ActionExecution,
    /// What is declared, with configuration, commands and environment variables resolved. A rule stands here as an action
    /// of category `Rule`.
    pub declaration: Action,
    /// The pipeline's default role, or the action's own.
    pub role_arn: String,
    /// The key of the artifact store, where it names one.
    pub encryption_key: Option<String>,
    /// For a pipeline with a store in each region: the bucket of that of the action's region. Inputs in others are made in
    /// other regions.
    pub near_bucket: Option<String>,
    /// For a source action: the revision to bring instead of the newest.
    pub source_override: Option<SourceOverride>,
    /// For a source action of an execution that a push started: the commit pushed. An override wins over it.
    pub pushed_commit: Option<String>,
    /// Where an input's source revision is known: artifact name → revision.
    pub input_revisions: StringMap,
    /// When it began to wait at its provider, for polls.
    pub external_id: Option<String>,
    /// What a function gave to be called again with, for the call that it is meant for.
    pub continuation_token: Option<String>,
}

impl std::fmt::Debug for ActionRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let fields = (&self.pipeline, &self.execution, &self.action);
        f.debug_tuple("ActionRequest").field(&fields.0).field(&fields.1).field(&fields.2).finish_non_exhaustive()
    }
}

/// How far a provider came.
#[derive(Clone, Debug, PartialEq)]
pub enum ActionReply {
    /// It ended.
    Ended(Box<Outcome>),
    /// It goes on by itself; someone reports its end, or it is polled.
    Pending {
        /// What to tell people meanwhile.
        started: Started,
        /// When to ask again; none where a report comes by itself (an approval, a job).
        poll_at: Option<Timestamp>,
    },
}

/// Runs actions and rules.
#[async_trait]
pub trait ActionRunner: Send + Sync {
    /// Starts an action. May take as long as the action does. Errors of the action are outcomes, not errors here.
    async fn start(&self, request: ActionRequest) -> ActionReply;

    /// Asks for news of an action that `start` left pending.
    async fn poll(&self, request: ActionRequest) -> ActionReply;

    /// Leaves an action: ends its program or stops waiting for it. Best effort; unknown actions are no error.
    async fn end(&self, key: &ActionKey);
}

/// An artifact's location under the key it will have.
pub fn artifact_location(name: &str, bucket: &str, key: String) -> ArtifactLocation {
    ArtifactLocation { name: name.into(), bucket: bucket.into(), key, digest: None, size: None, revision: None }
}
