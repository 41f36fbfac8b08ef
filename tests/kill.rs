//! `kill -9` at any moment: every acknowledged execution finishes, no attempt runs twice, no event is lost, and nothing of
//! an action outlives its server.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Served, penstock, repository, succeed};

/// How often the server is killed.
const KILLS: u64 = 12;

/// A number that differs from run to run; printed with a failure.
fn seed() -> u64 {
    let fixed = std::env::var("PENSTOCK_KILL_SEED").ok().and_then(|text| text.parse().ok());
    fixed.unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        u64::from(now.map_or(1, |since| since.subsec_nanos()))
    })
}

/// A small generator: the test needs variety, not quality.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

fn pipeline(trace: &Path, token: &str) -> Value {
    let command =
        format!("echo \"$PENSTOCK_ACTION_EXECUTION_ID\" >> {0}\n(setsid sleep {token} &)\nsleep 0.1", trace.display());
    let action = |name: &str| {
        json!({"name": name, "inputArtifacts": [{"name": "Src"}], "commands": command.lines().collect::<Vec<_>>(),
            "actionTypeId": {"category": "Compute", "owner": "AWS", "provider": "Commands", "version": "1"}})
    };
    json!({"name": "killed", "roleArn": "arn:aws:iam::123456789012:role/r", "pipelineType": "V2", "executionMode": "QUEUED",
        "artifactStore": {"type": "S3", "location": "artifacts"}, "stages": [
            {"name": "Source", "actions": [{"name": "Source", "outputArtifacts": [{"name": "Src"}],
                "configuration": {"ConnectionArn": "arn:aws:codeconnections:us-east-1:123456789012:connection/11111111-2222-3333-4444-555555555555",
                    "FullRepositoryId": "g/p", "BranchName": "main"},
                "actionTypeId": {"category": "Source", "owner": "AWS", "provider": "CodeStarSourceConnection", "version": "1"}}]},
            {"name": "One", "actions": [action("a"), action("b")],
                "onFailure": {"result": "RETRY", "retryConfiguration": {"retryMode": "FAILED_ACTIONS"}}},
            {"name": "Two", "actions": [action("c")]}]})
}

fn client(directory: &Path, server: &Served, arguments: &[&str]) -> Value {
    let mut command = Command::new(penstock());
    command.args(arguments).args(["--format", "json", "--endpoint-url", &server.endpoint]);
    command.args(["--credentials", "data/credentials"]).current_dir(directory);
    serde_json::from_str(&succeed(&mut command)).expect("JSON")
}

/// The ids and statuses of the newest executions.
fn statuses(directory: &Path, server: &Served) -> BTreeMap<String, String> {
    let answer = client(directory, server, &["history", "killed", "--limit", "100"]);
    let summaries = answer["pipelineExecutionSummaries"].as_array().expect("a list").iter();
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    summaries.map(|summary| (text(&summary["pipelineExecutionId"]), text(&summary["status"]))).collect()
}

fn running(token: &str) -> bool {
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok()).any(|line| {
        let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        words.first() == Some(&&b"sleep"[..]) && words.contains(&token.as_bytes())
    })
}

/// Starts an execution and kills the server a little later; the execution's id.
fn start_and_kill(directory: &Path, wait: Duration) -> String {
    let server = Served::start(directory);
    let answer = client(directory, &server, &["start", "killed"]);
    std::thread::sleep(wait);
    server.kill();
    answer["pipelineExecutionId"].as_str().expect("an id").to_owned()
}

#[test]
fn a_killed_server_loses_nothing_and_repeats_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    let trace = directory.join("trace");
    let mut state = seed();
    println!("PENSTOCK_KILL_SEED={state}");
    let token = format!("77.{}", std::process::id());
    repository(&directory.join("src"));
    std::fs::write(directory.join("penstock.toml"), "[source.\"Source\"]\npath = \"src\"\n").expect("a file");
    std::fs::write(directory.join("killed.json"), pipeline(&trace, &token).to_string()).expect("a file");
    let server = Served::start(directory);
    client(directory, &server, &["create", "killed.json"]);
    server.kill();
    let started: Vec<String> =
        (0..KILLS).map(|_| start_and_kill(directory, Duration::from_millis(next(&mut state) % 400))).collect();

    let server = Served::start(directory);
    let end = Instant::now() + Duration::from_secs(60);
    let last = loop {
        let now = statuses(directory, &server);
        if now.values().all(|status| ["Succeeded", "Failed"].contains(&status.as_str())) {
            break now;
        }
        assert!(Instant::now() < end, "not every execution finished: {now:?}");
        std::thread::sleep(Duration::from_millis(100));
    };
    for id in &started {
        assert!(last.contains_key(id), "the execution {id} was acknowledged and is gone");
    }
    no_attempt_ran_twice(&trace);
    // An event follows its commit: the last one may not be told yet.
    let end = Instant::now() + Duration::from_secs(10);
    while let Some(lacking) = lacks(&directory.join("data/events.jsonl"), &last) {
        assert!(Instant::now() < end, "{lacking}");
        std::thread::sleep(Duration::from_millis(50));
    }
    server.kill();
    let end = Instant::now() + Duration::from_secs(10);
    while running(&token) {
        assert!(Instant::now() < end, "a grandchild outlived its action and its server");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn no_attempt_ran_twice(trace: &Path) {
    let trace = std::fs::read_to_string(trace).expect("a trace");
    let mut seen = BTreeSet::new();
    for attempt in trace.lines() {
        assert!(seen.insert(attempt), "the action execution {attempt} ran twice");
    }
}

/// What the events lack: every execution is told to start once and to end; what was published again bears the same id.
fn lacks(log: &Path, last: &BTreeMap<String, String>) -> Option<String> {
    let log = std::fs::read_to_string(log).expect("the event log");
    let mut told: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    // A line that is being written ends nowhere yet.
    for line in log.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let event: Value = serde_json::from_str(line).expect("an event a line");
        if event["detail-type"] == "CodePipeline Pipeline Execution State Change" {
            let text = |value: &Value| value.as_str().expect("text").to_owned();
            let states = told.entry(text(&event["detail"]["execution-id"])).or_default();
            states.entry(text(&event["detail"]["state"])).or_default().insert(text(&event["id"]));
        }
    }
    last.iter().find_map(|(id, status)| {
        let Some(states) = told.get(id) else { return Some(format!("nothing was published of {id}")) };
        let started = states.get("STARTED").map_or(0, BTreeSet::len);
        assert!(started <= 1, "{id} was told to start more than once: {states:?}");
        let whole = started == 1 && states.contains_key(&status.to_uppercase());
        (!whole).then(|| format!("{id} is {status}, and was told: {states:?}"))
    })
}
