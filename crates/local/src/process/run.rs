//! The host's side of a supervised program.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use engine::ActionKey;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::net::unix::pipe::Receiver;
use tokio_util::sync::CancellationToken;

use super::orders::{End, Order, Report};
use super::ready::{MOST_FREE, Reaped, Supervisor};
use super::{LogSink, MARKER, SupervisorCommand, record, recover};

/// How many free supervisors may turn out to have died before a program is given up.
const TRIES: usize = MOST_FREE + 8;

/// How long the output of a program whose supervisor has ended is still read. All writers are dead by then; only what a
/// process of another user holds open comes later.
const DRAIN: Duration = Duration::from_millis(500);

/// A longer wait than any action's.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// A program to run.
#[derive(Clone, Debug)]
pub struct ProgramSpec {
    /// The data directory, for the record of what runs.
    pub data: PathBuf,
    /// Which executable supervises.
    pub supervisor: SupervisorCommand,
    /// The action execution's id: the record's name and the marker in the environment.
    pub id: String,
    /// The action.
    pub key: ActionKey,
    /// The program, a path or a name to find in `PATH`.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its working directory.
    pub directory: PathBuf,
    /// Its whole environment; see [`base_environment`]. The marker is added.
    pub environment: BTreeMap<String, String>,
    /// A file to read as standard input; nothing when absent.
    pub stdin: Option<PathBuf>,
    /// How long it may take; for ever when absent.
    pub timeout: Option<Duration>,
    /// How long its processes have between SIGTERM and SIGKILL.
    pub grace: Duration,
}

/// How a program ended. Whichever it is, all of its descendants have ended too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProgramEnd {
    /// By itself, with this exit status.
    Exited(i32),
    /// By this signal, which was not the host's.
    Signaled(i32),
    /// It could not be started, and why.
    NotStarted(String),
    /// Its supervisor was killed, so that nothing is known of its end.
    Lost(String),
    /// The host was asked to stop it.
    Stopped,
    /// It took too long.
    TimedOut,
}

