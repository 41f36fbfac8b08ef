//! The tree of an execution as lines, made to fit a terminal. Pure: the same board gives the same lines.

use anstyle::Style;
use model::Timestamp;

use crate::output::{ATTENTION, BAD, BUSY, DIM, GOOD, Look, STRONG};

use super::board::{ActionRow, Board, Span, StageRow, State};
use super::text::{cut, elapsed, pad, width};

const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const ASCII_SPINNER: [&str; 4] = ["-", "\\", "|", "/"];
const SPINNER_MILLIS: i64 = 100;

/// What a frame is drawn for.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// Now.
    pub now: Timestamp,
    /// The columns it may take.
    pub columns: usize,
    /// The rows it may take; none is as many as it needs.
    pub rows: Option<usize>,
    /// What the terminal can show.
    pub look: Look,
}

/// The lines of a board.
pub fn frame(board: &Board, with: Frame) -> Vec<String> {
    let mut lines = vec![header(board, with)];
    let footer =
        board.footer.as_deref().map(|text| with.look.paint(ATTENTION, &cut(text, with.columns, with.look.unicode)));
    let room = with.rows.map(|rows| rows.saturating_sub(1 + usize::from(footer.is_some())));
    let names = name_columns(board, with.columns);
    lines.extend(rows(board, room).iter().map(|row| row.line(board, names, with)));
    lines.extend(footer);
    if let Some(rows) = with.rows {
        lines.truncate(rows);
    }
    lines
}

fn header(board: &Board, with: Frame) -> String {
    let time = time(board.span, with.now);
    let (mark, style) = mark(board.state, false, with);
    let status = board.state.as_str();
    let taken = width(mark) + width(status) + width(&time) + 5;
    let head = format!("{} {}", board.pipeline, board.execution);
    let head = cut(&head, with.columns.saturating_sub(taken), with.look.unicode);
    let line = Line::new(with).push(style, mark).push(Style::new(), " ").push(STRONG, &head);
    line.push(Style::new(), "  ").push(style, status).push(Style::new(), &format!("  {time}")).finish()
}

/// The columns of the names: as wide as the widest, at most two fifths of the line.
fn name_columns(board: &Board, columns: usize) -> usize {
    let stages = board.stages.iter().map(|stage| width(&stage.name));
    let actions = board.actions().map(|(_, action)| width(&action.name) + 2);
    stages.chain(actions).max().unwrap_or(0).min(columns * 2 / 5)
}

/// One row below the header.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Row {
    Stage(usize),
    Action(usize, usize),
    /// Stages without rows of their own: from, to, what they are.
    Stages(usize, usize, State),
    /// Actions without rows of their own.
    Actions {
        succeeded: usize,
        running: usize,
        others: usize,
    },
}

/// The rows of a board, in at most `room` lines where that is possible: first what has succeeded loses its actions, then
/// what is to come, then both become one line each, then the least telling actions are counted only.
fn rows(board: &Board, room: Option<usize>) -> Vec<Row> {
    let all: Vec<Row> = expanded(board, |_| true);
    let Some(room) = room else { return all };
    let is_quiet = |state: State| matches!(state, State::Succeeded | State::Skipped);
    let steps: [&dyn Fn() -> Vec<Row>; 3] = [
        &|| expanded(board, |stage| !is_quiet(stage.state)),
        &|| expanded(board, |stage| !is_quiet(stage.state) && stage.state != State::Waiting),
        &|| merged(board, expanded(board, |stage| !is_quiet(stage.state) && stage.state != State::Waiting)),
    ];
    if all.len() <= room {
        return all;
    }
    let mut rows = all;
    for step in steps {
        rows = step();
        if rows.len() <= room {
            return rows;
        }
    }
    shortened(board, rows, room)
}

