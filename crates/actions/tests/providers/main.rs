//! Providers against an emulator of AWS, as `make test` starts it.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests fail by panicking and say what they skip")]

mod build;
mod credentials;
mod files;
mod invoke;
mod setup;
mod told;
