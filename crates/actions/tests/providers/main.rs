//! Providers against an emulator of AWS, as `make test` starts it.

mod build;
mod files;
mod invoke;
mod setup;
mod told;
