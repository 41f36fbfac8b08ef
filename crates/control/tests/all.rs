//! Change detection over ports in memory: what starts a pipeline, how often, and with which commit.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod detection;
mod reading;