fn expanded(board: &Board, shows_actions: impl Fn(&StageRow) -> bool) -> Vec<Row> {
    let mut rows = Vec::new();
    for (place, stage) in board.stages.iter().enumerate() {
        rows.push(Row::Stage(place));
        if shows_actions(stage) {
            rows.extend((0..stage.actions.len()).map(|action| Row::Action(place, action)));
        }
    }
    rows
}

/// Two or more stages of one quiet state in a row become one line.
fn merged(board: &Board, rows: Vec<Row>) -> Vec<Row> {
    let mut merged: Vec<Row> = Vec::new();
    for row in rows {
        let Row::Stage(place) = row else {
            merged.push(row);
            continue;
        };
        let state = board.stages[place].state;
        let is_quiet = matches!(state, State::Succeeded | State::Skipped | State::Waiting);
        match merged.last_mut() {
            Some(Row::Stages(_, to, of)) if is_quiet && *of == state => *to = place,
            _ if is_quiet => merged.push(Row::Stages(place, place, state)),
            _ => merged.push(row),
        }
    }
    let alone = |row| {
        if let Row::Stages(from, to, _) = row
            && from == to
        {
            Row::Stage(from)
        } else {
            row
        }
    };
    merged.into_iter().map(alone).collect()
}

/// Keeps the most telling action rows and counts the others in one line at the end.
fn shortened(board: &Board, mut rows: Vec<Row>, room: usize) -> Vec<Row> {
    let is_quiet = |row: &Row| match row {
        Row::Stage(place) => !matches!(board.stages[*place].state, State::InProgress | State::Failed),
        Row::Stages(..) => true,
        Row::Action(..) | Row::Actions { .. } => false,
    };
    // Rather an action that runs than a stage of which there is nothing to tell.
    while rows.iter().filter(|row| !matches!(row, Row::Action(..))).count() + 2 > room
        && let Some(place) = rows.iter().rposition(is_quiet)
    {
        rows.remove(place);
    }
    if rows.len() <= room {
        return rows;
    }
    let others = rows.iter().filter(|row| !matches!(row, Row::Action(..))).count();
    let kept = room.saturating_sub(others + 1);
    let mut ranked: Vec<(u8, usize)> =
        rows.iter().enumerate().filter_map(|(at, row)| Some((rank(board, row)?, at))).collect();
    ranked.sort_unstable();
    let dropped: std::collections::BTreeSet<usize> = ranked.iter().skip(kept).map(|(_, at)| *at).collect();
    let (mut succeeded, mut running, mut rest) = (0, 0, 0);
    for at in &dropped {
        match action_of(board, &rows[*at]).map(|action| action.state) {
            Some(State::Succeeded) => succeeded += 1,
            Some(State::InProgress) => running += 1,
            _ => rest += 1,
        }
    }
    let last = dropped.last().copied();
    let mut short = Vec::with_capacity(room);
    for (at, row) in rows.into_iter().enumerate() {
        if !dropped.contains(&at) {
            short.push(row);
        }
        if Some(at) == last {
            short.push(Row::Actions { succeeded, running, others: rest });
        }
    }
    short
}

fn action_of<'a>(board: &'a Board, row: &Row) -> Option<&'a ActionRow> {
    match row {
        Row::Action(stage, action) => board.stages.get(*stage)?.actions.get(*action),
        Row::Stage(_) | Row::Stages(..) | Row::Actions { .. } => None,
    }
}

/// Failures first, then approvals, then what runs, then what is to come, then what is over.
fn rank(board: &Board, row: &Row) -> Option<u8> {
    let action = action_of(board, row)?;
    Some(match action.state {
        State::Failed => 0,
        State::InProgress if action.is_approval => 1,
        State::InProgress | State::Stopping => 2,
        State::Waiting => 3,
        _ => 4,
    })
}

