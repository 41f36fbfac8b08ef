//! One handler a function: decode, one use case, encode.

pub mod advance_execution;
pub mod approval_callback;
pub mod dispatch_action;
pub mod poll_sources;
pub mod relay_outbox;
pub mod serve_api;
pub mod sweep;
pub mod trigger_intake;
