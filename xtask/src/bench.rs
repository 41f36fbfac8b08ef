//! `bench`: the functions' benchmarks, then whole processes, as a table.

use std::process::Command;

use crate::{step, step_with, target_dir};

/// Every benchmark.
pub fn bench() -> anyhow::Result<()> {
    for package in ["penstock-model", "penstock-engine", "penstock-local"] {
        step("cargo", &["bench", "--quiet", "--package", package, "--benches"])?;
    }
    step("cargo", &["build", "--quiet", "--release", "--bin", "penstock"])?;
    let penstock = target_dir().join("release/penstock");
    step_with(Command::new("python3").arg("tests/bench/whole_process.py").arg(penstock))
}
