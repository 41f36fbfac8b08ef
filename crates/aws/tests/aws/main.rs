//! The adapters against emulators: the ports' contracts, and what goes wrong on the way.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "tests fail by panicking and say what they skip"
)]

mod artifacts;
mod bus;
mod configuration;
mod drivers;
mod front;
mod layout;
mod link_keys;
mod policy_object;
mod sealer;
mod support;
mod table;
mod table_faults;
