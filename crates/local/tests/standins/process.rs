//! Programs under a supervisor: their ends, their output, and that nothing of them remains.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use engine::{ActionKey, Slot};
use local::process::{
    self, CancellationToken, LogSink, MARKER, ProgramEnd, ProgramSpec, SUPERVISE, SupervisorCommand, base_environment,
};
use model::ExecutionId;
use uuid::Uuid;

/// This test binary as a supervisor: libtest runs the one test below, which never returns.
pub fn supervisor() -> SupervisorCommand {
    let args = ["--exact", "process::supervisor_process", "--nocapture", "--test-threads=1", SUPERVISE];
    SupervisorCommand::new("/proc/self/exe".into(), args.map(String::from).into())
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
    LogSink::new(data.join("logs/x/run.log"), key("Run"), &[], 1 << 20, None).unwrap()
}

/// What was logged: there is no file while that is nothing.
fn log(data: &Path) -> String {
    let path = data.join("logs/x/run.log");
    if path.exists() { fs::read_to_string(path).unwrap() } else { String::new() }
}

/// Runs a script to its end; how it ended, and its log.
async fn run(script: &str) -> (ProgramEnd, String) {
    let data = tempfile::tempdir().unwrap();
    let sink = sink(data.path());
    let end = process::run(shell(data.path(), script), &sink, &CancellationToken::new()).await;
    assert_eq!(records(data.path()), Vec::<std::path::PathBuf>::new(), "the record is removed");
    (end, log(data.path()))
}

/// The records of what runs.
pub fn records(data: &Path) -> Vec<std::path::PathBuf> {
    let files = fs::read_dir(data.join("running")).into_iter().flatten().flatten().map(|entry| entry.path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect()
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

/// Processes whose command line is exactly this.
fn running(command: &[&str]) -> usize {
    let wanted: String = command.iter().map(|word| format!("{word}\0")).collect();
    let lines = fs::read_dir("/proc").unwrap().flatten().map(|entry| fs::read(entry.path().join("cmdline")));
    lines.filter(|line| line.as_ref().is_ok_and(|line| *line == wanted.as_bytes())).count()
}

/// A time to sleep that no other process sleeps.
fn unique_seconds() -> String {
    format!("{}", 1_000_000 + u64::from(Uuid::new_v4().as_fields().0))
}

#[tokio::test]
async fn a_program_ends_with_its_status_and_its_output_in_order() {
    let (end, log) = run("echo one; echo two >&2; echo three; exit 7").await;
    assert_eq!((end, log.as_str()), (ProgramEnd::Exited(7), "one\ntwo\nthree\n"));
}

/// Supervisors of one test, told from others by a word in their command line.
struct Marked {
    command: SupervisorCommand,
    word: String,
}

impl Marked {
    fn new() -> Self {
        let word = Uuid::new_v4().to_string();
        let args = ["--exact", "process::supervisor_process", "--nocapture", SUPERVISE, &word].map(String::from);
        Self { command: SupervisorCommand::new("/proc/self/exe".into(), args.into()), word }
    }

    fn pids(&self) -> Vec<String> {
        let holds_word = |path: &Path| {
            fs::read(path.join("cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(&self.word))
        };
        let found = fs::read_dir("/proc").unwrap().flatten().filter(|entry| holds_word(&entry.path()));
        found.map(|entry| entry.file_name().to_str().unwrap().to_owned()).collect()
    }

    /// Runs a script to its end; the last line of its output.
    async fn last_line(&self, data: &Path, script: &str) -> String {
        let spec = ProgramSpec { supervisor: self.command.clone(), ..shell(data, script) };
        let sink = sink(data);
        let ran = process::run(spec, &sink, &CancellationToken::new()).await;
        assert_eq!(ran, ProgramEnd::Exited(0));
        sink.tail().last().cloned().unwrap_or_default()
    }
}

#[tokio::test]
async fn supervisors_serve_one_program_after_the_other_and_one_that_died_none() {
    let data = tempfile::tempdir().unwrap();
    let supervisors = Marked::new();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..6 {
        // The supervisor is the parent of the shell. One works, one is kept ready.
        seen.insert(supervisors.last_line(data.path(), "echo $PPID").await);
    }
    assert!(seen.len() <= 2, "{seen:?}");
    let killed = supervisors.pids();
    for pid in &killed {
        Command::new("kill").args(["-9", pid]).status().unwrap();
    }
    // Zombies have no command line.
    until("they are dead", || supervisors.pids().iter().all(|pid| !killed.contains(pid)));
    assert_eq!(supervisors.last_line(data.path(), "echo again").await, "again");
    let word = supervisors.word.clone();
    drop(supervisors);
    let gone = Marked { command: supervisor(), word };
    until("none is left", || gone.pids().is_empty());
}

#[tokio::test]
async fn an_order_that_a_dying_supervisor_did_not_read_goes_to_the_next() {
    let data = tempfile::tempdir().unwrap();
    let supervisors = Marked::new();
    supervisors.command.prepare();
    for count in 0..20 {
        until("one is there", || !supervisors.pids().is_empty());
        for pid in supervisors.pids() {
            // A stopped process takes the order into its socket, and is killed before it reads it.
            Command::new("kill").args(["-STOP", &pid]).status().unwrap();
            until("all of it is stopped", || is_stopped(&pid));
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(20));
                Command::new("kill").args(["-9", &pid]).status().unwrap();
            });
        }
        assert_eq!(supervisors.last_line(data.path(), &format!("echo {count}")).await, count.to_string());
    }
}

/// Whether all threads of a process are stopped, or it is dead.
fn is_stopped(pid: &str) -> bool {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return true };
    let stat = |task: fs::DirEntry| fs::read_to_string(task.path().join("stat")).unwrap_or_default();
    let state = |stat: String| stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    tasks.flatten().map(stat).all(|stat| state(stat).is_none_or(|state| "TtZX".contains(state)))
}

