//! Every command of the README is run.

use std::path::Path;
use std::process::Command;

use crate::support::{Served, penstock, repository, root, succeed};

/// The lines of the README's shell blocks.
fn commands() -> Vec<String> {
    let page = std::fs::read_to_string(root().join("README.md")).expect("README.md");
    let mut inside = false;
    let mut found = Vec::new();
    for line in page.lines() {
        match (inside, line) {
            (false, "```sh") => inside = true,
            (true, "```") => inside = false,
            (true, command) => found.push(command.to_owned()),
            (false, _) => {}
        }
    }
    found
}

/// Runs a line as a person would type it.
fn shell(directory: &Path, line: &str, endpoint: &str) {
    let own = penstock();
    let own = own.parent().expect("a directory");
    let clients = std::env::var("PENSTOCK_TEST_PYTHON").map(|python| Path::new(&python).parent().map(Path::to_owned));
    let clients = clients.ok().flatten().unwrap_or_default();
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("sh");
    command.args(["-ec", &line.replace("http://127.0.0.1:7707", endpoint)]).current_dir(directory);
    command.env("PATH", format!("{}:{}:{path}", own.display(), clients.display()));
    command.env("PENSTOCK_ENDPOINT_URL", endpoint).env("AWS_EC2_METADATA_DISABLED", "true");
    for (name, value) in [("AUTHOR", "T"), ("COMMITTER", "T")] {
        command.env(format!("GIT_{name}_NAME"), value).env(format!("GIT_{name}_EMAIL"), "t@example.invalid");
    }
    succeed(&mut command);
}

#[test]
fn the_readmes_commands_work() {
    let directory = tempfile::tempdir().expect("a directory");
    repository(directory.path());
    let makefile = std::fs::read_to_string(root().join("Makefile")).expect("Makefile");
    let mut server: Option<Served> = None;
    let mut exports = String::new();
    let all = commands();
    assert!(all.len() > 12, "the README's shell blocks were not found: {all:?}");
    for line in all {
        let endpoint = server.as_ref().map_or("http://127.0.0.1:9", |server| &server.endpoint);
        if let Some(target) = line.strip_prefix("make ") {
            // This very test runs under `make test`; the demo has its own test below.
            assert!(makefile.contains(&format!("\n{target}:")), "the Makefile has no target {target}");
        } else if line.starts_with("cargo install") {
            assert!(root().join("crates/cli/Cargo.toml").exists(), "{line}");
        } else if line.starts_with("penstock serve") {
            server = Some(Served::start_with(directory.path(), ".penstock"));
        } else if line.starts_with("export ") {
            exports = format!("{exports}{line}; ");
        } else if line.starts_with("aws ") && std::env::var_os("PENSTOCK_TEST_PYTHON").is_none() {
            eprintln!("SKIPPED: {line}: PENSTOCK_TEST_PYTHON is not set; `make test` installs the AWS CLI");
        } else {
            shell(directory.path(), &format!("{exports}{line}"), endpoint);
        }
    }
}

#[test]
fn the_demo_runs() {
    let output = succeed(Command::new(env!("CARGO")).args(["xtask", "demo"]).current_dir(root()));
    assert!(output.contains("approval by signed URL, deploy"), "{output}");
}
