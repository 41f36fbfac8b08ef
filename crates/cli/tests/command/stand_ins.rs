//! What a run makes of declarations and of `penstock.toml` before anything starts.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::run::{commands, pipeline, project};
use super::support::{files, run, scratch};

#[test]
fn a_declaration_that_an_api_gave_runs_without_its_secrets() {
    let mut declared = pipeline(&[("Build", &[commands("Compile", &["true"])])]);
    let source = &mut declared["stages"][0]["actions"][0];
    source["actionTypeId"] = json!({"category": "Source", "owner": "ThirdParty", "provider": "GitHub", "version": "1"});
    source["configuration"] = json!({
        "Owner": "acme", "Repo": "web", "Branch": "main", "OAuthToken": "****", "PollForSourceChanges": "false"
    });
    let dir = project(&declared);
    for _ in 0..2 {
        let ended = run(dir.path(), &["run", "pipeline.json"]);
        assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    }
    declared["stages"][0]["actions"][0]["name"] = "Fetch".into();
    files(dir.path(), &[("pipeline.json", &declared.to_string())]);
    let ended = run(dir.path(), &["run", "pipeline.json"]);
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
}

#[test]
fn a_stand_in_under_a_mistyped_name_is_warned_of() {
    let dir = project(&pipeline(&[("Build", &[commands("Compile", &["true"])])]));
    for (config, warned) in [
        (
            "[source.Chekout]\npath = '.'\n",
            r#"[source."Chekout"] stands in for no source action; did you mean "Checkout"?"#,
        ),
        (
            "[source.'web/Other']\npath = '.'\n",
            r#"[source."web/Other"] stands in for no source action of the pipeline, which has Checkout"#,
        ),
        ("[source.'api/Other']\npath = '.'\n", ""),
        ("[source.Other]\npath = '.'\n[source.Checkout]\npath = '.'\n", ""),
    ] {
        files(dir.path(), &[("penstock.toml", config)]);
        let ended = run(dir.path(), &["run", "pipeline.json"]);
        assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
        assert!(ended.stderr.contains(warned) && ended.stderr.is_empty() == warned.is_empty(), "{}", ended.stderr);
    }
}

/// A pipeline whose source is this object of a bucket, which is the directory `files`.
fn reading_object(key: &str, build: &[Value]) -> TempDir {
    let mut declared = pipeline(&[("Build", build)]);
    let source = &mut declared["stages"][0]["actions"][0];
    source["actionTypeId"] = json!({"category": "Source", "owner": "AWS", "provider": "S3", "version": "1"});
    source["configuration"] = json!({"S3Bucket": "in", "S3ObjectKey": key, "PollForSourceChanges": "false"});
    let dir = scratch();
    let config = "[bucket.in]\npath = 'files'\n";
    files(dir.path(), &[("pipeline.json", &declared.to_string()), ("penstock.toml", config), ("files/k/a.txt", "a\n")]);
    dir
}

#[test]
fn an_object_that_is_not_there_is_said_before_anything_starts() {
    let dir = reading_object("k/app.zip", &[commands("Compile", &["true"])]);
    let ended = run(dir.path(), &["run", "pipeline.json"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("no object `k/app.zip` is in") && ended.stderr.contains("there is a.txt"),
        "{}",
        ended.stderr
    );
    let dir = reading_object("app.zip", &[commands("Compile", &["cat k/a.txt"])]);
    let ended = run(dir.path(), &["run", "pipeline.json"]);
    assert!(ended.code == 0 && ended.stdout.contains("; all files below "), "{}{}", ended.stdout, ended.stderr);
}

#[test]
fn a_variables_value_has_1_to_1000_characters() {
    let mut declared = pipeline(&[("Build", &[commands("Compile", &["true"])])]);
    declared["variables"] = json!([{"name": "Q", "defaultValue": "x"}]);
    let dir = project(&declared);
    for (value, length) in [(String::new(), 0), ("x".repeat(1001), 1001)] {
        let ended = run(dir.path(), &["run", "pipeline.json", "--variable", &format!("Q={value}")]);
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{}", ended.stderr);
        let said = format!("--variable Q: the value has {length} characters; it can have 1 to 1000");
        assert!(ended.stderr.contains(&said), "{}", ended.stderr);
    }
}

#[test]
fn secrets_that_cannot_be_read_are_said_all_at_once_before_anything_starts() {
    let mut compile = commands("Compile", &["true"]);
    let secret = |name: &str| json!({"name": name, "value": name, "type": "SECRETS_MANAGER"});
    compile["environmentVariables"] = json!([secret("file"), secret("unset"), secret("there")]);
    let buildspec = "version: 0.2\nenv: {secrets-manager: {A: 'untold:key'}, parameter-store: {B: '/p'}}\n\
                     phases: {build: {commands: ['true']}}\n";
    let build = json!({
        "name": "Spec", "actionTypeId": {"category": "Build", "owner": "AWS", "provider": "CodeBuild", "version": "1"},
        "configuration": {"ProjectName": "p", "BuildspecOverride": buildspec}, "inputArtifacts": [{"name": "Source"}]
    });
    let dir = project(&pipeline(&[("Build", &[compile, build])]));
    let config =
        "[secret.file]\nfile = 'missing'\n[secret.unset]\nenv = 'NOBODY_SETS_THIS'\n[secret.there]\nvalue = 'x'\n";
    files(dir.path(), &[("penstock.toml", config)]);
    let ended = run(dir.path(), &["run", "pipeline.json"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{}", ended.stderr);
    for needed in [
        "the secret `file` is in ",
        "missing, which cannot be read",
        "the secret `unset` is in the environment variable NOBODY_SETS_THIS, which is not set; `Compile` reads it",
        "the secret `untold`, which `Spec` reads, is not known",
        "the secret `/p`, which `Spec` reads, is not known",
    ] {
        assert!(ended.stderr.contains(needed), "{needed:?} is missing in:\n{}", ended.stderr);
    }
    assert!(!ended.stderr.contains("there`"), "{}", ended.stderr);
}
