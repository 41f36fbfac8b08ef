//! One shell session that runs all commands of an action, phase by phase, so that what one command sets or where it goes
//! holds for the next.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use control::ports::ActionRequest;
use rustix::fs::{Mode, OFlags};
use tokio_util::sync::CancellationToken;

use super::context::{Ctx, Fault, time_left};
use super::scratch::NOTES;
use crate::process::{self, LogSink, ProgramEnd, ProgramSpec};

/// What happens when a phase has failed, after its `finally` commands and its retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterFailure {
    /// The session ends.
    End,
    /// The next phase runs; the session fails nevertheless.
    Continue,
}

/// A group of commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Phase {
    /// Its name, if its begin and end are to be told.
    pub name: Option<&'static str>,
    /// Run in order, up to the first that fails.
    pub commands: Vec<String>,
    /// Run after them in any case, up to the first that fails.
    pub finally: Vec<String>,
    /// How often the phase is run again when it fails.
    pub retries: u32,
    /// What happens then.
    pub after_failure: AfterFailure,
}

/// What to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The shell.
    pub shell: &'static str,
    /// The phases, in order.
    pub phases: Vec<Phase>,
    /// Variables whose values at the end are wanted, where they are set.
    pub capture: BTreeSet<String>,
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionEnd {
    /// Why it failed; none is success.
    pub fault: Option<Fault>,
    /// The values of the variables asked for.
    pub captured: BTreeMap<String, String>,
}

/// Where a session leaves the variables asked for.
const CAPTURED: &str = "captured";

/// The shell's status when the session cannot be noted; one that programs do not end with.
const NOT_NOTED: i32 = 174;

/// How much of a command a failure quotes; the log has all of its line.
const QUOTED_CHARACTERS: usize = 200;

/// The most that is read of a session's notes.
const MOST_NOTES_BYTES: u64 = 1024 * 1024;
/// The most that is read of the variables asked for: more than an action may hand on, so that too many are noticed.
const MOST_CAPTURED_BYTES: u64 = 1024 * 1024;

/// A step that no plan has.
const BEHIND_ALL: usize = 1_000_000_000;

