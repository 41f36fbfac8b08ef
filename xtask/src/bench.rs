//! `bench`: the functions' benchmarks, then whole processes, as a table; `bench functions`: sizes and speeds of the Lambda
//! functions.

mod functions;
mod http;

use std::process::Command;

use anyhow::bail;

use crate::{step, step_with, target_dir};

/// Every benchmark, or one.
pub fn bench(only: Option<&str>) -> anyhow::Result<()> {
    match only {
        Some("functions") => return functions::functions(),
        Some(other) => bail!("no benchmark named {other:?}; there is functions"),
        None => {}
    }
    for package in ["penstock-model", "penstock-engine", "penstock-local"] {
        step("cargo", &["bench", "--quiet", "--package", package, "--benches"])?;
    }
    step("cargo", &["build", "--quiet", "--release", "--bin", "penstock"])?;
    let penstock = target_dir().join("release/penstock");
    step_with(Command::new("python3").arg("tests/bench/whole_process.py").arg(penstock))?;
    functions::functions()
}
