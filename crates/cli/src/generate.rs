//! Shell completions and manual pages, made from the command line's own description.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use clap::CommandFactory;

use crate::args::{Cli, CompletionsArgs, ManArgs};
use crate::exit::Exit;

/// `penstock completions SHELL`.
pub fn completions(args: &CompletionsArgs) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "penstock", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(Exit::Succeeded)
}

/// `penstock man [DIR]`.
pub fn man(args: &ManArgs) -> anyhow::Result<Exit> {
    match &args.dir {
        Some(dir) => write_pages(dir)?,
        None => clap_mangen::Man::new(Cli::command()).render(&mut std::io::stdout())?,
    }
    Ok(Exit::Succeeded)
}

fn write_pages(dir: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    clap_mangen::generate_to(Cli::command(), dir).with_context(|| format!("cannot write to {}", dir.display()))
}
