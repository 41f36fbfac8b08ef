//! The three ways to show a run: a live tree, plain lines, events as JSON.

use std::io::{self, Write};

use model::Timestamp;
use serde_json::Value;

use crate::args::Format;
use crate::output::{self, Look};
use crate::progress::{Board, Frame, News, Plain, Screen, frame};

/// How a run is shown. Output that nobody reads any more is dropped: the run goes on to its end.
pub enum View {
    /// On a terminal.
    Live(Option<Screen>, Look),
    /// In a pipe.
    Plain,
    /// For programs.
    Json,
}

impl View {
    /// As the format and standard output want it.
    pub fn new(format: Format) -> Self {
        match format {
            Format::Json => Self::Json,
            Format::Text if output::is_live() => Self::Live(None, Look::of_stdout()),
            Format::Text => Self::Plain,
        }
    }

    /// An event of the run.
    pub fn event(&mut self, event: &Value) {
        if matches!(self, Self::Json) {
            print(&format!("{event}\n"));
        }
    }

    /// What an event changed.
    pub fn news(&mut self, board: &Board, news: News, now: Timestamp) {
        match self {
            Self::Plain => print(&Plain.lines(board, news, now)),
            Self::Live(..) | Self::Json => {}
        }
    }

    /// Something to tell people, beside what happens.
    pub fn say(&mut self, text: &str) {
        match self {
            Self::Plain => print(&format!("{text}\n")),
            Self::Live(Some(screen), _) => drop(screen.print_above(&format!("{text}\n"))),
            Self::Live(None, _) => print(&format!("{text}\n")),
            Self::Json => drop(writeln!(io::stderr(), "{text}")),
        }
    }

    /// Redraws what is live.
    pub fn draw(&mut self, board: &Board, now: Timestamp) {
        if let Self::Live(screen, look) = self {
            let (columns, rows) = Screen::room();
            let lines = frame(board, Frame { now, columns, rows: Some(rows), look: *look });
            // A terminal that is gone cannot be drawn on; the run goes on.
            drop(screen.get_or_insert_with(Screen::new).draw(&lines));
        }
    }

    /// Leaves the last state of a board on the terminal.
    pub fn settle(&mut self, board: &Board, now: Timestamp) {
        if let Self::Live(screen, look) = self {
            let (columns, _) = Screen::room();
            let lines = frame(board, Frame { now, columns, rows: None, look: *look });
            drop(screen.take().unwrap_or_else(Screen::new).finish(&lines));
        }
    }

    /// What is told at the end.
    pub fn close(&mut self, text: &str) {
        match self {
            Self::Live(..) | Self::Plain => print(text),
            Self::Json => drop(io::stderr().write_all(text.as_bytes())),
        }
    }

    /// How what is told at the end looks.
    pub fn look(&self) -> Look {
        match self {
            Self::Live(_, look) => *look,
            Self::Plain => Look::of_stdout(),
            Self::Json => Look::of_stderr(),
        }
    }
}

fn print(text: &str) {
    let mut out = io::stdout().lock();
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}
