//! Pure decisions about pipeline executions: no I/O, no clock, no randomness.
#![warn(clippy::wildcard_enum_match_arm)]

pub mod decide;
pub mod event;
pub mod explain;
pub mod invariants;
pub mod item;
pub mod key;
pub mod slice;
pub mod timeouts;
pub mod triggers;

pub use decide::{MAX_CONCURRENT_EXECUTIONS, MAX_PARALLEL_ACTIONS, decide, prefetch};
pub use event::*;
pub use explain::{Why, explain};
pub use item::*;
pub use key::*;
pub use slice::Slice;