/// One step of the generated script.
#[derive(Clone, Copy)]
enum Step<'p> {
    /// A phase begins.
    Begin(&'p Phase),
    /// A command; where to go on when it fails.
    Command(&'p str, usize),
    /// A phase ends; where it begins.
    End(&'p Phase, usize),
}

/// Steps are numbered from 1: what the script calls them.
fn steps(plan: &Plan) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    for phase in &plan.phases {
        let begin = steps.len() + 1;
        let finally = begin + 1 + phase.commands.len();
        let end = finally + phase.finally.len();
        steps.push(Step::Begin(phase));
        steps.extend(phase.commands.iter().map(|command| Step::Command(command, finally)));
        steps.extend(phase.finally.iter().map(|command| Step::Command(command, end)));
        steps.push(Step::End(phase, begin));
    }
    steps
}

/// A command as messages show it.
fn first_line(command: &str) -> String {
    match command.trim().split_once('\n') {
        Some((first, _)) => format!("{} ...", first.trim_end()),
        None => command.trim().to_owned(),
    }
}

/// A command as failures quote it: without secrets and not too long. Cut first, half a secret would be left.
fn blamed_command(command: &str, log: &LogSink) -> String {
    let line = first_line(&log.mask(command));
    match line.char_indices().nth(QUOTED_CHARACTERS) {
        Some((end, _)) => format!("{} ...", line.get(..end).unwrap_or_default().trim_end()),
        None => line,
    }
}

/// Quotes for a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The script: a state machine over the steps, in one shell, with `eval` for each command.
///
/// A command that leaves the shell (`exit`, or any failure under `set -e`) ends only itself: the script goes on in a new
/// shell of the same process, with directory and exported variables as they were, and whatever runs in the background.
///
/// Its arguments are the session's directory and where to go on. It says nothing of the action, so that all that run the
/// same commands share it.
fn script(plan: &Plan) -> String {
    let steps = steps(plan);
    let mut text = format!(
        r#"__penstock_file=$0; __penstock_dir=$1; __penstock_step=${{2:-1}}; __penstock_failed=${{3:-0}}
__penstock_broken=${{4:-0}}; __penstock_tries=${{5:-0}}
__penstock_at=0; __penstock_else=0; set --
__penstock_say() {{ printf '[penstock] %s\n' "$1"; }}
__penstock_lost() {{ trap - EXIT; exit {NOT_NOTED}; }}
__penstock_note() {{ printf '%s\n' "$1" >> "$__penstock_dir/{NOTES}" || __penstock_lost; }}
__penstock_ended() {{
  if [ "$1" -eq 0 ]; then __penstock_step=$((__penstock_at + 1)); else
    __penstock_note "fail $__penstock_at $1"; __penstock_say "Command did not exit successfully: exit status $1"
    __penstock_broken=1; CODEBUILD_BUILD_SUCCEEDING=0; export CODEBUILD_BUILD_SUCCEEDING; __penstock_step=$__penstock_else
  fi
  __penstock_at=0
}}
__penstock_left() {{
  if [ "$__penstock_at" -gt 0 ]; then
    __penstock_ended "$1"
    exec {shell} "$__penstock_file" "$__penstock_dir" "$__penstock_step" "$__penstock_failed" \
      "$__penstock_broken" "$__penstock_tries"
  fi
}}
trap '__penstock_left $?' EXIT
while [ "$__penstock_step" -le {last} ]; do
[ "$__penstock_at" -eq 0 ] || __penstock_ended 0
"#,
        shell = plan.shell,
        last = steps.len(),
    );
    let mut trapped = false;
    for (number, step) in (1..).zip(&steps) {
        trapped |= matches!(step, Step::Command(command, _) if command.contains("trap"));
        // Writing to a string cannot fail.
        let _ = write!(text, "if [ \"$__penstock_step\" -eq {number} ]; then\n{}\nfi\n", body(number, *step, trapped));
    }
    // A command that continues or breaks a loop that it does not have ends itself, not this one. An EXIT trap of a
    // command runs when the session's shell ends.
    let _ = writeln!(text, "done\n__penstock_left 0");
    if !plan.capture.is_empty() {
        let _ = writeln!(text, "{{ :");
        for name in &plan.capture {
            let _ = writeln!(
                text,
                "if [ -n \"${{{name}+set}}\" ]; then printf '%s=%s\\000' {name} \"${name}\" || __penstock_lost; fi"
            );
        }
        let _ = writeln!(text, "}} >| \"$__penstock_dir/{CAPTURED}\" || __penstock_lost");
    }
    let _ = writeln!(text, "__penstock_note done; exit \"$__penstock_failed\"");
    text
}

/// `trapped`: a command may have set an EXIT trap of its own, by which the session ends when a command leaves the shell.
fn body(number: usize, step: Step<'_>, trapped: bool) -> String {
    let say = |text: &str| format!("__penstock_say {}", quoted(text));
    match step {
        Step::Begin(phase) => {
            let told = phase.name.map(|name| say(&format!("Entering phase {name}")) + "\n").unwrap_or_default();
            format!("{told}__penstock_step={}", number + 1)
        }
        Step::Command(command, on_failure) => format!(
            "__penstock_at={number}; __penstock_else={on_failure}\n{}{}\neval {}\n__penstock_ended $?",
            if trapped { format!("__penstock_note 'at {number}'\n") } else { String::new() },
            say(&format!("Running command {}", first_line(command))),
            quoted(command),
        ),
        Step::End(phase, begin) => {
            let told = |state: &str| {
                phase.name.map(|name| say(&format!("Phase complete: {name} State: {state}")) + "\n").unwrap_or_default()
            };
            let next = match phase.after_failure {
                AfterFailure::End => BEHIND_ALL,
                AfterFailure::Continue => number + 1,
            };
            format!(
                r#"if [ "$__penstock_broken" -eq 0 ]; then {succeeded}__penstock_tries=0; __penstock_step={after}
elif [ "$__penstock_tries" -lt {retries} ]; then
{failed}__penstock_tries=$((__penstock_tries + 1)); __penstock_say "Retry $__penstock_tries of {retries}"; __penstock_note retry
[ "$__penstock_failed" -eq 1 ] || CODEBUILD_BUILD_SUCCEEDING=1
__penstock_broken=0; __penstock_step={begin}
else {failed}__penstock_note failed; __penstock_failed=1; __penstock_broken=0; __penstock_tries=0; __penstock_step={next}
fi"#,
                succeeded = told("SUCCEEDED"),
                failed = told("FAILED"),
                after = number + 1,
                retries = phase.retries,
            )
        }
    }
}

/// Runs the commands in the directory `at`; `session` is a directory for what the session needs itself.
pub(crate) async fn run(
    ctx: &Ctx,
    request: &ActionRequest,
    plan: &Plan,
    place: (PathBuf, PathBuf),
    environment: BTreeMap<String, String>,
    log: &LogSink,
    stop: &CancellationToken,
) -> SessionEnd {
    let (directory, session) = place;
    let script = match ctx.places.script(&ctx.data, &script(plan)) {
        Ok(script) => script,
        Err(error) => {
            let fault = Fault::failed(format!("cannot write the session's script: {error}"));
            return SessionEnd { fault: Some(fault), captured: BTreeMap::new() };
        }
    };
    let spec = ProgramSpec {
        data: ctx.data.clone(),
        supervisor: ctx.supervisor.clone(),
        id: request.action.id.to_string(),
        key: request.action.key.clone(),
        program: plan.shell.into(),
        args: vec![script.path().display().to_string(), session.display().to_string()],
        directory,
        environment,
        stdin: None,
        timeout: time_left(request),
        grace: ctx.grace,
    };
    let end = process::run(spec, log, stop).await;
    let notes = String::from_utf8(read_own(&session.join(NOTES), MOST_NOTES_BYTES)).unwrap_or_default();
    let captured = match plan.capture.is_empty() {
        true => Vec::new(),
        false => read_own(&session.join(CAPTURED), MOST_CAPTURED_BYTES),
    };
    let captured = read_captured(&captured);
    SessionEnd { fault: judge(plan, &end, &notes, &session, log).map(|fault| fault.with_log(log)), captured }
}

/// What a session left in a file, at most so much. A link, pipe or device that a command put in its place is not read: it
/// may have no end.
fn read_own(path: &Path, most: u64) -> Vec<u8> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path, flags, Mode::empty()).map(fs::File::from);
    let mut bytes = Vec::new();
    if let Ok(file) = opened
        && file.metadata().is_ok_and(|meta| meta.is_file())
        && file.take(most).read_to_end(&mut bytes).is_err()
    {
        bytes.clear();
    }
    bytes
}