#[tokio::test]
async fn many_programs_at_once_have_a_supervisor_each_and_few_are_kept() {
    let data = tempfile::tempdir().unwrap();
    let supervisors = Marked::new();
    let here = data.path().display();
    let script = format!("echo $PPID > {here}/$$.pid; until [ $(ls {here}/*.pid | wc -l) -ge 9 ]; do sleep 0.01; done");
    // Each waits for all the others: nine must run at once.
    let all = (0..9).map(|_| supervisors.last_line(data.path(), &script));
    futures::future::join_all(all).await;
    let files = fs::read_dir(data.path()).unwrap().flatten().map(|entry| entry.path());
    let parents = files.filter(|path| path.extension().is_some_and(|extension| extension == "pid"));
    let parents: std::collections::BTreeSet<String> = parents.map(|path| fs::read_to_string(path).unwrap()).collect();
    assert_eq!(parents.len(), 9);
    until("those beyond need have ended", || supervisors.pids().len() <= 4);
}

#[tokio::test]
async fn what_holds_the_output_of_a_program_open_writes_into_no_other_ones() {
    let data = tempfile::tempdir().unwrap();
    let supervisors = Marked::new();
    let (data, here) = (data.path(), data.path().display());
    let script =
        format!("echo $$ > {here}/pid.new; mv {here}/pid.new {here}/pid; until test -e {here}/go; do sleep 0.01; done");
    let opening = async {
        while !data.join("pid").exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let pid = fs::read_to_string(data.join("pid")).unwrap();
        let output = fs::OpenOptions::new().write(true).open(format!("/proc/{}/fd/1", pid.trim())).unwrap();
        fs::write(data.join("go"), "").unwrap();
        output
    };
    let (_, mut output) = tokio::join!(supervisors.last_line(data, &script), opening);
    assert!(output.write_all(b"from elsewhere\n").is_err(), "nobody reads it any more");
    assert_eq!(supervisors.last_line(data, "echo next").await, "next");
}

#[tokio::test]
async fn a_supervisor_that_a_signal_ended_before_it_was_ready_is_started_again() {
    let data = tempfile::tempdir().unwrap();
    let binary = std::env::current_exe().unwrap();
    // As Ctrl-C on the host's terminal does, before the supervisor has left it.
    let script = format!(
        "mkdir {}/first && kill -INT $$; exec {} --exact process::supervisor_process --nocapture {SUPERVISE}",
        data.path().display(),
        binary.display()
    );
    let command = SupervisorCommand::new("/bin/sh".into(), vec!["-c".into(), script]);
    let supervisors = Marked { command, word: String::new() };
    assert_eq!(supervisors.last_line(data.path(), "echo started").await, "started");
    assert!(data.path().join("first").exists());
}

