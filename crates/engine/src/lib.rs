//! Pure decisions about pipeline executions: no I/O, no clock, no randomness.
#![warn(clippy::wildcard_enum_match_arm)]

pub mod event;
pub mod item;
pub mod key;
pub mod slice;

pub use event::*;
pub use item::*;
pub use key::*;
pub use slice::Slice;
