//! What is told at the end: each failure with its last lines and what to do, then what ran and where to look.

use std::fmt::{Display, Write};
use std::path::Path;

use local::process::log_cut_at;
use model::Timestamp;

use crate::output::{ATTENTION, BAD, DIM, GOOD, Look, STRONG};

use super::board::{ActionRow, Board, State};
use super::text::elapsed;

/// Where things lie.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// The data directory.
    pub data: &'a Path,
    /// Below it, or elsewhere: the artifacts.
    pub artifacts: &'a Path,
    /// The logs, if any action said something.
    pub logs: Option<&'a Path>,
}

/// What a runner writes before the lines of output that it quotes in a message.
pub(super) const QUOTED_OUTPUT: &str = "last lines of output:";

/// Every failed action: why, its last lines, what to do.
pub fn failures(board: &Board, look: Look, log_of: impl Fn(&ActionRow) -> Option<String>) -> String {
    let mut text = String::new();
    for (stage, action) in board.actions().filter(|(_, action)| action.state == State::Failed) {
        let title = format!("{}/{} failed", stage.name, action.name);
        let _ = writeln!(text, "\n{}", look.paint(BAD, &title));
        if let Some((code, message)) = &action.error {
            // Runners quote the output's end in the message; here it stands below, and more of it.
            let message = message.iter().take_while(|line| action.tail.is_empty() || *line != QUOTED_OUTPUT);
            let message: Vec<&str> = message.map(String::as_str).collect();
            let _ = writeln!(text, "  {code}: {}", message.join("\n  "));
        }
        push_output(&mut text, &action.tail, look);
        push_log(&mut text, log_of(action).as_deref());
        let _ = writeln!(text, "  {}", advice(action));
    }
    text
}

/// The last lines of an output.
pub(super) fn push_output(text: &mut String, lines: impl IntoIterator<Item = impl Display>, look: Look) {
    let bar = if look.unicode { "│" } else { "|" };
    for line in lines {
        let _ = writeln!(text, "  {} {line}", look.paint(DIM, bar));
    }
}

/// Where all of it is, or what the log's cap left of it.
pub(super) fn push_log(text: &mut String, log: Option<&str>) {
    const MEBIBYTE: u64 = 1024 * 1024;
    if let Some(log) = log {
        let what = match log_cut_at(Path::new(log)) {
            Some(bytes) if bytes % MEBIBYTE == 0 => format!("the first {} MiB of the output", bytes / MEBIBYTE),
            Some(bytes) => format!("the first {bytes} bytes of the output"),
            None => "the whole output".into(),
        };
        let _ = writeln!(text, "  {what}: {log}");
    }
}

fn advice(action: &ActionRow) -> &'static str {
    let code = action.error.as_ref().map_or("", |(code, _)| code.as_str());
    match code {
        "ConfigurationError" => {
            "what to do: mend it in the pipeline file, in penstock.toml or in the source (and commit), then run again"
        }
        "Timeout" | "TimedOut" => {
            "what to do: raise the action's timeoutInMinutes, or find what it waited for; then run again"
        }
        "Rejected" | "ApprovalRejected" => "what to do: nothing to mend: somebody said no",
        _ if action.is_approval => "what to do: nobody approved it; run again and decide in time",
        _ => "what to do: mend what the output shows, then run again",
    }
}

/// What ran, how long, and where to look.
pub fn summary(board: &Board, places: Places<'_>, now: Timestamp, look: Look) -> String {
    let style = match board.state {
        State::Succeeded => GOOD,
        State::Failed => BAD,
        _ => ATTENTION,
    };
    let took = elapsed(board.span.millis(now).unwrap_or(0));
    let mut text = format!("\n{} in {took}: {}\n", look.paint(style, board.state.as_str()), counts(board));
    let mut place = |what: &str, value: String| {
        let _ = writeln!(text, "  {} {value}", look.paint(STRONG, &format!("{what:<10}")));
    };
    place("execution", board.execution.clone());
    place("artifacts", places.artifacts.display().to_string());
    place(
        "logs",
        places.logs.map_or_else(|| "none: no action said anything".into(), |logs| logs.display().to_string()),
    );
    place("history", format!("penstock history {} --data {}", board.pipeline, quoted(places.data)));
    text
}

fn counts(board: &Board) -> String {
    let order = [State::Succeeded, State::Failed, State::Stopped, State::Abandoned, State::Cancelled];
    let count = |state: State| board.actions().filter(|(_, action)| action.state == state).count();
    let mut parts: Vec<String> = order
        .into_iter()
        .filter_map(|state| match count(state) {
            0 => None,
            n => Some(format!("{n} {}", state.as_str())),
        })
        .collect();
    let waiting = board.actions().filter(|(_, action)| action.state == State::Waiting);
    let (skipped, others): (Vec<_>, Vec<_>) = waiting.partition(|(stage, _)| stage.state == State::Skipped);
    for (actions, what) in [(skipped, "skipped"), (others, "not run")] {
        if !actions.is_empty() {
            parts.push(format!("{} {what}", actions.len()));
        }
    }
    let total = board.actions().count();
    format!("{total} action{}, {}", if total == 1 { "" } else { "s" }, parts.join(", "))
}

/// A path as a shell reads it.
pub fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@".contains(c);
    if text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_was_cut_is_not_called_whole() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("Build.log");
        for (end, expected) in [
            ("", "the whole output"),
            ("[penstock] The output exceeds 10485760 bytes; the rest was dropped.\n", "the first 10 MiB of the output"),
            ("[penstock] The output exceeds 1000 bytes; the rest was dropped.\n", "the first 1000 bytes of the output"),
        ] {
            std::fs::write(&log, format!("a line\n{end}")).unwrap();
            let mut text = String::new();
            push_log(&mut text, log.to_str());
            assert_eq!(text, format!("  {expected}: {}\n", log.display()));
        }
    }
}
