//! In-memory ports, contract suites, the deterministic simulator and its checkers.

pub mod actions;
pub mod artifacts;
pub mod bus;
pub mod clock;
pub mod contract;
pub mod detection;
pub mod emulators;
pub mod entropy;
pub mod memory;
pub mod requests;
pub mod sealing;
pub mod sim;