#[tokio::test]
async fn a_program_ended_by_a_signal_says_so() {
    assert_eq!(run("kill -9 $$").await.0, ProgramEnd::Signaled(9));
}

#[tokio::test]
async fn a_program_that_cannot_be_started_says_why() {
    let data = tempfile::tempdir().unwrap();
    let mut spec = shell(data.path(), "");
    spec.program = "/no/such/program".into();
    let end = process::run(spec.clone(), &sink(data.path()), &CancellationToken::new()).await;
    assert!(matches!(&end, ProgramEnd::NotStarted(reason) if reason.contains("/no/such/program")), "{end:?}");
    spec.supervisor = SupervisorCommand::new("/no/such/supervisor".into(), Vec::new());
    let end = process::run(spec, &sink(data.path()), &CancellationToken::new()).await;
    assert!(matches!(&end, ProgramEnd::NotStarted(reason) if reason.contains("/no/such/supervisor")), "{end:?}");
}

#[tokio::test]
async fn output_without_a_last_line_break_is_kept_and_standard_input_is_a_file() {
    let data = tempfile::tempdir().unwrap();
    let input = data.path().join("input");
    fs::write(&input, "given").unwrap();
    let spec = ProgramSpec { stdin: Some(input), ..shell(data.path(), "cat; printf ' and kept'") };
    let end = process::run(spec, &sink(data.path()), &CancellationToken::new()).await;
    assert_eq!(end, ProgramEnd::Exited(0));
    assert_eq!(log(data.path()), "given and kept\n");
    // Without one there is nothing to read, and nothing to wait for.
    assert_eq!(run("cat").await, (ProgramEnd::Exited(0), String::new()));
}

#[tokio::test]
async fn a_program_has_a_group_of_its_own_and_no_terminal() {
    let (end, log) = run("ps -o pgid= -p $$ | tr -d ' '; echo $$; : 2>/dev/null < /dev/tty && echo terminal").await;
    let lines: Vec<&str> = log.lines().filter(|line| !line.contains("/dev/tty")).collect();
    assert!(matches!(end, ProgramEnd::Exited(_)));
    if lines.len() == 2 {
        assert_eq!(lines[0], lines[1]);
    } else {
        // Without `ps` only the number itself comes.
        println!("SKIPPED: no ps here");
    }
}

