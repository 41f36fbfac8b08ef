//! One binary for all tests across crates.
#![expect(clippy::expect_used, clippy::print_stderr, reason = "a test fails by panicking, and says what it skipped")]

mod architecture;
mod clients;
mod hostile;
mod kill;
mod readme;
mod rust_sdk;
mod rust_sdk_partners;
mod rust_sdk_rest;
mod stack;
mod support;
