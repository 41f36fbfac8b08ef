//! The `penstock` command.
#![allow(missing_docs, reason = "a command has no library surface; what the parts are for is said where they are")]

mod args;
mod client;
mod declaration;
mod exit;
mod generate;
mod init;
mod input;
mod output;
mod progress;
mod snippet;
mod validate;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};
use crate::exit::Exit;

fn main() -> ExitCode {
    match dispatch(Cli::parse()) {
        Ok(exit) => exit.into(),
        Err(error) => exit::report(&error).into(),
    }
}

fn dispatch(cli: Cli) -> anyhow::Result<Exit> {
    match cli.command {
        Command::Init(args) => init::run(&args),
        Command::Validate(args) => validate::run(&args),
        Command::Completions(args) => generate::completions(&args),
        Command::Man(args) => generate::man(&args),
        Command::Client(command) => client::run(&command),
        other => anyhow::bail!("not built in yet: {other:?}"),
    }
}
