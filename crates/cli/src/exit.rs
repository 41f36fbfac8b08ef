//! Exit statuses, and how an error is told.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

/// How the command ends, by its exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: the execution, or whatever was asked for, succeeded.
    Succeeded,
    /// 1: it failed.
    Failed,
    /// 2: what was given cannot be used; nothing was started.
    Unusable,
    /// 3: the execution was stopped, superseded or cancelled.
    Ended,
    /// 130: interrupted by Ctrl-C.
    Interrupted,
    /// 141: whoever read the output has gone, as a shell reports SIGPIPE.
    PipeClosed,
    /// Whatever a command that was run ended with.
    OfCommand(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Succeeded => 0,
            Exit::Failed => 1,
            Exit::Unusable => 2,
            Exit::Ended => 3,
            Exit::Interrupted => 130,
            Exit::PipeClosed => 141,
            Exit::OfCommand(code) => code,
        })
    }
}

/// An error that is the fault of what was given: nothing was started, exit status 2.
#[derive(Debug)]
pub struct Unusable(String);

impl Unusable {
    /// With what is wrong and what would be right.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl std::fmt::Display for Unusable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unusable {}

/// Tells an error on standard error, its causes below it, and says what status it ends with.
pub fn report(error: &anyhow::Error) -> Exit {
    if error.chain().any(is_closed_pipe) {
        return Exit::PipeClosed;
    }
    let mut text = format!("error: {error}\n");
    for cause in error.chain().skip(1) {
        text.push_str(&format!("  because: {cause}\n"));
    }
    // Nobody can be told that standard error is closed.
    let _ = std::io::stderr().write_all(text.as_bytes());
    if error.chain().any(|cause| cause.is::<Unusable>()) { Exit::Unusable } else { Exit::Failed }
}

fn is_closed_pipe(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}
