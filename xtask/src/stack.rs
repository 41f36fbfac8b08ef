//! The stack of Lambda functions: `build` for AWS, `emulate` into an emulator.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::{checks, root, step_with, target_dir};

/// The functions, as cargo and the template name them.
pub const FUNCTIONS: &[&str] = &[
    "advance-execution",
    "approval-callback",
    "dispatch-action",
    "poll-sources",
    "relay-outbox",
    "serve-api",
    "sweep",
    "trigger-intake",
];

/// What cargo-lambda needs of PyPI.
const CARGO_LAMBDA: &[&str] = &["cargo-lambda==1.9.2", "ziglang==0.17.1"];
/// What an emulator is spoken to with: never an account's own credentials.
const EMULATED: [(&str, &str); 4] = [
    ("AWS_ACCESS_KEY_ID", "test"),
    ("AWS_SECRET_ACCESS_KEY", "test"),
    ("AWS_DEFAULT_REGION", "us-east-1"),
    ("AWS_REGION", "us-east-1"),
];
/// The glibc of Amazon Linux 2023.
const GLIBC: &str = "2.34";

/// Builds the bootstraps for AWS, and the layer that holds the proxy: `arm64` (the default) or `x86_64`.
pub fn build(architecture: Option<&str>) -> anyhow::Result<()> {
    let target = match architecture.unwrap_or("arm64") {
        "arm64" => "aarch64-unknown-linux-gnu",
        "x86_64" => "x86_64-unknown-linux-gnu",
        other => bail!("no architecture {other:?}; there are arm64 and x86_64"),
    };
    step_with(Command::new("rustup").args(["target", "add", target]))?;
    let tools = checks::python_tools("cargo-lambda", CARGO_LAMBDA)?;
    let path = std::env::var("PATH").unwrap_or_default();
    let bin = tools.join("bin");
    let lambda = |package: &str, more: &[&str]| {
        step_with(
            Command::new(bin.join("cargo-lambda"))
                .args(["lambda", "build", "--package", package, "--target"])
                .arg(format!("{target}.{GLIBC}"))
                .args(["--lambda-dir", "target/lambda"])
                .args(more)
                .env("PATH", format!("{}:{path}", bin.display())),
        )
    };
    lambda("penstock-functions", &["--profile", "lambda"])?;
    lambda("penstock-cli", &["--release", "--features", "aws", "--extension"])?;
    proxy_layer(&bin.join("python"))
}

/// Lays the layer out as Lambda unpacks it below `/opt`, and packs it for whoever publishes it without SAM.
fn proxy_layer(python: &Path) -> anyhow::Result<()> {
    let built = root().join("target/lambda/extensions/penstock");
    let layer = root().join("target/lambda/proxy-layer");
    for (from, to) in
        [(built, "bin/penstock"), (root().join("infra/proxy-layer/penstock-proxy"), "extensions/penstock-proxy")]
    {
        let to = layer.join(to);
        std::fs::create_dir_all(to.parent().context("a place in the layer")?)?;
        std::fs::copy(&from, &to).with_context(|| format!("{} cannot be copied", from.display()))?;
    }
    let pack = "import shutil, sys; shutil.make_archive(sys.argv[1], 'zip', sys.argv[1])";
    step_with(Command::new(python).args(["-c", pack]).arg(&layer))
}

