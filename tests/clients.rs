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
    let standins = "[source.\"Source\"]\npath = \"src\"\n[bucket.\"out\"]\npath = \"out\"\n";
    std::fs::write(directory.join("penstock.toml"), standins).expect("a file");
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
    let mut command = Command::new(&python);
    command.args([
        "-m",
        "awscli",
        "codepipeline",
        "list-pipelines",
        "--output",
        "json",
        "--endpoint-url",
        &server.endpoint,
    ]);
    command.env("AWS_SHARED_CREDENTIALS_FILE", directory.path().join("data/credentials"));
    command.env("AWS_DEFAULT_REGION", "us-east-1").env("AWS_EC2_METADATA_DISABLED", "true");
    let answer: serde_json::Value = serde_json::from_str(&succeed(&mut command)).expect("JSON");
    assert_eq!(answer, serde_json::json!({ "pipelines": [] }));
}

/// A script of `tests/clients/` against a served directory; it must end with this line.
fn scenario(mut command: Command, script: &str, more: &[&str], last: &str) {
    let directory = tempfile::tempdir().expect("a directory");
    let server = served(directory.path());
    let script = root().join("tests/clients").join(script);
    command.arg(script).arg(&server.endpoint).arg(directory.path().join("data/credentials")).args(more);
    let output = succeed(&mut command);
    assert!(output.trim_end().ends_with(last), "{output}");
}

#[test]
fn boto3_calls_every_operation_in_json() {
    let Some(python) = python() else { return };
    scenario(Command::new(python), "boto3_operations.py", &["json"], "held: tokens");
}

#[test]
fn boto3_calls_every_operation_in_cbor() {
    let Some(python) = python() else { return };
    scenario(Command::new(python), "boto3_operations.py", &["cbor"], "held: tokens");
}

#[test]
fn the_aws_command_line_calls_every_operation() {
    let Some(python) = python() else { return };
    scenario(Command::new(python), "aws_cli_operations.py", &[], "held: everything");
}

/// Node, with the packages that `make test` installed.
fn node() -> Option<Command> {
    let Ok(packages) = std::env::var("PENSTOCK_TEST_JAVASCRIPT") else {
        eprintln!(
            "SKIPPED: PENSTOCK_TEST_JAVASCRIPT is not set; `make test` installs the AWS SDK for JavaScript and sets it"
        );
        return None;
    };
    let mut node = Command::new("node");
    node.env("PENSTOCK_TEST_JAVASCRIPT", packages).env("NODE_NO_WARNINGS", "1");
    Some(node)
}

#[test]
fn the_javascript_sdk_calls_every_operation_in_json() {
    let Some(node) = node() else { return };
    scenario(node, "javascript/scenario.mjs", &["json"], "held: everything");
}

#[test]
fn the_javascript_sdk_calls_every_operation_in_cbor() {
    let Some(node) = node() else { return };
    scenario(node, "javascript/scenario.mjs", &["cbor"], "held: everything");
}

#[test]
fn differences_to_moto_are_known() {
    let Some(python) = python() else { return };
    let has_moto = Command::new(&python).args(["-c", "import moto.server"]).output();
    if !has_moto.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: moto is not installed; `make test` installs it");
        return;
    }
    scenario(Command::new(python), "moto_differential.py", &[], "held: differences");
}

#[test]
fn the_sdks_own_retries_get_through_throttling() {
    let Some(python) = python() else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let server = Served::start_told(directory.path(), "data", &["--requests-per-second", "5"]);
    let mut script = Command::new(python);
    script.arg(root().join("tests/clients/boto3_throttled.py"));
    script.arg(&server.endpoint).arg(directory.path().join("data/credentials"));
    let output = succeed(&mut script);
    assert!(output.trim_end().ends_with("held: retries"), "{output}");
}

#[test]
fn the_aws_command_line_makes_and_runs_a_pipeline() {
    let Some(python) = python() else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let server = served(directory.path());
    let aws = |arguments: &[&str]| {
        let mut command = Command::new(&python);
        command.args(["-m", "awscli", "codepipeline"]).args(arguments).args([
            "--output",
            "json",
            "--endpoint-url",
            &server.endpoint,
        ]);
        command.env("AWS_SHARED_CREDENTIALS_FILE", directory.path().join("data/credentials"));
        command.env("AWS_DEFAULT_REGION", "us-east-1").env("AWS_EC2_METADATA_DISABLED", "true");
        let output = succeed(&mut command);
        serde_json::from_str::<serde_json::Value>(&output).unwrap_or_default()
    };
    let file = directory.path().join("pipeline.json");
    std::fs::write(&file, PIPELINE).expect("a file");
    let input = format!("file://{}", file.display());
    let made = aws(&["create-pipeline", "--cli-input-json", &input]);
    assert_eq!((&made["pipeline"]["version"], &made["tags"][0]["value"]), (&1.into(), &"a".into()));
    let started = aws(&["start-pipeline-execution", "--name", "web"]);
    let id = started["pipelineExecutionId"].as_str().expect("an id");
    let status = || {
        let found = aws(&["get-pipeline-execution", "--pipeline-name", "web", "--pipeline-execution-id", id]);
        found["pipelineExecution"]["status"].as_str().map(str::to_owned)
    };
    let mut tries = 0;
    while status().as_deref() != Some("Succeeded") {
        tries += 1;
        assert!(tries < 60, "the pipeline did not succeed");
    }
    let history =
        aws(&["list-action-executions", "--pipeline-name", "web", "--filter", &format!("pipelineExecutionId={id}")]);
    assert_eq!(history["actionExecutionDetails"][0]["actionName"], "Run");
    let arn = "arn:aws:codepipeline:us-east-1:123456789012:web";
    aws(&["tag-resource", "--resource-arn", arn, "--tags", "key=b,value=2"]);
    let tags = aws(&["list-tags-for-resource", "--resource-arn", arn]);
    assert_eq!(tags["tags"][0], serde_json::json!({ "key": "b", "value": "2" }));
    aws(&["delete-pipeline", "--name", "web"]);
    assert_eq!(aws(&["list-pipelines"])["pipelines"], serde_json::json!([]));
}

const PIPELINE: &str = r#"{ "tags": [{ "key": "team", "value": "a" }], "pipeline": {
  "name": "web", "roleArn": "arn:aws:iam::123456789012:role/penstock", "pipelineType": "V2",
  "artifactStore": { "type": "S3", "location": "artifacts" },
  "stages": [
    { "name": "Source", "actions": [{ "name": "Source", "outputArtifacts": [{ "name": "Code" }],
      "actionTypeId": { "category": "Source", "owner": "AWS", "provider": "CodeStarSourceConnection", "version": "1" },
      "configuration": { "FullRepositoryId": "g/p", "BranchName": "main",
        "ConnectionArn": "arn:aws:codeconnections:us-east-1:123456789012:connection/11111111-2222-3333-4444-555555555555" } }] },
    { "name": "Build", "actions": [{ "name": "Run", "commands": ["true"], "inputArtifacts": [{ "name": "Code" }],
      "actionTypeId": { "category": "Compute", "owner": "AWS", "provider": "Commands", "version": "1" } }] }
  ] } }"#;
