//! The use cases (load, decide, commit, hand off), the ports they need, and what is stored.

pub mod action_types;
pub mod artifact_keys;
pub mod audit;
pub mod cleaning;
pub mod commit;
pub mod connections;
pub mod control;
pub mod dispatch;
pub mod driving;
pub mod executions;
pub mod expiring;
pub mod handoff;
pub mod hexadecimal;
pub mod intake;
pub mod jobs;
pub mod keys;
pub mod limits;
pub mod load;
pub mod logs;
pub mod pipelines;
pub mod ports;
pub mod retention;
pub mod revisions;
pub mod rows;
pub mod sealing;
pub mod sources;
pub mod state;
pub mod stored;
pub mod system;
pub mod tags;
pub mod views;
pub mod webhooks;

pub use control::{Applied, Beside, Control, ControlError, Handoff, Ports, Round};
