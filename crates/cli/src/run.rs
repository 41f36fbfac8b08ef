//! `penstock run`: one pipeline to its end in this process.

mod approvals;
mod begin;
mod conditions;
mod follow;
mod prepare;
mod signals;
mod view;

use anyhow::Context;

use crate::args::RunArgs;
use crate::exit::Exit;

/// Runs the pipeline of a file; how its execution ended.
///
/// # Errors
/// The input cannot be used, or this machine fails.
pub fn run(args: &RunArgs) -> anyhow::Result<Exit> {
    let Some(prepared) = prepare::prepare(args)? else { return Ok(Exit::Unusable) };
    crate::log::start(tracing::level_filters::LevelFilter::ERROR)?;
    let runtime = runtime()?;
    let ended = runtime.block_on(follow::execute(prepared, args.format));
    // What still blocks (a hung file system) must not keep the terminal.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    ended
}

/// How many files and archives are worked on at a time; each thread keeps memory of its own.
const BLOCKING_THREADS: usize = 16;

/// What everything asynchronous runs on: two threads are enough for what only waits for programs and disks.
///
/// # Errors
/// The system gives no threads.
pub fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()
        .context("cannot start the threads to work with")
}
