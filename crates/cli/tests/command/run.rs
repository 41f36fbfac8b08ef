//! `penstock run`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::support::{ended, files, penstock, repository, run, scratch};

/// A Commands action.
pub fn commands(name: &str, commands: &[&str]) -> Value {
    json!({
        "name": name, "actionTypeId": {"category": "Compute", "owner": "AWS", "provider": "Commands", "version": "1"},
        "commands": commands, "inputArtifacts": [{"name": "Source"}]
    })
}

/// An approval action.
pub fn approval(name: &str) -> Value {
    json!({
        "name": name, "actionTypeId": {"category": "Approval", "owner": "AWS", "provider": "Manual", "version": "1"}
    })
}

/// A pipeline with a source and these stages.
pub fn pipeline(stages: &[(&str, &[Value])]) -> Value {
    let source = json!({"name": "Source", "actions": [{
        "name": "Checkout",
        "actionTypeId": {"category": "Source", "owner": "AWS", "provider": "CodeStarSourceConnection", "version": "1"},
        "configuration": {
            "ConnectionArn": "arn:aws:codeconnections:us-east-1:123456789012:connection/00000000-0000-4000-8000-000000000000",
            "FullRepositoryId": "acme/web", "BranchName": "main"
        },
        "outputArtifacts": [{"name": "Source"}]
    }]});
    let rest = stages.iter().map(|(name, actions)| json!({"name": name, "actions": actions}));
    let stages: Vec<Value> = std::iter::once(source).chain(rest).collect();
    json!({
        "name": "web", "pipelineType": "V2", "roleArn": "arn:aws:iam::123456789012:role/penstock",
        "artifactStore": {"type": "S3", "location": "artifacts"}, "stages": stages
    })
}

/// A repository with a pipeline file.
pub fn project(pipeline: &Value) -> TempDir {
    let dir = scratch();
    files(dir.path(), &[("hello.txt", "hello\n"), ("pipeline.json", &pipeline.to_string())]);
    repository(dir.path());
    dir
}

fn events(stdout: &str) -> Vec<Value> {
    stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not an event: {line}"))).collect()
}

/// The states of the pipeline execution, in order.
fn pipeline_states(events: &[Value]) -> Vec<&str> {
    let of_pipeline =
        events.iter().filter(|event| event["detail-type"] == "CodePipeline Pipeline Execution State Change");
    of_pipeline.map(|event| event["detail"]["state"].as_str().unwrap()).collect()
}

#[test]
fn a_retry_is_told_as_one() {
    let mut declared =
        pipeline(&[("Build", &[commands("Flaky", &["test -e ../../retried || { touch ../../retried; exit 1; }"])])]);
    declared["stages"][1]["onFailure"] = json!({"result": "RETRY", "retryConfiguration": {"retryMode": "ALL_ACTIONS"}});
    let dir = project(&declared);
    let ended = run(dir.path(), &["run", "pipeline.json"]);
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    let of_pipeline: Vec<&str> =
        ended.stdout.lines().filter_map(|line| line.split_once("  web ")).map(|(_, told)| told).collect();
    assert_eq!(of_pipeline, ["started", "goes on after a retry"], "{}", ended.stdout);
}

