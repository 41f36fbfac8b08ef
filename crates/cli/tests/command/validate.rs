//! `penstock validate`.

use std::path::Path;

use super::support::{files, penstock, run, run_with_input, scratch};

const GOOD: &str = r#"{"pipeline": {
  "name": "web", "roleArn": "arn:aws:iam::123456789012:role/penstock", "pipelineType": "V2",
  "artifactStore": {"type": "S3", "location": "artifacts"},
  "stages": [
    {"name": "Source", "actions": [{"name": "Checkout",
      "actionTypeId": {"category": "Source", "owner": "AWS", "provider": "CodeCommit", "version": "1"},
      "configuration": {"RepositoryName": "web", "BranchName": "main", "PollForSourceChanges": "false"},
      "outputArtifacts": [{"name": "Source"}]}]},
    {"name": "Build", "actions": [{"name": "Test",
      "actionTypeId": {"category": "Compute", "owner": "AWS", "provider": "Commands", "version": "1"},
      "commands": ["true"], "inputArtifacts": [{"name": "Source"}]}]}
  ]}}
"#;

fn bad() -> String {
    GOOD.replace("\"commands\"", "\"comands\"").replace(
        r#"[{"name": "Source"}]}]}
  ]"#,
        r#"[{"name": "Sauce"}]}]}
  ]"#,
    )
}

#[test]
fn an_accepted_file_ends_with_0() {
    let dir = scratch();
    files(dir.path(), &[("good.json", GOOD)]);
    let ended = run(dir.path(), &["validate", "good.json"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    assert_eq!(ended.stdout, "good.json: accepted\n1 file accepted: 0 errors, 0 warnings\n");
}

#[test]
fn each_fault_is_shown_at_its_place() {
    let dir = scratch();
    files(dir.path(), &[("bad.json", &bad()), ("good.json", GOOD)]);
    let ended = run(dir.path(), &["validate", "bad.json", "good.json", "none.json"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (2, ""));
    insta::assert_snapshot!("validate", ended.stdout);
}

#[test]
fn json_is_one_line_a_file_and_nothing_else() {
    let dir = scratch();
    files(dir.path(), &[("bad.json", &bad()), ("good.json", GOOD)]);
    let ended = run(dir.path(), &["validate", "--format", "json", "bad.json", "good.json", "none.json"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (2, ""));
    insta::assert_snapshot!("validate-json", ended.stdout);
    let lines: Vec<serde_json::Value> = ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let accepted: Vec<_> =
        lines.iter().map(|line| (line["file"].as_str().unwrap(), line["accepted"] == true)).collect();
    assert_eq!(accepted, [("bad.json", false), ("good.json", true), ("none.json", false)]);
    for line in &lines {
        let keys: Vec<&String> = line.as_object().unwrap().keys().collect();
        assert_eq!(keys.len(), 3, "{keys:?}");
        for finding in line["findings"].as_array().unwrap() {
            let finding = finding.as_object().unwrap();
            assert!(["path", "severity", "code", "message"].iter().all(|key| finding[*key].is_string()));
            assert_eq!(finding.len(), 4);
        }
    }
}

#[test]
fn standard_input_is_read_for_a_dash_as_json_or_yaml() {
    let dir = scratch();
    assert_eq!(run_with_input(dir.path(), &["validate", "-"], GOOD).code, 0);
    let ended = run_with_input(dir.path(), &["validate", "-"], "pipeline:\n  name: web\n  stages: []\n");
    assert_eq!(ended.code, 2);
    assert!(ended.stdout.contains("standard input:"), "{}", ended.stdout);
    let ended = run_with_input(dir.path(), &["validate", "-", "--format", "json"], "{");
    assert!(ended.stdout.contains(r#""file":"-""#) && ended.stdout.contains("InvalidSyntax"), "{}", ended.stdout);
}

#[test]
fn colours_come_only_with_a_terminal() {
    let dir = scratch();
    files(dir.path(), &[("bad.json", &bad())]);
    assert!(!run(dir.path(), &["validate", "bad.json"]).stdout.contains('\u{1b}'));
}

#[test]
fn bytes_that_are_no_text_are_a_finding() {
    let dir = scratch();
    std::fs::write(dir.path().join("raw.json"), [b'{', 0xff, 0xfe, b'}']).unwrap();
    std::fs::create_dir(dir.path().join("directory")).unwrap();
    let ended = run(dir.path(), &["validate", "raw.json", "directory"]);
    assert_eq!(ended.code, 2);
    assert!(ended.stdout.contains("InvalidEncoding") && ended.stdout.contains("UnreadableFile"), "{}", ended.stdout);
}

#[test]
fn the_corpus_is_judged_as_its_manifest_says() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus");
    let Ok(manifest) = std::fs::read(corpus.join("MANIFEST.json")) else {
        println!("SKIPPED: no corpus at {}", corpus.display());
        return;
    };
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let dir = scratch();
    let mut command = penstock(dir.path());
    command.args(["validate", "--format", "json"]);
    let mut expected = Vec::new();
    for entry in manifest["pipelines"].as_array().or(manifest.as_array()).unwrap() {
        command.arg(corpus.join(entry["file"].as_str().unwrap()));
        expected.push(entry["expect"] == "accept");
    }
    let output = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let lines: Vec<serde_json::Value> = output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), expected.len());
    for (line, expected) in lines.iter().zip(expected).filter(|(_, expected)| *expected) {
        assert_eq!(line["accepted"], expected, "{line}");
    }
}
