//! `lint` and `test`, with the tools they need installed below `.tools/`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use crate::emulators::Emulators;
use crate::{root, stack, step, step_with};

const CARGO_DENY: &str = "0.20.2";
/// What the tests with real clients need of PyPI.
const CLIENTS: &[&str] = &["boto3==1.44.5", "awscli==1.46.3", "moto[server]==5.2.5"];

/// What reads templates as CloudFormation and SAM do.
const CFN_LINT: &[&str] = &["cfn-lint==1.58.0"];

/// rustfmt, clippy with warnings as errors, cfn-lint, cargo deny.
pub fn lint() -> anyhow::Result<()> {
    step("cargo", &["fmt", "--all", "--check"])?;
    step("cargo", &["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"])?;
    // With everything that is left out where only this machine is worked on.
    let all =
        ["clippy", "--quiet", "--workspace", "--all-targets", "--features", "penstock-cli/aws", "--", "-D", "warnings"];
    step("cargo", &all)?;
    let tools = python_tools("cfn-lint", CFN_LINT)?;
    step_with(Command::new(tools.join("bin/cfn-lint")).args([
        "template.yaml",
        "infra/forwarder.yaml",
        "infra/proxy-layer.yaml",
    ]))?;
    let deny = cargo_tool("cargo-deny", CARGO_DENY)?;
    step_with(Command::new(deny).args(["--log-level", "error", "check", "bans", "licenses", "sources"]))
}

/// Lint, then every test. The test runner's own closing lines stand last.
pub fn test() -> anyhow::Result<()> {
    lint()?;
    tests(&["test", "--workspace", "--no-fail-fast"])
}

/// The deployed stack's own tests only.
pub fn e2e() -> anyhow::Result<()> {
    tests(&["test", "--package", "penstock-tests", "stack::", "--", "--nocapture"])
}

/// How long the main job takes from step to step, in a stack of dev builds in an emulator.
pub fn stack_times() -> anyhow::Result<()> {
    tests(&["test", "--package", "penstock-tests", "stack::an_object_goes", "--", "--nocapture"])
}

/// Runs tests with the clients installed, the emulators up and the stack deployed into one of them.
fn tests(arguments: &[&str]) -> anyhow::Result<()> {
    let python = clients()?;
    let emulators = Emulators::start()?;
    let done = stack_and_tests(&emulators, &python, arguments);
    emulators.stop(done.is_err());
    done
}

fn stack_and_tests(emulators: &Emulators, python: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let ministack = emulators.variable("PENSTOCK_TEST_MINISTACK").context("MiniStack is not up")?;
    let outputs = stack::deploy_into(ministack, "penstock")?;
    let command = stack::command()?;
    let mut tests = Command::new("cargo");
    emulators.give_to(&mut tests);
    step_with(
        tests
            .args(arguments)
            .env("PENSTOCK_TEST_PYTHON", python)
            .env("PENSTOCK_TEST_JAVASCRIPT", javascript()?)
            .env("PENSTOCK_TEST_STACK", outputs)
            .env("PENSTOCK_TEST_COMMAND", command),
    )
}

/// A tool of cargo's as pinned, built once below `.tools/` (without optimisation: that is the quicker way to its answer).
pub fn cargo_tool(name: &str, version: &str) -> anyhow::Result<PathBuf> {
    let tools = root().join(".tools");
    let installed = tools.join("bin").join(name);
    let mark = tools.join(format!("{name}-{version}"));
    if !(installed.exists() && mark.exists()) {
        let place = tools.to_string_lossy().into_owned();
        let arguments = ["install", "--quiet", "--locked", "--debug", "--root", &place, name, "--version", version];
        step("cargo", &arguments)?;
        std::fs::write(mark, "")?;
    }
    Ok(installed)
}

/// A Python with the AWS clients, made once below `.tools/`.
pub fn clients() -> anyhow::Result<PathBuf> {
    Ok(python_tools("clients", CLIENTS)?.join("bin/python"))
}

/// A virtual environment with pinned packages, made once below `.tools/`.
pub fn python_tools(name: &str, packages: &[&str]) -> anyhow::Result<PathBuf> {
    let place = root().join(".tools").join(name);
    let mark = place.join("installed");
    let wanted = packages.join("\n");
    if std::fs::read_to_string(&mark).is_ok_and(|installed| installed == wanted) {
        return Ok(place);
    }
    step_with(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&place))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    step_with(Command::new(place.join("bin/python")).args(pip).args(packages))?;
    std::fs::write(mark, wanted)?;
    Ok(place)
}

/// A folder with the packages of the JavaScript client, as pinned by `tests/clients/javascript`.
fn javascript() -> anyhow::Result<PathBuf> {
    let (pinned, place) = (root().join("tests/clients/javascript"), root().join(".tools/javascript"));
    let lock = std::fs::read(pinned.join("package-lock.json"))?;
    let mark = place.join("installed");
    if std::fs::read(&mark).is_ok_and(|installed| installed == lock) {
        return Ok(place);
    }
    std::fs::create_dir_all(&place)?;
    for file in ["package.json", "package-lock.json"] {
        std::fs::copy(pinned.join(file), place.join(file))?;
    }
    let arguments = ["ci", "--silent", "--no-audit", "--no-fund", "--omit-lockfile-registry-resolved"];
    step_with(Command::new("npm").args(arguments).arg("--prefix").arg(&place))?;
    std::fs::write(mark, lock)?;
    Ok(place)
}