#[test]
fn a_pipeline_runs_to_its_end_and_says_where_everything_is() {
    let dir = project(&pipeline(&[("Build", &[commands("Compile", &["cat hello.txt"]), commands("Test", &["true"])])]));
    let ended = run(dir.path(), &["run", "pipeline.json"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{}", ended.stdout);
    for needed in [
        "Source/Checkout started",
        "Source/Checkout Succeeded in ",
        "Build/Compile started",
        "Build/Compile Succeeded in ",
        "Build/Test Succeeded in ",
        "Succeeded in ",
        "3 actions, 3 Succeeded",
        ".penstock/artifacts",
        ".penstock/logs/web/",
        "penstock history web --data",
    ] {
        assert!(ended.stdout.contains(needed), "{needed:?} is missing in:\n{}", ended.stdout);
    }
    assert!(!ended.stdout.contains('\u{1b}'));
    assert_eq!(std::fs::read_to_string(dir.path().join(".penstock/.gitignore")).unwrap(), "*\n");
}

#[test]
fn a_failure_ends_with_1_and_shows_its_last_lines() {
    let script = "for n in $(seq 1 30); do echo line $n; done; exit 3";
    let dir =
        project(&pipeline(&[("Build", &[commands("Compile", &[script])]), ("Never", &[commands("Ship", &["true"])])]));
    let ended = run(dir.path(), &["run", "pipeline.json"]);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    for needed in ["Build/Compile failed", "line 30", "line 13", "what to do:", "the whole output:", "1 not run"] {
        assert!(ended.stdout.contains(needed), "{needed:?} is missing in:\n{}", ended.stdout);
    }
    assert!(!ended.stdout.contains("line 9\n"), "{}", ended.stdout);
}

#[test]
fn json_is_events_and_nothing_else() {
    let dir = project(&pipeline(&[
        ("Build", &[commands("Compile", &["echo not an event"])]),
        ("Gate", &[approval("SignOff")]),
    ]));
    let ended = run(dir.path(), &["run", "pipeline.json", "--format", "json", "--approve", "Gate/SignOff"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let events = events(&ended.stdout);
    for event in &events {
        assert_eq!(event["source"], "penstock.codepipeline");
        assert!(event["detail-type"].as_str().unwrap().starts_with("CodePipeline "), "{event}");
    }
    assert_eq!(pipeline_states(&events), ["STARTED", "SUCCEEDED"]);
    let ids: std::collections::BTreeSet<&str> = events.iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), events.len(), "an event came twice");
    assert!(ended.stderr.contains("Gate/SignOff approved by --approve"), "{}", ended.stderr);
}

#[test]
fn an_approval_is_decided_through_its_signed_link() {
    for (decision, code) in [("approve", 0), ("reject", 1)] {
        let dir = project(&pipeline(&[("Gate", &[approval("SignOff")])]));
        let mut child = start(dir.path(), &["run", "pipeline.json", "--format", "json"]);
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let url = link(&mut stderr);
        let page = http(&url, "GET", "");
        assert!(page.starts_with("HTTP/1.1 200") && page.contains("SignOff"), "{page}");
        let page = http(&url, "POST", &format!("decision={decision}&summary=fine"));
        assert!(page.starts_with("HTTP/1.1 200"), "{page}");
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code));
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert_eq!(pipeline_states(&events(&stdout)).len(), 2, "{stdout}");
    }
}

/// The link that is printed.
fn link(stderr: &mut impl BufRead) -> String {
    let mut line = String::new();
    loop {
        line.clear();
        assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "no link was printed");
        if let Some((_, url)) = line.split_once("waits for an approval: ") {
            return url.trim().to_owned();
        }
    }
}

