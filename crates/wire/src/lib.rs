//! What outsiders see: API shapes and EventBridge details.

pub mod actions;
pub mod deploy_targets;
pub mod events;
pub mod executions;
pub mod pipelines;
pub mod state;

mod fields;

pub use events::{Place, envelope};
