//! Plain lines, where there is no terminal: each action's start and end. Failures are told whole at the end.

use std::fmt::Write;

use model::Timestamp;

use super::board::{ActionRow, Board, News, State};
use super::text::elapsed;

/// Turns news into lines.
#[derive(Debug, Default)]
pub struct Plain;

impl Plain {
    /// The lines for a piece of news; empty when there is nothing to tell.
    pub fn lines(&self, board: &Board, news: News, now: Timestamp) -> String {
        let since = elapsed(board.span.millis(now).unwrap_or(0));
        match news {
            News::Nothing => String::new(),
            News::Execution if board.state.is_over() => String::new(),
            News::Execution
                if board.state == State::InProgress && board.actions().any(|(_, row)| row.state.is_over()) =>
            {
                format!("{since:>8}  {} goes on after a retry\n", board.pipeline)
            }
            News::Execution => format!("{since:>8}  {} {}\n", board.pipeline, word(board.state)),
            News::Stage(place) => match board.stages[place].state {
                State::Waiting | State::InProgress | State::Succeeded | State::Failed => String::new(),
                state => format!("{since:>8}  {} {}\n", board.stages[place].name, state.as_str()),
            },
            News::Action(stage, place) => {
                let (stage, action) = (&board.stages[stage], &board.stages[stage].actions[place]);
                action_lines(&since, &stage.name, action, now)
            }
        }
    }
}

fn action_lines(since: &str, stage: &str, action: &ActionRow, now: Timestamp) -> String {
    let mut text = format!("{since:>8}  {stage}/{} {}", action.name, word(action.state));
    if action.state.is_over() {
        let _ = write!(text, " in {}", elapsed(action.span.millis(now).unwrap_or(0)));
    }
    if action.attempt > 1 {
        let _ = write!(text, " (attempt {})", action.attempt);
    }
    let remark = if action.state.is_over() { action.remark() } else { String::new() };
    if !remark.is_empty() {
        let _ = write!(text, ": {remark}");
    }
    text.push('\n');
    text
}

fn word(state: State) -> &'static str {
    if state == State::InProgress { "started" } else { state.as_str() }
}