/// One request; the whole answer.
pub fn http(url: &str, method: &str, body: &str) -> String {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    let head = format!(
        "{method} /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

pub fn start(dir: &Path, args: &[&str]) -> Child {
    penstock(dir).args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn what_has_no_stand_in_is_listed_whole_and_nothing_is_started() {
    let deploy = |name: &str, provider: &str, configuration: Value| {
        json!({
            "name": name, "actionTypeId": {"category": "Deploy", "owner": "AWS", "provider": provider, "version": "1"},
            "configuration": configuration, "inputArtifacts": [{"name": "Source"}]
        })
    };
    let dir = project(&pipeline(&[(
        "Deploy",
        &[
            deploy("Site", "S3", json!({"BucketName": "site", "Extract": "true"})),
            deploy("Fleet", "CodeDeploy", json!({"ApplicationName": "a", "DeploymentGroupName": "g"})),
        ],
    )]));
    let ended = run(dir.path(), &["run", "pipeline.json"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""));
    for needed in ["nothing was started", "Site", "[bucket.\"site\"]", "Fleet", "CodeDeploy"] {
        assert!(ended.stderr.contains(needed), "{needed:?} is missing in:\n{}", ended.stderr);
    }
    assert!(!dir.path().join(".penstock").exists());
}

#[test]
fn unusable_input_ends_with_2_before_anything_starts() {
    let mut declared = pipeline(&[("Gate", &[approval("SignOff")])]);
    declared["variables"] = json!([{"name": "Release"}, {"name": "Level", "defaultValue": "1"}]);
    let dir = project(&declared);
    files(dir.path(), &[("bad.json", "{\"name\": 1}"), ("bad.toml", "[sauce.\"x\"]\n")]);
    for (args, needed) in [
        (&["run", "pipeline.json"][..], "--variable Release=VALUE"),
        (&["run", "pipeline.json", "--variable", "Relase=1"], "did you mean Release"),
        (&["run", "pipeline.json", "--variable", "Release=1", "--approve", "Gate/Sign"], "it has Gate/SignOff"),
        (&["run", "pipeline.json", "--variable", "Release=1", "--config", "bad.toml"], "bad.toml:1"),
        (&["run", "pipeline.json", "--variable", "Release=1", "--config", "none.toml"], "none.toml"),
        (&["run", "bad.json"], "bad.json:1"),
        (&["run", "none.json"], "none.json cannot be read"),
    ] {
        let ended = run(dir.path(), args);
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{args:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(needed), "{args:?}: {}", ended.stderr);
    }
    assert!(!dir.path().join(".penstock").exists());
}

#[test]
fn a_second_run_beside_the_first_is_told_so() {
    let dir = project(&pipeline(&[("Gate", &[approval("SignOff")])]));
    let mut first = start(dir.path(), &["run", "pipeline.json", "--format", "json"]);
    let mut stderr = BufReader::new(first.stderr.take().unwrap());
    link(&mut stderr);
    let second = run(dir.path(), &["run", "pipeline.json"]);
    assert_eq!(second.code, 2, "{}", second.stderr);
    assert!(second.stderr.contains("another penstock") && second.stderr.contains("--data"), "{}", second.stderr);
    let other = run(dir.path(), &["run", "pipeline.json", "--data", "elsewhere", "--approve", "Gate/SignOff"]);
    assert_eq!(other.code, 0, "{}", other.stderr);
    while first.try_wait().unwrap().is_none() {
        interrupt(&first);
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

fn interrupt(child: &Child) {
    kill_process(Pid::from_child(child), Signal::INT).unwrap();
}

/// Waits for a file that an action makes.
fn wait_for(path: &Path) {
    for _ in 0..600 {
        if path.exists() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("{} was not made", path.display());
}

/// A run whose only action makes `started`, waits for `go` and makes `finished`.
fn waiting(dir: &TempDir) -> Child {
    let child = start(dir.path(), &["run", "pipeline.json"]);
    wait_for(&dir.path().join("started"));
    child
}

/// The same, started by a program that becomes it.
fn waiting_through(dir: &TempDir, program: &[&str]) -> Child {
    let plain = penstock(dir.path());
    let mut command = Command::new(program[0]);
    command.args(&program[1..]).arg(plain.get_program()).args(plain.get_args()).args(["run", "pipeline.json"]);
    command.current_dir(dir.path()).env_clear().envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for(&dir.path().join("started"));
    child
}

fn waiting_project() -> TempDir {
    let dir = scratch();
    let here = dir.path().display();
    let script = format!("touch {here}/started; until test -e {here}/go; do sleep 0.02; done; touch {here}/finished");
    let declared = pipeline(&[("Wait", &[commands("Wait", &[&script])]), ("Never", &[commands("Ship", &["true"])])]);
    files(dir.path(), &[("pipeline.json", &declared.to_string())]);
    repository(dir.path());
    dir
}

#[test]
fn ctrl_c_once_waits_for_what_runs_and_starts_nothing_more() {
    let dir = waiting_project();
    let mut child = waiting(&dir);
    interrupt(&child);
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("stopping when the actions in progress have ended") {
        line.clear();
        assert_ne!(stdout.read_line(&mut line).unwrap(), 0);
    }
    std::fs::write(dir.path().join("go"), "").unwrap();
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest}");
    assert!(dir.path().join("finished").exists());
    assert!(rest.contains("Stopped in ") && rest.contains("1 not run"), "{rest}");
}

/// Waits until a run has ended, which it must without anything else that is done; its status and output.
fn end_of(mut child: Child) -> (Option<i32>, String) {
    for _ in 0..1_500 {
        if child.try_wait().unwrap().is_some() {
            let output = child.wait_with_output().unwrap();
            return (output.status.code(), String::from_utf8(output.stdout).unwrap());
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    child.kill().unwrap();
    panic!("it goes on: {:?}", child.wait_with_output());
}

fn assert_nothing_runs(dir: &TempDir) {
    let here = dir.path().display().to_string();
    let left = Command::new("pgrep").args(["-f", &format!("until test -e {here}")]).output().unwrap();
    assert_eq!(String::from_utf8(left.stdout).unwrap(), "", "a program goes on");
}

#[test]
fn ctrl_c_twice_leaves_nothing_running() {
    let dir = waiting_project();
    let child = waiting(&dir);
    interrupt(&child);
    std::thread::sleep(std::time::Duration::from_millis(200));
    interrupt(&child);
    let (code, stdout) = end_of(child);
    assert_eq!(code, Some(130), "{stdout}");
    assert!(stdout.contains("Abandoned"), "{stdout}");
    assert!(!dir.path().join("finished").exists());
    assert_nothing_runs(&dir);
}

#[test]
fn the_end_of_a_session_leaves_nothing_running() {
    for signal in [Signal::TERM, Signal::HUP] {
        let dir = waiting_project();
        // Whoever runs these tests may have had hangups ignored.
        let child = waiting_through(&dir, &["env", "--default-signal=HUP"]);
        kill_process(Pid::from_child(&child), signal).unwrap();
        let (code, stdout) = end_of(child);
        assert_eq!(code, Some(130), "{signal:?}: {stdout}");
        assert!(stdout.contains("Abandoned"), "{signal:?}: {stdout}");
        assert_nothing_runs(&dir);
    }
}

#[test]
fn a_hangup_that_nohup_has_it_ignore_is_ignored() {
    let dir = waiting_project();
    let child = waiting_through(&dir, &["nohup"]);
    kill_process(Pid::from_child(&child), Signal::HUP).unwrap();
    std::fs::write(dir.path().join("go"), "").unwrap();
    let (code, stdout) = end_of(child);
    assert_eq!(code, Some(0), "{stdout}");
}

#[test]
fn ctrl_c_three_times_ends_a_run_whose_output_nobody_takes() {
    let dir = scratch();
    let here = dir.path().display();
    // Their events fill any pipe.
    let many: Vec<Value> = (0..50).map(|n| commands(&format!("{}{n}", "A".repeat(90)), &["true"])).collect();
    let last = [commands("Wait", &[&format!("touch {here}/started; until test -e {here}/go; do sleep 0.02; done")])];
    files(dir.path(), &[("pipeline.json", &pipeline(&[("Many", &many), ("Last", &last)]).to_string())]);
    repository(dir.path());
    let child = start(dir.path(), &["run", "pipeline.json", "--format", "json"]);
    wait_for(&dir.path().join("started"));
    for _ in 0..3 {
        interrupt(&child);
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert_eq!(end_of(child).0, Some(130));
}

#[test]
fn what_an_interrupted_run_left_does_not_stand_in_the_way() {
    let dir = waiting_project();
    let mut child = waiting(&dir);
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    child.wait().unwrap();
    std::fs::write(dir.path().join("go"), "").unwrap();
    let ended = run(dir.path(), &["run", "pipeline.json", "--format", "json"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(pipeline_states(&events(&ended.stdout)), ["STARTED", "SUCCEEDED"], "{}", ended.stdout);
}

#[test]
fn an_approval_that_an_interrupted_run_left_pending_does_not_hold_the_stage() {
    let dir = project(&pipeline(&[("Gate", &[approval("SignOff")])]));
    let mut child = start(dir.path(), &["run", "pipeline.json", "--format", "json"]);
    link(&mut BufReader::new(child.stderr.take().unwrap()));
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    child.wait().unwrap();
    let mut child = start(dir.path(), &["run", "pipeline.json", "--approve", "Gate/SignOff"]);
    for _ in 0..1_000 {
        if let Some(status) = child.try_wait().unwrap() {
            assert_eq!(status.code(), Some(0));
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    child.kill().unwrap();
    panic!("it waits for what the earlier run left");
}

#[test]
fn a_changed_file_is_the_next_version() {
    let dir = project(&pipeline(&[("Build", &[commands("Compile", &["true"])])]));
    let version = || {
        let ended = run(dir.path(), &["run", "pipeline.json", "--format", "json"]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        events(&ended.stdout)[0]["detail"]["version"].as_f64().unwrap()
    };
    assert_eq!((version(), version()), (1.0, 1.0));
    let changed = pipeline(&[("Build", &[commands("Compile", &["true", "true"])])]);
    files(dir.path(), &[("pipeline.json", &changed.to_string())]);
    assert_eq!(version(), 2.0);
}

#[test]
fn variables_and_stdin_reach_the_pipeline() {
    let mut declared = pipeline(&[("Build", &[commands("Say", &["echo release #{variables.Release}"])])]);
    declared["variables"] = json!([{"name": "Release", "defaultValue": "none"}]);
    let dir = project(&declared);
    let mut command = penstock(dir.path());
    command.args(["run", "-", "--variable", "Release=4.2"]);
    command.stdin(std::fs::File::open(dir.path().join("pipeline.json")).unwrap());
    let ended = ended(&mut command);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let log = find_log(&dir.path().join(".penstock/logs"), "Say");
    assert!(std::fs::read_to_string(log).unwrap().contains("release 4.2"));
}

fn find_log(dir: &Path, name: &str) -> std::path::PathBuf {
    let mut left = vec![dir.to_path_buf()];
    while let Some(dir) = left.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else if path.file_name().unwrap().to_string_lossy().contains(name) {
                return path;
            }
        }
    }
    panic!("no log of {name}");
}

#[test]
fn the_starter_runs_as_it_is() {
    let dir = scratch();
    files(dir.path(), &[("Makefile", "all:\n\techo built > out.txt\n\ntest:\n\ttrue\n")]);
    repository(dir.path());
    assert_eq!(run(dir.path(), &["init"]).code, 0);
    let ended = run(dir.path(), &["run", "pipeline.json"]);
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    assert_eq!(std::fs::read_to_string(dir.path().join(".penstock/deployed/out.txt")).unwrap(), "built\n");
}

#[test]
fn the_example_runs() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/semver");
    let dir = scratch();
    let copied = Command::new("cp").arg("-r").arg(&example).arg(dir.path()).status().unwrap();
    assert!(copied.success());
    let dir = dir.path().join("semver");
    repository(&dir);
    let ended = run(&dir, &["run", "pipeline.json", "--approve", "Approve/SignOff"]);
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    let version = std::fs::read_to_string(dir.join("out/releases/VERSION")).unwrap();
    assert!(version.starts_with("semver 1.0.0 ("), "{version}");
    let compared = Command::new(dir.join("out/releases/semver")).args(["1.2.0", "1.10.0"]).output().unwrap();
    assert_eq!(String::from_utf8(compared.stdout).unwrap(), "<\n");
}

#[test]
fn a_data_directory_that_is_a_file_is_said_to_be_one() {
    let dir = scratch();
    files(dir.path(), &[("taken", "")]);
    for data in ["taken", "taken/below"] {
        let ended = run(dir.path(), &["serve", "--listen", "127.0.0.1:0", "--data", data]);
        assert!(ended.code == 2 && ended.stderr.contains("there is a file in its place"), "{}", ended.stderr);
    }
}
