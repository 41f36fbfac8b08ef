//! Pushes that come to a server by webhook: over HTTP, with a real signature, and a real commit behind them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::run::{commands, pipeline};
use super::serve::Server;
use super::support::{commit, files, repository, scratch};

/// The answer to a delivery: its status line and body.
fn deliver(url: &str, headers: &[(&str, &str)], body: &str) -> String {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!("POST /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{headers}");
    write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn signature(secret: &str, body: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(body).finalize();
    let hex: String = mac.into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

fn head_of(dir: &Path) -> String {
    let output = Command::new("git").args(["rev-parse", "HEAD"]).current_dir(dir).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// GitHub's payload of a push that changed these files.
fn push(before: &str, after: &str, changed: &[&str]) -> String {
    json!({ "ref": "refs/heads/main", "before": before, "after": after, "created": false, "deleted": false,
        "forced": false, "repository": { "full_name": "acme/web" },
        "commits": [{ "id": after, "added": [], "removed": [], "modified": changed }],
        "head_commit": { "id": after, "message": "More light", "timestamp": "2026-11-24T10:00:00Z",
            "author": { "name": "Ada", "email": "ada@example.org", "username": "ada" } } })
    .to_string()
}

/// The executions that pushes started, once there are any: the creation of the pipeline may start one too.
fn executions_pushed(server: &Server) -> Vec<String> {
    server.until(&["history", "web", "--format", "json"], "WebhookV2");
    let history = server.json(&["history", "web"]);
    let all = history["pipelineExecutionSummaries"].as_array().unwrap();
    let pushed = all.iter().filter(|one| one["trigger"]["triggerType"] == "WebhookV2");
    pushed.map(|one| one["pipelineExecutionId"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_signed_push_with_path_filters_runs_exactly_the_pushed_commit() {
    let dir = scratch();
    files(dir.path(), &[("doc/a.md", "one\n"), ("src/a.rs", "one\n")]);
    repository(dir.path());
    let head = || head_of(dir.path());
    let first = head();
    files(dir.path(), &[("src/a.rs", "two\n")]);
    commit(dir.path());
    let second = head();
    files(dir.path(), &[("src/a.rs", "three\n")]);
    commit(dir.path());
    let server = Server::start(dir);
    let made = server.json(&["connection", "create", "main", "--provider", "GitHub"]);
    let url = made["connection"]["webhookUrl"].as_str().unwrap();
    let secret = made["webhookSecret"].as_str().unwrap();
    assert!(url.starts_with(&format!("{}/webhooks/", server.url)), "{url}");
    let mut declared = pipeline(&[("Build", &[commands("Show", &["cat src/a.rs"])])]);
    declared["stages"][0]["actions"][0]["configuration"]["ConnectionArn"] = made["connection"]["connectionArn"].clone();
    declared["triggers"] = json!([{ "providerType": "CodeStarSourceConnection", "gitConfiguration": {
        "sourceActionName": "Checkout",
        "push": [{ "branches": { "includes": ["main"] }, "filePaths": { "includes": ["src/**"] } }] } }]);
    files(server.dir.path(), &[("pipeline.json", &declared.to_string())]);
    let created = server.run(&["create", "pipeline.json"]);
    assert_eq!(created.code, 0, "{}", created.stderr);
    let send = |body: &str, secret: &str| {
        let signature = signature(secret, body);
        deliver(url, &[("X-GitHub-Event", "push"), ("X-Hub-Signature-256", &signature)], body)
    };
    let forged = send(&push(&first, &second, &["src/a.rs"]), "another secret");
    assert!(forged.starts_with("HTTP/1.1 401") && forged.ends_with("unauthorized"), "{forged}");
    let elsewhere = send(&push(&first, &second, &["doc/a.md"]), secret);
    assert!(elsewhere.starts_with("HTTP/1.1 200"), "{elsewhere}");
    for _ in 0..2 {
        let answer = send(&push(&first, &second, &["src/a.rs"]), secret);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let pushed = executions_pushed(&server);
    let [execution] = &pushed[..] else { panic!("one execution, once: {pushed:?}") };
    assert_eq!(server.run(&["watch", "web", execution]).code, 0);
    let logs = server.run(&["logs", "web", "Build/Show", "--execution", execution]).stdout;
    assert!(logs.contains("two") && !logs.contains("three"), "the commit pushed, not the newest: {logs}");
    let events = std::fs::read_to_string(server.dir.path().join(".penstock/events.jsonl")).unwrap();
    assert!(!events.contains(secret), "a secret stands in events or records");
    let mut events = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let is_start =
        |event: &Value| event["detail"]["execution-id"] == execution.as_str() && event["detail"]["state"] == "STARTED";
    let started = events.find(is_start).unwrap();
    let trigger = &started["detail"]["execution-trigger"];
    assert_eq!((trigger["commit-id"].as_str(), trigger["author-id"].as_str()), (Some(second.as_str()), Some("ada")));
}

#[test]
fn connections_are_made_listed_and_deleted() {
    let server = Server::start(scratch());
    files(server.dir.path(), &[("token", "ghp_token\n"), ("empty", "\n")]);
    let arn = "arn:aws:codestar-connections:us-east-1:123456789012:connection/0f5b706a";
    let args = ["connection", "create", "main", "--provider", "GitLabSelfManaged", "--host", "git.example.org"];
    let made = server.run(&[&args[..], &["--token-file", "token", "--map", arn, "--allow-forks"]].concat());
    assert_eq!(made.code, 0, "{}", made.stderr);
    for needed in ["arn:aws:codeconnections:us-east-1:123456789012:connection/", "secret token", "/webhooks/"] {
        assert!(made.stdout.contains(needed), "{}", made.stdout);
    }
    assert!(!made.stdout.contains("ghp_token"));
    let listed = server.run(&["connection", "list"]).stdout;
    assert!(listed.contains("GitLabSelfManaged") && listed.contains("git.example.org  yes"), "{listed}");
    let empty = server.run(&["connection", "create", "x", "--provider", "GitHub", "--token-file", "empty"]);
    assert!(empty.code == 2 && empty.stderr.contains("empty: a secret has"), "{}", empty.stderr);
    let unknown = server.run(&["connection", "create", "x", "--provider", "Gitea"]);
    assert!(unknown.code == 2 && unknown.stderr.contains("Bitbucket"), "{}", unknown.stderr);
    assert_eq!(server.run(&["connection", "delete", arn]).code, 0);
    assert!(server.run(&["connection", "list"]).stdout.starts_with("no connections"));
    assert_eq!(server.run(&["connection", "delete", arn]).code, 1);
}
