//! Redraws lines in place, without flicker and without leaving traces.

use std::io::{self, Write};

use crate::output;

use super::text::width;

const HIDE_CURSOR: &str = "\x1b[?25l";
const SHOW_CURSOR: &str = "\x1b[?25h";
const BEGIN_UPDATE: &str = "\x1b[?2026h";
const END_UPDATE: &str = "\x1b[?2026l";
const CLEAR_LINE_END: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";

/// The lines last drawn, and how to draw over them. Shows the cursor again when dropped.
pub struct Screen {
    /// The columns of each line drawn.
    drawn: Vec<usize>,
    last: Vec<String>,
    columns: usize,
}

impl Screen {
    /// Takes the terminal: a panic gives it back.
    pub fn new() -> Self {
        static HOOK: std::sync::Once = std::sync::Once::new();
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                let _ = write!(io::stdout(), "{END_UPDATE}{SHOW_CURSOR}");
                let _ = io::stdout().flush();
                before(info);
            }));
        });
        let _ = write!(io::stdout(), "{HIDE_CURSOR}");
        Self { drawn: Vec::new(), last: Vec::new(), columns: output::size().0 }
    }

    /// Columns and rows that a frame may take: the last column and row stay free, so that nothing wraps or scrolls.
    pub fn room() -> (usize, usize) {
        let (columns, rows) = output::size();
        (columns.saturating_sub(1).max(1), rows.saturating_sub(1).max(1))
    }

    /// Draws lines over the ones drawn before; each must fit into the room. `plain` are the same lines without styles.
    pub fn draw(&mut self, lines: &[String]) -> io::Result<()> {
        let (columns, rows) = output::size();
        if lines == self.last && columns == self.columns {
            return Ok(());
        }
        let mut text = String::from(BEGIN_UPDATE);
        text.push_str(&self.back(columns, rows));
        for line in lines {
            text.push_str(line);
            text.push_str(CLEAR_LINE_END);
            text.push_str("\r\n");
        }
        text.push_str(CLEAR_BELOW);
        text.push_str(END_UPDATE);
        self.drawn = lines.iter().map(|line| width(&anstream::adapter::strip_str(line).to_string())).collect();
        self.last = lines.to_vec();
        self.columns = columns;
        write(&text)
    }

    /// Removes what was drawn and prints text that stays above what is drawn next.
    pub fn print_above(&mut self, text: &str) -> io::Result<()> {
        let (columns, rows) = output::size();
        let written = format!(
            "{BEGIN_UPDATE}{}{CLEAR_BELOW}{}{END_UPDATE}",
            self.back(columns, rows),
            text.replace('\n', "\r\n")
        );
        self.drawn.clear();
        self.last.clear();
        write(&written)
    }

    /// Draws the last frame, which stays; it may be higher than the terminal.
    pub fn finish(mut self, lines: &[String]) -> io::Result<()> {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        self.print_above(&text)
    }

    /// The way back to the first line drawn. A terminal that was made narrower has wrapped the lines meanwhile.
    fn back(&self, columns: usize, rows: usize) -> String {
        let taken: usize = self.drawn.iter().map(|line| line.div_ceil(columns.max(1)).max(1)).sum();
        match taken.min(rows.saturating_sub(1)) {
            0 => "\r".into(),
            up => format!("\r\x1b[{up}A"),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = write(SHOW_CURSOR);
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
