//! `bench`: the functions' benchmarks, the API under load, then whole processes, as tables; `bench functions`: sizes and
//! speeds of the Lambda functions; `bench api`: the API alone; `bench stack`: the times of a stack in an emulator.

mod api;
mod functions;
mod http;
mod signed;

use std::process::Command;

use anyhow::bail;

use crate::{checks, step, step_with, target_dir};

/// Every benchmark, or one; `bench api` of a `penstock` that is built already if one is named behind it.
pub fn bench(only: Option<&str>, penstock: Option<&str>) -> anyhow::Result<()> {
    match (only, penstock) {
        (Some("functions"), _) => return functions::functions(),
        (Some("stack"), _) => return checks::stack_times(),
        (Some("api"), Some(penstock)) => return api::api(&std::path::absolute(penstock)?),
        (None | Some("api"), _) => {}
        (Some(other), _) => bail!("no benchmark named {other:?}; there are api, functions and stack"),
    }
    if only.is_none() {
        for package in ["penstock-model", "penstock-engine", "penstock-local"] {
            step("cargo", &["bench", "--quiet", "--package", package, "--benches"])?;
        }
    }
    step("cargo", &["build", "--quiet", "--release", "--bin", "penstock"])?;
    let penstock = target_dir().join("release/penstock");
    api::api(&penstock)?;
    if only.is_some() {
        return Ok(());
    }
    step_with(Command::new("python3").arg("tests/bench/whole_process.py").arg(penstock))?;
    functions::functions()?;
    checks::stack_times()
}
