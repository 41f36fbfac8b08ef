//! What `decide` does, told in scripts, and what must always hold.
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a script that makes no sense ends the test")]

mod chaos;
mod matrix;
mod pipelines;
mod play;
mod properties;
mod scenarios;
mod world;