fn read_captured(bytes: &[u8]) -> BTreeMap<String, String> {
    let entries = bytes.split(|byte| *byte == 0).filter_map(|entry| std::str::from_utf8(entry).ok()?.split_once('='));
    entries.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Why the session failed: the first command that failed in the last try of the first phase that failed.
fn judge(plan: &Plan, end: &ProgramEnd, notes: &str, session: &Path, log: &LogSink) -> Option<Fault> {
    let shell = format!("the shell {}", plan.shell);
    if let Some(fault) = Fault::of_end(end, &shell) {
        return Some(fault);
    }
    let command_at = |number: &str| match steps(plan).get(number.parse::<usize>().ok()?.checked_sub(1)?) {
        Some(Step::Command(command, _)) => Some(blamed_command(command, log)),
        _ => None,
    };
    let before: Vec<&str> = notes.lines().take_while(|line| *line != "failed").collect();
    let last_try = before.rsplit(|line| *line == "retry").next().unwrap_or_default();
    let blamed = last_try.iter().find_map(|line| line.strip_prefix("fail "));
    if notes.lines().any(|line| line == "failed") {
        let (number, status) = blamed?.split_once(' ')?;
        let command =
            command_at(number).map_or_else(|| "a command".to_owned(), |command| format!("the command `{command}`"));
        return Some(Fault::failed(format!("{command} failed with exit status {status}")));
    }
    let finished = notes.lines().any(|line| line == "done");
    match end {
        ProgramEnd::Exited(0) if finished => None,
        ProgramEnd::Exited(NOT_NOTED) if !finished => {
            let why = "is the disk full? Make room there, then run again";
            Some(Fault::failed(format!("the session's notes cannot be written in {}: {why}", session.display())))
        }
        ProgramEnd::Exited(status) if finished => {
            Some(Fault::failed(format!("an EXIT trap of the commands ended with exit status {status}")))
        }
        ProgramEnd::Exited(status) => {
            let at = notes.lines().rev().find_map(|line| line.strip_prefix("at ")).and_then(command_at);
            if let Some(command) = at {
                let how = "left the session's shell, which an EXIT trap of the commands then ended";
                let why = format!("the command `{command}` {how}, with exit status {status}: nothing after it ran");
                return Some(Fault::failed(why));
            }
            let why = "a command replaced the session's shell (by `exec`)";
            Some(Fault::failed(format!("{shell} ended with exit status {status} before all commands had run: {why}")))
        }
        _ => None,
    }
}
