//! What every action that runs programs is given by its host.

use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use control::ports::ActionRequest;
use engine::Outcome;
use tokio::sync::broadcast;

use super::scratch::Places;
use crate::artifacts::LocalArtifacts;
use crate::config::LocalConfig;
use crate::process::{LOG_CAP_BYTES, LogSink, OutputLine, ProgramEnd, SupervisorCommand, log_path};

/// What a host's actions have in common.
#[derive(Clone)]
pub struct Ctx {
    /// The data directory, absolute: logs, scratch directories and records of what runs lie there.
    pub data: PathBuf,
    /// The artifact store.
    pub artifacts: LocalArtifacts,
    /// Secrets, projects, functions, and what programs inherit of the host's environment.
    pub config: Arc<LocalConfig>,
    /// Which executable supervises programs.
    pub supervisor: SupervisorCommand,
    /// Who is told each line of output as it comes.
    pub output: Option<broadcast::Sender<OutputLine>>,
    /// How many bytes of an action's output are kept.
    pub log_cap_bytes: u64,
    /// How long programs that are stopped have between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// Where programs run.
    pub(crate) places: Places,
}

impl Ctx {
    /// With this executable as supervisor and the usual limits.
    pub fn new(data: PathBuf, artifacts: LocalArtifacts, config: Arc<LocalConfig>) -> Self {
        Self {
            data,
            artifacts,
            config,
            supervisor: SupervisorCommand::default(),
            output: None,
            log_cap_bytes: LOG_CAP_BYTES,
            grace: Duration::from_secs(2),
            places: Places::default(),
        }
    }

    /// The action's log.
    pub(crate) fn log_sink(&self, request: &ActionRequest, secrets: &[String]) -> Result<LogSink, Fault> {
        let path = log_path(&self.data, &request.pipeline, &request.action.key);
        LogSink::new(path, request.action.key.clone(), secrets, self.log_cap_bytes, self.output.clone())
            .map_err(|error| Fault::failed(format!("the log cannot be kept: {error}")))
    }
}

/// Why an action failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    code: &'static str,
    message: String,
}

impl Fault {
    /// The work itself failed.
    pub(crate) fn failed(message: impl Display) -> Self {
        Self { code: "JobFailed", message: message.to_string() }
    }

    /// What is declared or configured cannot be carried out.
    pub(crate) fn configuration(message: impl Display) -> Self {
        Self { code: "ConfigurationError", message: message.to_string() }
    }

    /// For a program that did not end by itself with a status; `None` if it did.
    pub(crate) fn of_end(end: &ProgramEnd, what: &str) -> Option<Self> {
        let (code, message) = match end {
            ProgramEnd::Exited(_) => return None,
            ProgramEnd::Signaled(signal) => ("JobFailed", format!("{what} was ended by signal {signal}")),
            ProgramEnd::NotStarted(reason) => ("JobFailed", reason.clone()),
            ProgramEnd::Lost(reason) => ("JobFailed", format!("{what} was ended: {reason}")),
            ProgramEnd::Stopped => ("Stopped", format!("{what} was stopped")),
            ProgramEnd::TimedOut => ("Timeout", format!("{what} took longer than the action's timeout")),
        };
        Some(Self { code, message })
    }

    /// The same, with where it happened.
    pub(crate) fn within(mut self, place: &str) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }

    /// The same, with the secrets in it masked.
    pub(crate) fn masked(mut self, log: &LogSink) -> Self {
        self.message = log.mask(&self.message);
        self
    }

    /// Secrets masked and the last lines of output added, where the work itself failed.
    pub(crate) fn with_log(self, log: &LogSink) -> Self {
        let mut fault = self.masked(log);
        let tail = log.tail();
        let last = tail.get(tail.len().saturating_sub(LINES_SHOWN)..).unwrap_or_default();
        if fault.code == "JobFailed" && !last.is_empty() {
            fault.message.push_str("\nlast lines of output:");
            for line in last {
                let shown: String = line.chars().take(CHARACTERS_SHOWN).collect();
                fault.message.push_str(&format!("\n  {shown}"));
            }
        }
        fault
    }
}

/// How much of the output a failure's message shows; all of it is in the log.
const LINES_SHOWN: usize = 10;
const CHARACTERS_SHOWN: usize = 200;

impl From<Fault> for Outcome {
    fn from(fault: Fault) -> Self {
        Self::failed(fault.code, fault.message)
    }
}

/// How long the action may still take: until its deadline.
pub(crate) fn time_left(request: &ActionRequest) -> Option<Duration> {
    let now = now_millis();
    let deadline = request.action.deadline?.0;
    Some(Duration::from_millis(u64::try_from(deadline.saturating_sub(now)).unwrap_or(0)))
}

/// Milliseconds since 1970.
pub(crate) fn now_millis() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
