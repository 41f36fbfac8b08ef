//! One binary for all tests across crates.

mod architecture;
mod clients;
mod kill;
mod readme;
mod support;
