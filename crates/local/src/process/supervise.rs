//! The supervising copy of the binary: runs one program at a time, and ends all of its descendants when it ends, when the
//! host says so, or when the host is gone. It takes the next program only once nothing at all is left of the one before.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process_group, set_child_subreaper, setsid, wait,
};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};

use super::orders::{BEGINS, End, Host, Order, READY, Report};
use super::procfs;
use super::record::{Record, RecordFile, Supervising};

/// How long descendants that cannot be killed (another user's, or stuck in the kernel) are waited for.
const GIVE_UP: Duration = Duration::from_secs(30);
/// Why nothing was started, told to nobody.
const HOST_GONE: &str = "the host has gone";
/// How often descendants are looked for while they end.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What a host's `main` does when its first argument is [`super::SUPERVISE`], before anything else: supervises programs, one
/// after the other, as the socket at standard input says. Returns the exit status.
pub fn supervise() -> i32 {
    // Away from the terminal: Ctrl-C is for the host, which then decides; and commands cannot ask questions there.
    let _ = setsid();
    let host = Host(rustix::stdio::stdin());
    match serve(&host) {
        Ok(()) => 0,
        Err(error) => {
            // Without its word for it the host takes this for a death, which it was.
            let _ = host.say(error.to_string().as_bytes());
            1
        }
    }
}

fn serve(host: &Host<'_>) -> io::Result<()> {
    let mut events = Events::watch()?;
    // Every orphan among a program's descendants becomes a child of this process.
    set_child_subreaper(Some(getpid()))?;
    let own = Supervising::this_process()?;
    let mut records = RecordFile::default();
    host.say(&[READY])?;
    while events.wait_for_order()
        && let Some((order, output)) = host.next()?
    {
        let report = carry_out(host, &order, output, (&own, &mut records), &mut events)
            .unwrap_or_else(|message| Report { end: End::NotStarted(message), left: Vec::new() });
        let mut line = serde_json::to_vec(&report)?;
        line.push(b'\n');
        host.say(&line)?;
        if !report.left.is_empty() {
            break;
        }
    }
    Ok(())
}

fn carry_out(
    host: &Host<'_>,
    order: &Order,
    output: OwnedFd,
    (own, records): (&Supervising, &mut RecordFile),
    events: &mut Events,
) -> Result<Report, String> {
    let fault = |error: io::Error| format!("cannot write {}: {error}", order.record.display());
    let record = Record { own: own.clone(), group: None, id: order.id.clone(), key: order.key.clone() };
    let mut recorded = records.put(&order.record, record).map_err(fault)?;
    host.say(&[BEGINS]).map_err(|_| HOST_GONE.to_owned())?;
    // A host that is gone has not seen the record, or will see it at its next start: either way nothing may start now.
    if events.wait(Duration::ZERO) == Wake::Stop {
        return Err(HOST_GONE.to_owned());
    }
    let main = start(order, output)?;
    // Only what remains of a killed supervisor would be found less surely without it.
    let _ = recorded.group(procfs::read(main).map(|leader| (leader.pid, leader.start)));
    Ok(attend(main, Duration::from_millis(order.grace_millis), events))
}

fn start(order: &Order, output: OwnedFd) -> Result<i32, String> {
    let input = match &order.stdin {
        Some(path) => File::open(path).map_err(|error| format!("cannot open {}: {error}", path.display()))?.into(),
        None => Stdio::null(),
    };
    let errors = output.try_clone().map_err(|error| error.to_string())?;
    let child = Command::new(&order.program)
        .args(&order.args)
        .current_dir(&order.directory)
        .env_clear()
        .envs(&order.environment)
        .stdin(input)
        .stdout(output)
        .stderr(errors)
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

    /// Waits for an order or the socket's end; whether to look which. Otherwise somebody wants this process to end.
    fn wait_for_order(&self) -> bool {
        if self.stopped {
            return false;
        }
        let lifeline = rustix::stdio::stdin();
        loop {
            let mut watched = [PollFd::new(&self.stop, PollFlags::IN), PollFd::new(&lifeline, PollFlags::IN)];
            // An interrupted wait is begun again.
            let _ = poll(&mut watched, None);
            let [stop, socket] = watched.each_ref().map(|one| !one.revents().is_empty());
            if stop || socket {
                return !stop;
            }
        }
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