/// Leaves processes in every way there is: in the background, in a session of their own, orphaned, deaf to SIGTERM,
/// without the marker in their environment.
fn leave_descendants(seconds: &str) -> String {
    format!(
        "sleep {seconds} &
         setsid sleep {seconds} &
         sh -c 'setsid sh -c \"sleep {seconds} & sleep {seconds} &\" &'
         sh -c 'trap \"\" TERM; sleep {seconds}; sleep {seconds}' &
         env -i setsid /bin/sh -c 'sleep {seconds} & exit' &
         until [ $(ls /proc/*/cmdline 2>/dev/null | xargs -n1 cat 2>/dev/null | tr '\\0' '\\n' | grep -c '^{seconds}$') -ge 6 ]; do :; done
         echo ready"
    )
}

#[tokio::test]
async fn what_a_program_leaves_in_the_background_is_ended_with_it() {
    let seconds = unique_seconds();
    let (end, log) = run(&leave_descendants(&seconds)).await;
    assert_eq!((end, log.as_str()), (ProgramEnd::Exited(0), "ready\n"));
    assert_eq!(running(&["sleep", &seconds]), 0);
}

#[tokio::test]
async fn a_stop_ends_every_descendant() {
    let data = tempfile::tempdir().unwrap();
    let seconds = unique_seconds();
    let script = format!("{}\n sleep {seconds}", leave_descendants(&seconds));
    let (sink, stop) = (sink(data.path()), CancellationToken::new());
    let spec = shell(data.path(), &script);
    let id = spec.id.clone();
    let stopping = async {
        while sink.tail().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(running(&["sleep", &seconds]) >= 6);
        stop.cancel();
    };
    let (end, ()) = tokio::join!(process::run(spec, &sink, &stop), stopping);
    assert_eq!(end, ProgramEnd::Stopped);
    assert_eq!((running(&["sleep", &seconds]), alive(&id)), (0, Vec::new()));
}

#[tokio::test]
async fn a_program_has_time_to_end_by_itself_when_it_is_stopped() {
    let data = tempfile::tempdir().unwrap();
    let script = "trap 'echo cleaned up; exit 0' TERM; echo ready; while :; do sleep 0.01; done";
    let spec = ProgramSpec {
        timeout: Some(Duration::from_millis(300)),
        grace: Duration::from_secs(60),
        ..shell(data.path(), script)
    };
    let sink = sink(data.path());
    let end = process::run(spec, &sink, &CancellationToken::new()).await;
    assert_eq!((end, sink.tail().last().unwrap().as_str()), (ProgramEnd::TimedOut, "cleaned up"));
}

#[tokio::test]
async fn nothing_is_started_once_it_was_stopped() {
    let data = tempfile::tempdir().unwrap();
    let stop = CancellationToken::new();
    stop.cancel();
    let end = process::run(shell(data.path(), "echo started"), &sink(data.path()), &stop).await;
    assert_eq!(end, ProgramEnd::Stopped);
    assert_eq!(log(data.path()), "");
}

#[tokio::test]
async fn dropping_the_future_ends_every_descendant() {
    let data = tempfile::tempdir().unwrap();
    let seconds = unique_seconds();
    let sink = sink(data.path());
    let spec = shell(data.path(), &format!("{}\n sleep {seconds}", leave_descendants(&seconds)));
    let id = spec.id.clone();
    {
        let stop = CancellationToken::new();
        let mut program = std::pin::pin!(process::run(spec, &sink, &stop));
        while sink.tail().is_empty() {
            let _ = tokio::time::timeout(Duration::from_millis(5), &mut program).await;
        }
    }
    until("the record is removed", || !data.path().join(format!("running/{id}.json")).exists());
    assert_eq!(running(&["sleep", &seconds]), 0);
    until("the supervisor has ended", || alive(&id).is_empty());
}

/// A host that this test binary plays when it is asked to: runs `HOST_SCRIPT` with `HOST_DATA` as its data directory.
#[test]
fn host_process() {
    let (Ok(data), Ok(script)) = (std::env::var("HOST_DATA"), std::env::var("HOST_SCRIPT")) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let data = Path::new(&data);
        process::run(shell(data, &script), &sink(data), &CancellationToken::new()).await;
    });
}

/// Starts a host, waits until its program is ready, and returns it with its program's id.
fn host(data: &Path, script: &str) -> (std::process::Child, String) {
    let host = Command::new("/proc/self/exe")
        .args(["--exact", "process::host_process", "--nocapture"])
        .env("HOST_DATA", data)
        .env("HOST_SCRIPT", script)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("the program is ready", || {
        fs::read_to_string(data.join("logs/x/run.log")).is_ok_and(|log| log.contains("ready"))
    });
    let record = records(data).remove(0);
    (host, record.file_stem().unwrap().to_str().unwrap().to_owned())
}

/// The last of a record's lines.
fn recorded(record: &Path) -> serde_json::Value {
    serde_json::from_str(fs::read_to_string(record).unwrap().lines().last().unwrap()).unwrap()
}

#[test]
fn a_program_ends_with_a_host_that_was_killed() {
    let data = tempfile::tempdir().unwrap();
    let seconds = unique_seconds();
    let (mut host, id) = host(data.path(), &format!("{}\n sleep {seconds}", leave_descendants(&seconds)));
    assert!(!alive(&id).is_empty());
    host.kill().unwrap();
    host.wait().unwrap();
    until("the record is removed", || !data.path().join(format!("running/{id}.json")).exists());
    assert_eq!(running(&["sleep", &seconds]), 0);
    until("the supervisor has ended", || alive(&id).is_empty());
    assert_eq!(process::recover(data.path()), []);
}

#[test]
fn what_a_killed_supervisor_left_is_ended_at_the_next_start() {
    let data = tempfile::tempdir().unwrap();
    let seconds = unique_seconds();
    // A child with an empty environment is found as the leader's descendant; the others by their environment.
    let script = format!(
        "setsid sleep {seconds} & sh -c 'setsid sleep {seconds} &'; env -i /bin/sleep {seconds} & echo ready; sleep {seconds}"
    );
    let (mut host, id) = host(data.path(), &script);
    let record = data.path().join(format!("running/{id}.json"));
    let recorded = recorded(&record);
    // Neither may see the other's end: both would clean up.
    Command::new("kill").args(["-STOP", &host.id().to_string()]).status().unwrap();
    Command::new("kill").args(["-9", &recorded["pid"].to_string()]).status().unwrap();
    host.kill().unwrap();
    host.wait().unwrap();
    fs::create_dir_all(process::scratch_directory(data.path()).join(&id)).unwrap();

    let recovered = process::recover(data.path());
    assert_eq!(running(&["sleep", &seconds]) + running(&["/bin/sleep", &seconds]), 0);
    assert_eq!(alive(&id), Vec::<String>::new());
    assert!(!record.exists());
    until("the scratch directories are removed", || fs::read_dir(data.path()).unwrap().count() == 2);
    assert_eq!(recovered.len(), 1);
    assert_eq!((&recovered[0].action_execution_id, &recovered[0].key, recovered[0].left), (&id, &Some(key("Run")), 0));
}

/// Writes a record of a process that is no supervisor of ours.
fn write_record(data: &Path, process: &std::process::Child, later: u64, boot_id: &str) {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.id())).unwrap();
    let start: u64 = stat.rsplit(')').next().unwrap().split_whitespace().nth(19).unwrap().parse().unwrap();
    let record = serde_json::json!({
        "pid": process.id(),
        "start": start + later,
        "boot_id": boot_id,
        "group": null,
        "id": "some-id",
        "key": key("Run"),
    });
    fs::create_dir_all(data.join("running")).unwrap();
    fs::write(data.join("running/some-id.json"), record.to_string()).unwrap();
}

#[test]
fn recovery_ends_only_the_very_process_that_was_recorded() {
    let data = tempfile::tempdir().unwrap();
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let boot_id = boot_id.trim();
    let mut bystander = Command::new("sleep").arg(unique_seconds()).spawn().unwrap();
    for (later, boot) in [(1, boot_id), (0, "another boot")] {
        write_record(data.path(), &bystander, later, boot);
        assert_eq!(process::recover(data.path()).iter().map(|one| one.ended).collect::<Vec<_>>(), [0]);
        assert!(bystander.try_wait().unwrap().is_none(), "another process with the same number is left alone");
        assert!(!data.path().join("running/some-id.json").exists());
    }
    write_record(data.path(), &bystander, 0, boot_id);
    assert_eq!(process::recover(data.path()).iter().map(|one| one.ended).collect::<Vec<_>>(), [1]);
    assert!(!bystander.wait().unwrap().success());
}

#[test]
fn a_record_that_cannot_be_read_still_names_its_processes() {
    let data = tempfile::tempdir().unwrap();
    let id = Uuid::new_v4().to_string();
    let mut stray = Command::new("sleep").arg(unique_seconds()).env(MARKER, &id).spawn().unwrap();
    let mut other = Command::new("sleep").arg(unique_seconds()).env(MARKER, "another").spawn().unwrap();
    fs::create_dir(data.path().join("running")).unwrap();
    fs::write(data.path().join(format!("running/{id}.json")), "{").unwrap();
    let recovered = process::recover(data.path());
    assert_eq!((recovered.len(), recovered[0].ended, &recovered[0].key), (1, 1, &None));
    assert!(!stray.wait().unwrap().success());
    assert!(other.try_wait().unwrap().is_none());
    other.kill().unwrap();
    other.wait().unwrap();
}

#[tokio::test]
async fn a_killed_supervisor_is_no_success_and_leaves_nothing() {
    let data = tempfile::tempdir().unwrap();
    let seconds = unique_seconds();
    let sink = sink(data.path());
    let spec = shell(data.path(), &format!("setsid sleep {seconds} & echo ready; sleep {seconds}"));
    let record = data.path().join(format!("running/{}.json", spec.id));
    let killing = async {
        while sink.tail().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let recorded = recorded(&record);
        Command::new("kill").args(["-9", &recorded["pid"].to_string()]).status().unwrap();
    };
    let stop = CancellationToken::new();
    let (end, ()) = tokio::join!(process::run(spec, &sink, &stop), killing);
    assert!(matches!(end, ProgramEnd::Lost(_)), "{end:?}");
    assert_eq!(running(&["sleep", &seconds]), 0);
    assert!(!record.exists());
}
