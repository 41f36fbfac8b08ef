//! The ports in one process, the local stand-ins and the single-process host.

pub mod archive;
pub mod artifacts;
pub mod buildspec;
pub mod commands;
pub mod config;
pub mod deploy;
pub mod host;
pub mod http;
pub mod invoke;
pub mod process;
pub mod rules;
pub mod runner;
pub mod sign;
pub mod sources;
pub mod table;
pub mod vault;
