//! The supervising copy of the binary: starts one program, and ends all of its descendants when it ends, when it is told
//! to, or when the host is gone.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufRead, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use engine::ActionKey;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process_group, set_child_subreaper, setsid, wait,
};
use serde::{Deserialize, Serialize};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};

use super::procfs;
use super::record::Record;

/// How long descendants that cannot be killed (another user's, or stuck in the kernel) are waited for.
const GIVE_UP: Duration = Duration::from_secs(30);
/// How often descendants are looked for while they end.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What the host asks a supervisor to do: one line of JSON on its standard input. The pipe stays open: when it is closed,
/// by the host or by its death, everything is ended.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its working directory.
    pub directory: PathBuf,
    /// Its whole environment.
    pub environment: BTreeMap<String, String>,
    /// What it reads; nothing when absent.
    pub stdin: Option<PathBuf>,
    /// How long descendants have between SIGTERM and SIGKILL.
    pub grace_millis: u64,
    /// Where to record that it runs.
    pub record: PathBuf,
    /// The action execution.
    pub id: String,
    /// The action.
    pub key: ActionKey,
}

/// How the program ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum End {
    /// By itself, with this status.
    Exited(i32),
    /// By this signal.
    Signaled(i32),
    /// It could not be started.
    NotStarted(String),
}

/// What a supervisor reports: a line of JSON of its own on its standard output. (The program writes to its standard error, so that
/// nothing that a host's start-up might print can be taken for the program's output.)
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Report {
    /// How the program ended.
    pub end: End,
    /// Descendants that could not be ended.
    pub left: Vec<i32>,
}

/// What a host's `main` does when its first argument is [`super::SUPERVISE`], before anything else: supervises one
/// program as the standard input says. Returns the exit status.
pub fn supervise() -> i32 {
    // Away from the terminal: Ctrl-C is for the host, which then decides; and commands cannot ask questions there.
    let _ = setsid();
    let Some(order) = read_order() else { return 1 };
    let report = carry_out(&order).unwrap_or_else(|message| Report { end: End::NotStarted(message), left: Vec::new() });
    match serde_json::to_string(&report) {
        Ok(line) if writeln!(io::stdout(), "\n{line}").is_ok() => 0,
        Ok(_) | Err(_) => 1,
    }
}

fn read_order() -> Option<Order> {
    let mut line = Vec::new();
    io::stdin().lock().read_until(b'\n', &mut line).ok()?;
    serde_json::from_slice(&line).ok()
}

fn carry_out(order: &Order) -> Result<Report, String> {
    let mut events = Events::watch().map_err(|error| format!("cannot watch for signals: {error}"))?;
    set_child_subreaper(Some(getpid())).map_err(|error| format!("cannot adopt orphans: {error}"))?;
    let mut record = Record::of_this_process(&order.id, &order.key).map_err(|error| error.to_string())?;
    let written = |record: &Record| {
        record.write(&order.record).map_err(|error| format!("cannot write {}: {error}", order.record.display()))
    };
    written(&record)?;
    // A host that is gone has not seen the record, or will see it at its next start: either way nothing may start now.
    let report = if events.wait(Duration::ZERO) == Wake::Stop {
        Err("the host has gone".to_owned())
    } else {
        start(order).map(|main| {
            record.group = procfs::read(main).map(|leader| (leader.pid, leader.start));
            // Only what remains of a killed supervisor would be found less surely without it.
            let _ = written(&record);
            attend(main, Duration::from_millis(order.grace_millis), &mut events)
        })
    };
    let _ = fs::remove_file(&order.record);
    report
}

fn start(order: &Order) -> Result<i32, String> {
    let input = match &order.stdin {
        Some(path) => File::open(path).map_err(|error| format!("cannot open {}: {error}", path.display()))?.into(),
        None => Stdio::null(),
    };
    let output = || io::stderr().as_fd().try_clone_to_owned().map(Stdio::from).map_err(|error| error.to_string());
    let child = Command::new(&order.program)
        .args(&order.args)
        .current_dir(&order.directory)
        .env_clear()
        .envs(&order.environment)
        .stdin(input)
        .stdout(output()?)
        .stderr(output()?)
        .process_group(0)
        .spawn()
        .map_err(|error| {
            format!("cannot start {} in {}: {error}", order.program.display(), order.directory.display())
        })?;
    i32::try_from(child.id()).map_err(|error| error.to_string())
}

