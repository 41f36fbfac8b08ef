//! The use cases (load, decide, commit, hand off), the ports they need, and what is stored.

pub mod limits;
pub mod ports;
