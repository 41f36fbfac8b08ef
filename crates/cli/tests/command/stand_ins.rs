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
