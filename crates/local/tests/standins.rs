//! The local stand-ins, with real archives, real git repositories and real programs.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails where it cannot go on")]

#[path = "standins/action.rs"]
mod action;
#[path = "standins/archive.rs"]
mod archive;
#[path = "standins/codebuild.rs"]
mod codebuild;
#[path = "standins/commands.rs"]
mod commands;
#[path = "standins/deploy.rs"]
mod deploy;
#[path = "standins/invoke.rs"]
mod invoke;
#[path = "standins/process.rs"]
mod process;
#[path = "standins/runner.rs"]
mod runner;
#[path = "standins/sources.rs"]
mod sources;
