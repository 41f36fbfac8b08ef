//! The `penstock` command.
#![allow(missing_docs, reason = "a command has no library surface; what the parts are for is said where they are")]

mod args;
mod client;
mod declaration;
mod doctor;
mod environment;
mod exit;
mod generate;
mod host;
mod init;
mod input;
mod log;
mod output;
mod progress;
mod proxy;
mod run;
mod serve;
mod server;
mod snippet;
mod validate;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};
use crate::exit::Exit;

fn main() -> ExitCode {
    // A supervising copy: nothing of the command is made for it.
    if std::env::args_os().nth(1).is_some_and(|word| word == local::process::SUPERVISE) {
        return ExitCode::from(u8::try_from(local::process::supervise()).unwrap_or(1));
    }
    match dispatch(Cli::parse()) {
        Ok(exit) => exit.into(),
        Err(error) => exit::report(&error).into(),
    }
}

fn dispatch(cli: Cli) -> anyhow::Result<Exit> {
    match cli.command {
        Command::Init(args) => init::run(&args),
        Command::Validate(args) => validate::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Completions(args) => generate::completions(&args),
        Command::Man(args) => generate::man(&args),
        Command::Run(args) => run::run(&args),
        Command::Client(command) => client::run(&command),
        Command::Serve(args) => serve::run(&args),
        Command::Proxy(args) => proxy::run(&args),
    }
}