/// Waits for the program's end, or for a reason to end it; then ends whatever it left.
fn attend(main: i32, grace: Duration, events: &mut Events) -> Report {
    let mut children = Children { main, ended: None };
    while children.reap() && children.ended.is_none() && events.wait(Duration::MAX) != Wake::Stop {}
    let left = end_descendants(&mut children, grace, events);
    let end = match children.ended {
        Some(status) => match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => End::Exited(code),
            (None, Some(signal)) => End::Signaled(signal),
            (None, None) => End::Signaled(SIGTERM),
        },
        None => End::Signaled(SIGTERM),
    };
    Report { end, left }
}

/// The children of this process: those it started, and the orphans among its descendants, which it adopts.
struct Children {
    main: i32,
    ended: Option<WaitStatus>,
}

impl Children {
    /// Takes note of those that have ended; whether any remain. None remaining means no descendants at all: each one's
    /// ancestors lead here.
    fn reap(&mut self) -> bool {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid.as_raw_pid() == self.main => self.ended = Some(status),
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }
}

/// Ends every descendant: SIGTERM, and after a while SIGKILL, until none remain. Returns those that could not be ended.
fn end_descendants(children: &mut Children, grace: Duration, events: &mut Events) -> Vec<i32> {
    let began = Instant::now();
    let mut asked = HashSet::new();
    while children.reap() {
        let found = procfs::descendants(&[getpid().as_raw_pid()]);
        if began.elapsed() > grace + GIVE_UP {
            return found.iter().map(|process| process.pid).collect();
        }
        let kill = began.elapsed() >= grace;
        if asked.is_empty()
            && children.ended.is_none()
            && let Some(group) = Pid::from_raw(children.main)
        {
            let _ = kill_process_group(group, Signal::TERM);
        }
        for process in found.iter().filter(|process| !process.zombie) {
            if kill {
                procfs::signal(process, Signal::KILL);
            } else if asked.insert(*process) {
                procfs::signal(process, Signal::TERM);
                // A stopped process takes no notice of SIGTERM before it goes on.
                procfs::signal(process, Signal::CONT);
            }
        }
        events.wait(LOOK_EVERY);
    }
    Vec::new()
}

/// Why a wait ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wake {
    /// The host has closed the pipe or died, or somebody wants this process to end.
    Stop,
    /// A child ended, or the time is over.
    Look,
}

/// What a supervisor waits for.
struct Events {
    child: UnixStream,
    stop: UnixStream,
    stopped: bool,
}

impl Events {
    fn watch() -> io::Result<Self> {
        let (child, on_child) = UnixStream::pair()?;
        let (stop, on_stop) = UnixStream::pair()?;
        child.set_nonblocking(true)?;
        stop.set_nonblocking(true)?;
        signal_hook::low_level::pipe::register(SIGCHLD, on_child)?;
        for signal in [SIGTERM, SIGINT, SIGHUP] {
            signal_hook::low_level::pipe::register(signal, on_stop.try_clone()?)?;
        }
        Ok(Self { child, stop, stopped: false })
    }

    /// Waits for the next event, at most this long. [`Wake::Stop`] is said once.
    fn wait(&mut self, at_most: Duration) -> Wake {
        let lifeline = rustix::stdio::stdin();
        let mut watched = vec![PollFd::new(&self.child, PollFlags::IN)];
        if !self.stopped {
            watched.push(PollFd::new(&self.stop, PollFlags::IN));
            watched.push(PollFd::new(&lifeline, PollFlags::IN));
        }
        let limit = Timespec::try_from(at_most).ok();
        // An interrupted wait is as good as one whose time is over: the caller looks again.
        let _ = poll(&mut watched, limit.as_ref());
        let ready: Vec<bool> = watched.iter().map(|one| !one.revents().is_empty()).collect();
        let mut noticed = [0; 64];
        while self.child.read(&mut noticed).is_ok_and(|count| count > 0) {}
        if !self.stopped && ready.iter().skip(1).any(|ready| *ready) {
            self.stopped = true;
            return Wake::Stop;
        }
        Wake::Look
    }
}