impl Row {
    fn line(&self, board: &Board, names: usize, with: Frame) -> String {
        match self {
            Self::Stage(place) => stage_line(&board.stages[*place], names, with),
            Self::Action(stage, action) => action_line(&board.stages[*stage].actions[*action], names, with),
            Self::Stages(from, to, state) => {
                let count = to - from + 1;
                let what = if *state == State::Waiting { "to come" } else { state.as_str() };
                let text = format!("{} {count} stages {what}", mark(*state, false, with).0);
                with.look.paint(DIM, &cut(&text, with.columns, with.look.unicode))
            }
            Self::Actions { succeeded, running, others } => {
                let text = format!("    {succeeded} more Succeeded, {running} InProgress, {others} others");
                with.look.paint(DIM, &cut(&text, with.columns, with.look.unicode))
            }
        }
    }
}

fn stage_line(stage: &StageRow, names: usize, with: Frame) -> String {
    let (mark, style) = mark(stage.state, false, with);
    let name = pad(&cut(&stage.name, names + 2, with.look.unicode), names + 2);
    let line = Line::new(with).push(style, mark).push(Style::new(), " ").push(STRONG, &name);
    line.status(stage.state, stage.span, style).finish()
}

fn action_line(action: &ActionRow, names: usize, with: Frame) -> String {
    let waits = action.is_approval && action.state == State::InProgress;
    let (mark, style) = mark(action.state, waits, with);
    let name = pad(&cut(&action.name, names, with.look.unicode), names);
    let line = Line::new(with).push(style, "  ").push(style, mark).push(Style::new(), " ").push(Style::new(), &name);
    let line = line.status(action.state, action.span, style);
    let tries = if action.attempt > 1 { format!("  attempt {}", action.attempt) } else { String::new() };
    let line = line.push(DIM, &tries);
    let remark = action.remark();
    if remark.is_empty() {
        return line.finish();
    }
    let style = if action.state == State::Failed {
        BAD
    } else if waits {
        ATTENTION
    } else {
        DIM
    };
    line.push(Style::new(), "  ").push(style, &remark).finish()
}

/// A line that is made piece by piece and never longer than the terminal.
struct Line {
    text: String,
    left: usize,
    with: Frame,
}

impl Line {
    fn new(with: Frame) -> Self {
        Self { text: String::new(), left: with.columns, with }
    }

    fn push(mut self, style: Style, text: &str) -> Self {
        let shown = cut(text, self.left, self.with.look.unicode);
        self.left -= width(&shown);
        if !shown.is_empty() {
            self.text.push_str(&self.with.look.paint(style, &shown));
        }
        self
    }

    fn status(self, state: State, span: Span, style: Style) -> Self {
        if state == State::Waiting {
            return self;
        }
        let time = time(span, self.with.now);
        self.push(Style::new(), "  ").push(style, &pad(state.as_str(), 10)).push(Style::new(), &format!("  {time:>7}"))
    }

    fn finish(self) -> String {
        self.text
    }
}

fn time(span: Span, now: Timestamp) -> String {
    span.millis(now).map(elapsed).unwrap_or_default()
}

/// The symbol and style of a state.
fn mark(state: State, waits: bool, with: Frame) -> (&'static str, Style) {
    let unicode = with.look.unicode;
    let pick = |symbol: &'static str, ascii: &'static str| if unicode { symbol } else { ascii };
    match state {
        State::Waiting => (pick("○", "."), DIM),
        State::InProgress if waits => ("?", ATTENTION),
        State::InProgress | State::Stopping => (spinner(with), BUSY),
        State::Succeeded => (pick("✓", "+"), GOOD),
        State::Failed => (pick("✗", "x"), BAD),
        State::Stopped | State::Abandoned | State::Cancelled | State::Superseded => (pick("■", "="), ATTENTION),
        State::Skipped => (pick("–", "-"), DIM),
    }
}

fn spinner(with: Frame) -> &'static str {
    let turn = usize::try_from(with.now.0 / SPINNER_MILLIS).unwrap_or(0);
    if with.look.unicode { SPINNER[turn % SPINNER.len()] } else { ASCII_SPINNER[turn % ASCII_SPINNER.len()] }
}

#[cfg(test)]
mod tests;
