//! What outsiders see: API shapes and EventBridge details.

pub mod events;

pub use events::{Place, envelope};
