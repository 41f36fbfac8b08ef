//! `fuzz`: everything that reads bytes of strangers, under libFuzzer.

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use crate::{checks, root, step_with, target_dir};

const CARGO_FUZZ: &str = "0.13.2";
/// How long each target runs, in seconds, unless told.
const SECONDS: u32 = 60;
/// The most memory that a target may take, in MiB: a few inputs of the largest size, decoded.
const MEMORY_MIB: u32 = 1024;

/// Runs every target for so many seconds. What one finds lies in `fuzz/artifacts/` and fails the run.
pub fn fuzz(seconds: Option<&str>) -> anyhow::Result<()> {
    let seconds: u32 = match seconds {
        Some(seconds) => seconds.parse().with_context(|| format!("{seconds:?} is no number of seconds"))?,
        None => SECONDS,
    };
    let installed = checks::cargo_tool("cargo-fuzz", CARGO_FUZZ)?;
    let place = root().join("fuzz");
    // The versions that are released are the ones to try.
    std::fs::copy(root().join("Cargo.lock"), place.join("Cargo.lock"))?;
    let mut targets: Vec<String> = std::fs::read_dir(place.join("seeds"))?
        .map(|seed| Ok(seed?.file_name().to_string_lossy().into_owned()))
        .collect::<std::io::Result<_>>()?;
    targets.sort();
    targets.iter().try_for_each(|target| run(&installed, &place, target, seconds))
}

fn run(installed: &Path, place: &Path, target: &str, seconds: u32) -> anyhow::Result<()> {
    let (found, seeds) = (place.join("corpus").join(target), place.join("seeds").join(target));
    std::fs::create_dir_all(&found)?;
    step_with(
        Command::new(installed)
            .args(["run", "--fuzz-dir", "fuzz", "--target-dir"])
            .arg(target_dir().join("fuzz"))
            .arg(target)
            .args([&found, &seeds])
            .arg("--")
            .args([format!("-max_total_time={seconds}"), format!("-rss_limit_mb={MEMORY_MIB}")])
            .args(["-timeout=10", "-print_final_stats=1", "-print_funcs=0", "-verbosity=0"])
            // libFuzzer's instrumentation is not stable; the compiler is that of the project all the same.
            .env("RUSTC_BOOTSTRAP", "1"),
    )
}
