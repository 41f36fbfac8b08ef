//! `bench`: the functions' benchmarks, then whole processes, as a table.

use crate::step;

/// Every benchmark.
pub fn bench() -> anyhow::Result<()> {
    for package in ["penstock-model", "penstock-engine", "penstock-local"] {
        step("cargo", &["bench", "--quiet", "--package", package])?;
    }
    Ok(())
}