/// What every program finds in its environment: `PATH`, `HOME` and `LANG` as the host has them, and what `inherit` names.
pub fn base_environment(inherit: &[String]) -> BTreeMap<String, String> {
    let mut environment = BTreeMap::from([
        ("PATH".to_owned(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
        ("HOME".to_owned(), "/".to_owned()),
        ("LANG".to_owned(), "C.UTF-8".to_owned()),
    ]);
    for name in ["PATH", "HOME", "LANG"].into_iter().chain(inherit.iter().map(String::as_str)) {
        if let Ok(value) = std::env::var(name) {
            environment.insert(name.to_owned(), value);
        }
    }
    environment
}

/// Runs a program to its end, its output (standard output and standard error as one) into `sink`.
///
/// Its descendants end with it. `stop`, the timeout, dropping the future, and the death of this process end it and all its
/// descendants: SIGTERM, then SIGKILL after the grace.
pub async fn run(spec: ProgramSpec, sink: &LogSink, stop: &CancellationToken) -> ProgramEnd {
    if stop.is_cancelled() {
        return ProgramEnd::Stopped;
    }
    let mut deaths = 0;
    let (supervisor, process, attended, report) = loop {
        let started = tokio::select! {
            started = start(&spec) => started,
            // Whoever has an order already ends with its socket.
            () = stop.cancelled() => return ProgramEnd::Stopped,
        };
        let Started { mut supervisor, process, output } = match started {
            Ok(started) => started,
            Err(message) => return ProgramEnd::NotStarted(message),
        };
        let attended = attend(&mut supervisor, output, &spec, sink, stop).await;
        if let Ok(report) = serde_json::from_slice::<Report>(&attended.report) {
            break (supervisor, process, attended, report);
        }
        drop(supervisor);
        let status = process.wait().await;
        clean_up(&spec).await;
        // One that is being killed is sent an order that it does not read any more: nothing was started.
        if attended.report.is_empty() && attended.ended_by.is_none() && deaths < TRIES {
            deaths += 1;
            continue;
        }
        sink.finish();
        return attended.ended_by.unwrap_or_else(|| ProgramEnd::Lost(format!("its supervisor ended with {status}")));
    };
    sink.finish();
    if report.left.is_empty() && attended.ended_by.is_none() {
        if let Ok(free) = Supervisor::again(supervisor, process) {
            spec.supervisor.give_back(free);
        }
    } else {
        drop(supervisor);
        process.wait().await;
    }
    if !report.left.is_empty() {
        let left: Vec<String> = report.left.iter().map(i32::to_string).collect();
        sink.remark(&format!("These processes could not be ended: {}", left.join(", ")));
    }
    attended.ended_by.unwrap_or(match report.end {
        End::Exited(code) => ProgramEnd::Exited(code),
        End::Signaled(signal) => ProgramEnd::Signaled(signal),
        End::NotStarted(message) => ProgramEnd::NotStarted(message),
    })
}

struct Started {
    supervisor: UnixStream,
    process: Reaped,
    /// What the program writes.
    output: Receiver,
}

async fn start(spec: &ProgramSpec) -> Result<Started, String> {
    let directory = record::directory(&spec.data);
    std::fs::create_dir_all(&directory)
        .map_err(|error| format!("cannot make the directory {}: {error}", directory.display()))?;
    let mut environment = spec.environment.clone();
    environment.insert(MARKER.into(), spec.id.clone());
    let order = Order {
        program: spec.program.clone(),
        args: spec.args.clone(),
        directory: spec.directory.clone(),
        environment,
        stdin: spec.stdin.clone(),
        grace_millis: u64::try_from(spec.grace.as_millis()).unwrap_or(u64::MAX),
        record: record::path(&spec.data, &spec.id),
        id: spec.id.clone(),
        key: spec.key.clone(),
    };
    let mut line = serde_json::to_vec(&order).map_err(|error| error.to_string())?;
    line.push(b'\n');
    let no_pipe = |error: std::io::Error| format!("cannot make a pipe for the program's output: {error}");
    // One of its own for each program: what holds another one's open cannot write here.
    let (output, input) = std::io::pipe().map_err(no_pipe)?;
    let output = Receiver::from_owned_fd(output.into()).map_err(no_pipe)?;
    let input = input.into();
    let mut tries = 0;
    loop {
        match spec.supervisor.take().await?.order(&line, &input).await {
            Ok((supervisor, process)) => return Ok(Started { supervisor, process, output }),
            Err(_) if tries < TRIES => tries += 1,
            Err(error) => return Err(format!("the supervisor takes no order: {error}")),
        }
    }
}

struct Attended {
    report: Vec<u8>,
    ended_by: Option<ProgramEnd>,
}

async fn attend(
    supervisor: &mut UnixStream,
    mut output: Receiver,
    spec: &ProgramSpec,
    sink: &LogSink,
    stop: &CancellationToken,
) -> Attended {
    let mut attended = Attended { report: Vec::new(), ended_by: None };
    let mut time_over = std::pin::pin!(tokio::time::sleep(spec.timeout.unwrap_or(FOR_EVER)));
    let mut buffer = vec![0; 16 * 1024];
    let (mut output_open, mut control_open) = (true, true);
    while control_open && attended.report.last() != Some(&b'\n') {
        let ended = tokio::select! {
            read = output.read(&mut buffer), if output_open => {
                match read {
                    Ok(count) if count > 0 => sink.write(buffer.get(..count).unwrap_or_default()),
                    Ok(_) | Err(_) => output_open = false,
                }
                continue;
            }
            read = supervisor.read_buf(&mut attended.report) => {
                control_open = read.is_ok_and(|count| count > 0);
                continue;
            }
            () = stop.cancelled(), if attended.ended_by.is_none() => ProgramEnd::Stopped,
            () = &mut time_over, if attended.ended_by.is_none() => ProgramEnd::TimedOut,
        };
        attended.ended_by = Some(ended);
        // The lifeline is cut; the report can still come. One that has died needs no telling.
        let _ = rustix::net::shutdown(&*supervisor, rustix::net::Shutdown::Write);
    }
    while output_open {
        match tokio::time::timeout(DRAIN, output.read(&mut buffer)).await {
            Ok(Ok(count)) if count > 0 => sink.write(buffer.get(..count).unwrap_or_default()),
            Ok(_) | Err(_) => output_open = false,
        }
    }
    attended
}

/// Ends what a killed supervisor left.
async fn clean_up(spec: &ProgramSpec) {
    let path = record::path(&spec.data, &spec.id);
    let id = spec.id.clone();
    if tokio::task::spawn_blocking(move || recover::end_left_over(&path, &id)).await.is_err() {
        tracing::warn!(id = spec.id, "what a killed supervisor left could not be looked for");
    }
}
