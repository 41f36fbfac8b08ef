//! Identifiers and counters.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $type(pub Uuid);

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $type {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

id!(
    /// One creation of a pipeline: what arrives late for a deleted pipeline never touches its namesake.
    PipelineId
);
id!(
    /// `pipelineExecutionId`.
    ExecutionId
);
id!(
    /// `actionExecutionId`: one attempt of an action or rule.
    ActionExecutionId
);

/// A pipeline's version: 1 at creation, one more at each successful update.
pub type Version = u32;

/// The place of an execution in its pipeline's order of starts, given inside the start's transaction.
pub type Ordinal = u64;

/// What the ids and tokens of one event derive from; kept when the event is decided anew.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seed(pub Uuid);

impl Seed {
    /// The id for one purpose within the event: the same purpose always gives the same id.
    pub fn id(&self, purpose: &str) -> Uuid {
        Uuid::new_v5(&self.0, purpose.as_bytes())
    }
}