/// Builds the bootstraps for this machine (a dev build), deploys the stack into what answers at `AWS_ENDPOINT_URL`, and
/// prints its outputs as one JSON object.
pub fn emulate(stack: Option<&str>) -> anyhow::Result<String> {
    let endpoint = std::env::var("AWS_ENDPOINT_URL").unwrap_or_default();
    if !endpoint.starts_with("http://") {
        bail!(
            "AWS_ENDPOINT_URL must name an emulator, as http://127.0.0.1:4566: without one this would reach AWS itself"
        );
    }
    for (name, value) in [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_REGION", "us-east-1")]
    {
        if std::env::var_os(name).is_none() {
            bail!("{name} is not set; for an emulator {name}={value} does");
        }
    }
    deploy_into(&endpoint, stack.unwrap_or("penstock"))
}

/// Builds and deploys into the emulator at `endpoint`; the stack's outputs as one JSON object.
pub fn deploy_into(endpoint: &str, stack: &str) -> anyhow::Result<String> {
    bootstraps()?;
    deploy(endpoint, stack)
}

/// The command as it is released, with TLS and AWS's chain of credentials; kept where the tests' own build does not
/// replace it.
pub fn command() -> anyhow::Result<PathBuf> {
    let package = ["--package", "penstock-cli", "--features", "aws", "--bin", "penstock"];
    step_with(Command::new("cargo").args(["build", "--quiet"]).args(package))?;
    let place = target_dir().join("deployed");
    std::fs::create_dir_all(&place)?;
    let kept = place.join("penstock");
    std::fs::copy(target_dir().join("debug/penstock"), &kept).context("the command cannot be copied")?;
    // `target_dir` may be relative to the root, where the tests do not run.
    Ok(std::path::absolute(kept)?)
}

/// Puts each function's binary where the template looks for it.
fn bootstraps() -> anyhow::Result<()> {
    step_with(Command::new("cargo").args(["build", "--quiet", "--package", "penstock-functions", "--bins"]))?;
    for name in FUNCTIONS {
        let built = target_dir().join("debug").join(name);
        let place = root().join("target/lambda").join(name);
        std::fs::create_dir_all(&place)?;
        let bootstrap = place.join("bootstrap");
        let stripped = Command::new("strip").arg("-o").arg(&bootstrap).arg(&built).status();
        if !stripped.is_ok_and(|status| status.success()) {
            std::fs::copy(&built, &bootstrap).with_context(|| format!("{} cannot be copied", built.display()))?;
        }
    }
    Ok(())
}

/// A template whose code is unchanged is deployed again all the same: emulators forget.
fn deploy(endpoint: &str, stack: &str) -> anyhow::Result<String> {
    let aws = checks::clients()?.with_file_name("aws");
    let bucket = format!("{stack}-deployment");
    let quiet = |arguments: &[&str]| run(&aws, endpoint, arguments);
    // The bucket may be there from an earlier time.
    let _ = quiet(&["s3api", "create-bucket", "--bucket", &bucket]);
    let packaged = root().join("target/lambda/packaged.yaml");
    let shown = packaged.to_string_lossy().into_owned();
    quiet(&[
        "cloudformation",
        "package",
        "--template-file",
        "template.yaml",
        "--s3-bucket",
        &bucket,
        "--output-template-file",
        &shown,
    ])?;
    let architecture = if cfg!(target_arch = "aarch64") { "Architecture=arm64" } else { "Architecture=x86_64" };
    quiet(&[
        "cloudformation",
        "deploy",
        "--template-file",
        &shown,
        "--stack-name",
        stack,
        "--s3-bucket",
        &bucket,
        "--capabilities",
        "CAPABILITY_IAM",
        "CAPABILITY_AUTO_EXPAND",
        "--no-fail-on-empty-changeset",
        "--parameter-overrides",
        "Emulator=ministack",
        "RelayWindowSeconds=1",
        architecture,
    ])?;
    let outputs = quiet(&[
        "cloudformation",
        "describe-stacks",
        "--stack-name",
        stack,
        "--output",
        "json",
        "--query",
        "Stacks[0].Outputs[].{key:OutputKey,value:OutputValue}",
    ])?;
    as_object(&outputs)
}

fn run(aws: &Path, endpoint: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new(aws);
    // By the environment: `package` gives the option to no client of S3.
    command.args(arguments).current_dir(root()).env("AWS_ENDPOINT_URL", endpoint).env("AWS_PAGER", "");
    command.env("AWS_EC2_METADATA_DISABLED", "true");
    for (name, value) in EMULATED {
        command.env(name, value);
    }
    let output = command.output().context("the AWS CLI could not be started")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("aws {} failed: {}", arguments[..2.min(arguments.len())].join(" "), said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// `[{"key": …, "value": …}]` as one object.
fn as_object(outputs: &str) -> anyhow::Result<String> {
    let list: serde_json::Value = serde_json::from_str(outputs).context("the stack's outputs are not JSON")?;
    let mut object = serde_json::Map::new();
    for output in list.as_array().into_iter().flatten() {
        if let Some(key) = output["key"].as_str() {
            object.insert(key.to_owned(), output["value"].clone());
        }
    }
    if object.is_empty() {
        bail!("the stack has no outputs");
    }
    Ok(serde_json::Value::Object(object).to_string())
}
