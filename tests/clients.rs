//! Clients that nobody here wrote, against a served data directory.

use std::process::Command;

use crate::support::{Served, repository, root, succeed};

/// The Python that `make test` installed the clients for.
fn python() -> Option<String> {
    let python = std::env::var("PENSTOCK_TEST_PYTHON").ok();
    if python.is_none() {
        eprintln!("SKIPPED: PENSTOCK_TEST_PYTHON is not set; `make test` installs boto3 and sets it");
    }
    python
}

fn served(directory: &std::path::Path) -> Served {
    repository(&directory.join("src"));
    std::fs::write(directory.join("penstock.toml"), "[source.\"Source\"]\npath = \"src\"\n").expect("a file");
    Served::start(directory)
}

#[test]
fn boto3_drives_pipelines_from_creation_to_deletion() {
    let Some(python) = python() else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let server = served(directory.path());
    let script = root().join("tests/clients/boto3_scenario.py");
    let mut scenario = Command::new(python);
    scenario.arg(script).arg(&server.endpoint).arg(directory.path().join("data/credentials"));
    let output = succeed(&mut scenario);
    assert!(output.trim_end().ends_with("held: deletion"), "{output}");
}

#[test]
fn boto3_puts_webhooks_and_deliveries_start_pipelines() {
    let Some(python) = python() else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let server = served(directory.path());
    let script = root().join("tests/clients/boto3_webhooks.py");
    let mut webhooks = Command::new(python);
    webhooks.arg(script).arg(&server.endpoint).arg(directory.path().join("data/credentials"));
    let output = succeed(&mut webhooks);
    assert!(output.trim_end().ends_with("held: deletion"), "{output}");
}

#[test]
fn the_aws_command_line_lists_pipelines() {
    let Some(python) = python() else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let server = served(directory.path());
    let aws = std::path::Path::new(&python).with_file_name("aws");
    let mut command = Command::new(aws);
    command.args(["codepipeline", "list-pipelines", "--output", "json", "--endpoint-url", &server.endpoint]);
    command.env("AWS_SHARED_CREDENTIALS_FILE", directory.path().join("data/credentials"));
    command.env("AWS_DEFAULT_REGION", "us-east-1").env("AWS_EC2_METADATA_DISABLED", "true");
    let answer: serde_json::Value = serde_json::from_str(&succeed(&mut command)).expect("JSON");
    assert_eq!(answer, serde_json::json!({ "pipelines": [] }));
}
