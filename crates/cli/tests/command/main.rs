//! The command from outside: what it prints, where, and how it ends.
#![allow(clippy::unwrap_used, missing_docs, reason = "what fails in a test shall stop it")]

mod audit;
mod conditions;
mod help;
mod init;
mod proxy;
mod run;
mod serve;
mod stand_ins;
mod support;
mod terminal;
mod validate;
mod webhook;
