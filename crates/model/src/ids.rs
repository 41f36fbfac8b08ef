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

    /// Ids for the things of one purpose within the event, one after the other: always the same ones, in this order.
    pub fn ids(&self, purpose: &str) -> SeedIds {
        SeedIds { first: self.id(purpose), given: 0 }
    }
}

/// Ids that follow from a first one, which costs a digest: the others differ from it in their last 32 bits.
#[derive(Clone, Debug)]
pub struct SeedIds {
    first: Uuid,
    given: u32,
}

impl SeedIds {
    /// An id that was not given before.
    pub fn next_id(&mut self) -> Uuid {
        let id = Uuid::from_u128(self.first.as_u128() ^ u128::from(self.given));
        self.given += 1;
        id
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_same_things_get_the_same_ids_and_no_two_the_same() {
        let seed = Seed(Uuid::from_u128(7));
        let some = |purpose: &str| {
            let mut ids = seed.ids(purpose);
            (0..1_000).map(|_| ids.next_id()).collect::<Vec<_>>()
        };
        assert_eq!(some("Build/RunOrder(1)"), some("Build/RunOrder(1)"));
        let all: BTreeSet<Uuid> = some("Build/RunOrder(1)").into_iter().chain(some("Build/RunOrder(2)")).collect();
        assert_eq!(all.len(), 2_000);
    }
}
