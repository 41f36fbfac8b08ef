//! `penstock init`.

use std::path::Path;

use serde_json::Value;

use super::support::{commit, files, git, repository, run, scratch};

fn pipeline(dir: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(dir.join("pipeline.json")).unwrap()).unwrap()
}

fn commands(pipeline: &Value, action: usize) -> Vec<&str> {
    let commands = pipeline["pipeline"]["stages"][1]["actions"][action]["commands"].as_array().unwrap();
    commands.iter().map(|command| command.as_str().unwrap()).collect()
}

#[test]
fn every_kind_of_project_gets_a_starter_that_is_accepted() {
    type Kind = (&'static str, &'static [(&'static str, &'static str)], &'static str, &'static str);
    let kinds: &[Kind] = &[
        ("rust", &[("Cargo.toml", "[package]\n")], "cargo build --release", "cargo test"),
        (
            "node",
            &[("package.json", r#"{"name":"n","version":"1.0.0","scripts":{"test":"node t.js","build":"node b.js"}}"#)],
            "npm run build",
            "npm run test",
        ),
        (
            "pnpm",
            &[("package.json", r#"{"devDependencies":{"a":"1"}}"#), ("pnpm-lock.yaml", "")],
            "pnpm install --frozen-lockfile",
            "pnpm install --frozen-lockfile",
        ),
        ("go", &[("go.mod", "module x\n"), ("main.go", "package main\n")], "go build -o dist/ ./...", "go test ./..."),
        (
            "python",
            &[("pyproject.toml", "[tool.pytest.ini_options]\n")],
            "python3 -m compileall -q .",
            "python3 -m pytest -q",
        ),
        ("make", &[("Makefile", "all: x\n\ntest:\n\ttrue\n")], "make all", "make test"),
        ("plain", &[("README", "")], "ls -la", "ls"),
    ];
    for (kind, content, build, test) in kinds {
        let dir = scratch();
        files(dir.path(), content);
        repository(dir.path());
        let ended = run(dir.path(), &["init", "--name", kind]);
        assert_eq!(ended.code, 0, "{kind}: {}", ended.stderr);
        let pipeline = pipeline(dir.path());
        assert!(commands(&pipeline, 0).contains(build), "{kind}: {:?}", commands(&pipeline, 0));
        assert!(commands(&pipeline, 1).contains(test), "{kind}: {:?}", commands(&pipeline, 1));
        let validated = run(dir.path(), &["validate", "pipeline.json"]);
        assert_eq!(
            (validated.code, validated.stdout.contains("0 errors, 0 warnings")),
            (0, true),
            "{}",
            validated.stdout
        );
    }
}

#[test]
fn the_source_is_what_the_repository_says() {
    let dir = scratch();
    files(dir.path(), &[("services/web/Makefile", "build:\n\ttrue\n")]);
    git(dir.path(), &["init", "-q", "-b", "trunk"]);
    git(dir.path(), &["remote", "add", "origin", "git@example.org:acme/shop.git"]);
    commit(dir.path());
    let ended = run(dir.path(), &["init", "services/web"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stdout.contains("penstock run services/web/pipeline.json"), "{}", ended.stdout);
    let pipeline = pipeline(&dir.path().join("services/web"));
    assert_eq!(pipeline["pipeline"]["name"], "web");
    let source = &pipeline["pipeline"]["stages"][0]["actions"][0]["configuration"];
    assert_eq!((&source["BranchName"], &source["FullRepositoryId"]), (&"trunk".into(), &"acme/shop".into()));
    assert_eq!(commands(&pipeline, 0), ["(cd 'services/web' && make build)"]);
    let config = std::fs::read_to_string(dir.path().join("services/web/penstock.toml")).unwrap();
    assert!(config.contains("path = \"../..\""), "{config}");
}

#[test]
fn what_exists_is_not_overwritten_unless_forced() {
    let dir = scratch();
    files(dir.path(), &[("penstock.toml", "mine")]);
    repository(dir.path());
    let ended = run(dir.path(), &["init"]);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("penstock.toml") && ended.stderr.contains("--force"), "{}", ended.stderr);
    assert!(!dir.path().join("pipeline.json").exists());
    assert_eq!(run(dir.path(), &["init", "--force"]).code, 0);
    assert_ne!(std::fs::read_to_string(dir.path().join("penstock.toml")).unwrap(), "mine");
}

#[test]
fn it_says_what_is_missing() {
    let dir = scratch();
    let ended = run(dir.path(), &["init"]);
    assert!(ended.code == 0 && ended.stdout.contains("not a git repository"), "{}", ended.stdout);
    git(dir.path(), &["init", "-q", "-b", "main"]);
    let ended = run(dir.path(), &["init", "--force"]);
    assert!(ended.code == 0 && ended.stdout.contains("no commit yet"), "{}", ended.stdout);
    let ended = run(dir.path(), &["init", "nowhere"]);
    assert!(ended.code == 2 && ended.stderr.contains("nowhere"), "{}", ended.stderr);
    let ended = run(dir.path(), &["init", "--force", "--name", "a b"]);
    assert!(ended.code == 2 && ended.stderr.contains("A-Z"), "{}", ended.stderr);
}

#[test]
fn without_a_repository_the_starter_runs_and_reads_the_directory() {
    let dir = scratch();
    files(dir.path(), &[("hello.txt", "hello\n")]);
    assert_eq!(run(dir.path(), &["init"]).code, 0);
    let source = &pipeline(dir.path())["pipeline"]["stages"][0]["actions"][0];
    assert_eq!(source["actionTypeId"]["provider"], "S3");
    for _ in 0..2 {
        let ended = run(dir.path(), &["run", "pipeline.json"]);
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{}", ended.stdout);
    }
    assert_eq!(std::fs::read_to_string(dir.path().join(".penstock/deployed/hello.txt")).unwrap(), "hello\n");
    assert!(!dir.path().join(".penstock/deployed/.penstock").exists(), "it read its own data");
}

#[test]
fn on_a_detached_head_a_branch_is_written_that_is_there() {
    for (branches, branch) in [(&["trunk"][..], Some("trunk")), (&["a", "main"], Some("main")), (&[], None)] {
        let dir = scratch();
        files(dir.path(), &[("hello.txt", "hello\n")]);
        git(dir.path(), &["init", "-q", "-b", "first"]);
        commit(dir.path());
        git(dir.path(), &["checkout", "-q", "--detach"]);
        for name in branches {
            git(dir.path(), &["branch", name]);
        }
        git(dir.path(), &["branch", "-D", "-q", "first"]);
        assert_eq!(run(dir.path(), &["init"]).code, 0);
        let source = pipeline(dir.path())["pipeline"]["stages"][0]["actions"][0]["configuration"].clone();
        assert_eq!(source["BranchName"].as_str(), branch, "{source}");
        let ended = run(dir.path(), &["run", "pipeline.json"]);
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{}", ended.stdout);
        assert!(dir.path().join(".penstock/deployed/hello.txt").exists());
    }
}
