//! Chores that need an `if`: `cargo xtask demo|test|e2e|lint|bench|fuzz|emulators|build|emulate`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool for developers")]

mod bench;
mod checks;
mod demo;
mod emulators;
mod fuzz;
mod stack;

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, bail};

fn main() -> ExitCode {
    let chore = std::env::args().nth(1).unwrap_or_default();
    let argument = std::env::args().nth(2);
    let done = match chore.as_str() {
        "demo" => demo::demo(),
        "test" => checks::test(),
        "e2e" => checks::e2e(),
        "lint" => checks::lint(),
        "bench" => bench::bench(argument.as_deref(), std::env::args().nth(3).as_deref()),
        "fuzz" => fuzz::fuzz(argument.as_deref()),
        "emulators" => emulators::emulators(&std::env::args().skip(2).collect::<Vec<_>>()),
        "build" => stack::build(argument.as_deref()),
        "emulate" => stack::emulate(argument.as_deref()).map(|outputs| println!("{outputs}")),
        other => Err(anyhow::anyhow!(
            "no chore named {other:?}; there are demo, test, e2e, lint, bench, fuzz, emulators, build, emulate"
        )),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask {chore}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The project's root.
fn root() -> PathBuf {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    own.parent().map(PathBuf::from).unwrap_or(own)
}

/// Where cargo puts what it builds.
fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Runs a command in the project's root, its output shown.
fn step(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    step_with(Command::new(program).args(arguments))
}

fn step_with(command: &mut Command) -> anyhow::Result<()> {
    let words: Vec<_> = std::iter::once(command.get_program()).chain(command.get_args()).collect();
    let shown = words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    eprintln!("\n$ {shown}");
    let status = command.current_dir(root()).status().with_context(|| format!("{shown} could not be started"))?;
    if !status.success() {
        bail!("{shown} failed ({status})");
    }
    Ok(())
}
