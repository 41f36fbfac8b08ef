//! Supervisors as processes: one is started ahead of time, so that a program need not wait for its start.

use std::fmt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::AsyncWriteExt;
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};

use super::SUPERVISE;

/// Which executable supervises. Clones share the supervisor that is kept ready.
#[derive(Clone)]
pub struct SupervisorCommand {
    program: PathBuf,
    args: Vec<String>,
    ready: Arc<Ready>,
}

#[derive(Default)]
struct Ready {
    /// A supervisor that waits for its order. It ends when this is dropped: its standard input closes.
    waiting: Mutex<Option<Child>>,
    /// Whether one is being started.
    starting: AtomicBool,
}

impl fmt::Debug for SupervisorCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SupervisorCommand").field("program", &self.program).field("args", &self.args).finish()
    }
}

impl Default for SupervisorCommand {
    /// This very executable, also when its file was replaced meanwhile.
    fn default() -> Self {
        Self::new("/proc/self/exe".into(), vec![SUPERVISE.into()])
    }
}

impl SupervisorCommand {
    /// An executable that calls [`super::supervise`] when it is given these arguments.
    pub fn new(program: PathBuf, args: Vec<String>) -> Self {
        Self { program, args, ready: Arc::default() }
    }

    /// Starts a supervisor for the next program, behind the scenes, unless one is ready. A host that expects programs
    /// calls it early; each program that is run calls it for the next.
    pub fn prepare(&self) {
        let waits = self.ready.waiting.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        if waits || self.ready.starting.swap(true, Ordering::AcqRel) {
            return;
        }
        let command = self.clone();
        std::thread::spawn(move || {
            // A failure shows when the next program is to be run.
            let started = command.spawn().ok();
            *command.ready.waiting.lock().unwrap_or_else(PoisonError::into_inner) = started;
            command.ready.starting.store(false, Ordering::Release);
        });
    }

    fn spawn(&self) -> std::io::Result<Child> {
        let piped = Stdio::piped;
        Command::new(&self.program).args(&self.args).stdin(piped()).stdout(piped()).stderr(piped()).spawn()
    }

    /// Gives an order to the supervisor that is ready, or to a new one.
    pub(super) async fn give(&self, order: &[u8]) -> Result<Supervisor, String> {
        let waiting = self.ready.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(child) = waiting
            && let Ok(mut supervisor) = Supervisor::of(child)
            // One that has died meanwhile takes no order, and has done nothing.
            && supervisor.lifeline.write_all(order).await.is_ok()
        {
            self.prepare();
            return Ok(supervisor);
        }
        let fault = |error: std::io::Error| format!("cannot start the supervisor {}: {error}", self.program.display());
        let mut supervisor = self.spawn().and_then(Supervisor::of).map_err(fault)?;
        // One that dies before it has read everything shows as one without a report.
        let _ = supervisor.lifeline.write_all(order).await;
        self.prepare();
        Ok(supervisor)
    }
}

/// A supervisor at work.
pub(super) struct Supervisor {
    /// Its end of the process.
    pub process: Reaped,
    /// It ends everything once this is closed.
    pub lifeline: ChildStdin,
    /// What its program writes.
    pub output: ChildStderr,
    /// What it reports itself.
    pub control: ChildStdout,
}

impl Supervisor {
    fn of(mut child: Child) -> std::io::Result<Self> {
        let missing = || std::io::Error::other("it has no pipes");
        let lifeline = ChildStdin::from_std(child.stdin.take().ok_or_else(missing)?)?;
        let control = ChildStdout::from_std(child.stdout.take().ok_or_else(missing)?)?;
        let output = ChildStderr::from_std(child.stderr.take().ok_or_else(missing)?)?;
        Ok(Self { process: Reaped(Some(child)), lifeline, output, control })
    }
}

/// A process whose end is taken note of in any case, so that it does not stay as a zombie.
pub(super) struct Reaped(Option<Child>);

impl Reaped {
    /// Waits for its end, which is near; in words.
    pub(super) async fn wait(mut self) -> String {
        let Some(mut child) = self.0.take() else { return String::new() };
        let ended = match child.try_wait() {
            Ok(Some(status)) => Ok(status),
            Ok(None) | Err(_) => match tokio::task::spawn_blocking(move || child.wait()).await {
                Ok(ended) => ended,
                Err(error) => return error.to_string(),
            },
        };
        ended.map_or_else(|error| error.to_string(), |status| status.to_string())
    }
}

impl Drop for Reaped {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            std::thread::spawn(move || drop(child.wait()));
        }
    }
}
