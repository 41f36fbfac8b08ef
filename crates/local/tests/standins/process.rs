//! Programs under a supervisor: their ends, their output, and that nothing of them remains.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use engine::{ActionKey, Slot};
use local::process::{
    self, CancellationToken, LogSink, MARKER, OutputLine, ProgramEnd, ProgramSpec, SUPERVISE, SupervisorCommand,
    base_environment,
};
use model::ExecutionId;
use tokio::sync::broadcast;
use uuid::Uuid;

/// This test binary as a supervisor: libtest runs the one test below, which never returns.
pub fn supervisor() -> SupervisorCommand {
    let args = ["--exact", "process::supervisor_process", "--nocapture", "--test-threads=1", SUPERVISE];
    SupervisorCommand { program: "/proc/self/exe".into(), args: args.map(String::from).into() }
}

#[test]
fn supervisor_process() {
    if std::env::args().any(|argument| argument == SUPERVISE) {
        std::process::exit(process::supervise());
    }
}

pub fn key(name: &str) -> ActionKey {
    ActionKey {
        execution: ExecutionId(Uuid::from_u128(7)),
        stage: "Build".into(),
        slot: Slot::RunOrder(1),
        name: name.into(),
        attempt: 1,
    }
}

fn shell(data: &Path, script: &str) -> ProgramSpec {
    ProgramSpec {
        data: data.into(),
        supervisor: supervisor(),
        id: Uuid::new_v4().to_string(),
        key: key("Run"),
        program: "/bin/sh".into(),
        args: vec!["-c".into(), script.into()],
        directory: data.into(),
        environment: base_environment(&[]),
        stdin: None,
        timeout: Some(Duration::from_secs(60)),
        grace: Duration::from_millis(300),
    }
}

fn sink(data: &Path) -> LogSink {
    LogSink::open(&data.join("logs/x/run.log"), key("Run"), &[], 1 << 20, None).unwrap()
}

/// Runs a script to its end; how it ended, and its log.
async fn run(script: &str) -> (ProgramEnd, String) {
    let data = tempfile::tempdir().unwrap();
    let sink = sink(data.path());
    let end = process::run(shell(data.path(), script), &sink, &CancellationToken::new()).await;
    assert_eq!(fs::read_dir(data.path().join("running")).unwrap().count(), 0, "the record is removed");
    (end, fs::read_to_string(data.path().join("logs/x/run.log")).unwrap())
}

/// Processes that bear this action execution's id, this binary's supervisors included.
fn alive(id: &str) -> Vec<String> {
    let marker = format!("{MARKER}={id}");
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        if environment.split(|byte| *byte == 0).any(|one| one == marker.as_bytes()) {
            found.push(fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default().replace('\0', " "));
        }
    }
    found
}

/// Waits until a condition holds.
fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(30), "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[tokio::test]
async fn a_program_ends_with_its_status_and_its_output_in_order() {
    let (end, log) = run("echo one; echo two >&2; echo three; exit 7").await;
    assert_eq!((end, log.as_str()), (ProgramEnd::Exited(7), "one\ntwo\nthree\n"));
}
