//! The adapters against emulators: the ports' contracts, and what goes wrong on the way.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests fail by panicking and say what they skip")]

mod support;
mod table;
