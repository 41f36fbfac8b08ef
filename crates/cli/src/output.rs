//! What the terminal can show: colours, live redraw, Unicode, and its size.

use std::io::IsTerminal;

use anstyle::{AnsiColor, Style};

/// What a stream can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Look {
    /// Colours.
    pub colour: bool,
    /// Box drawing and symbols.
    pub unicode: bool,
}

impl Look {
    /// Of standard output.
    pub fn of_stdout() -> Self {
        Self::of(std::io::stdout().is_terminal())
    }

    /// Of standard error.
    pub fn of_stderr() -> Self {
        Self::of(std::io::stderr().is_terminal())
    }

    fn of(terminal: bool) -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { colour: terminal && !no_color && !is_dumb(), unicode: terminal && has_unicode() }
    }

    /// Text in a style, where there are colours.
    pub fn paint(self, style: Style, text: &str) -> String {
        if self.colour { format!("{style}{text}{style:#}") } else { text.into() }
    }
}

/// Whether standard output can be redrawn in place.
pub fn is_live() -> bool {
    std::io::stdout().is_terminal() && !is_dumb()
}

/// Columns and rows of the terminal, or 80 × 24 where nobody tells.
pub fn size() -> (usize, usize) {
    match rustix::termios::tcgetwinsize(std::io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
        _ => (80, 24),
    }
}

fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

fn has_unicode() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(|name| {
        let value = std::env::var(name).ok()?;
        (!value.is_empty()).then_some(value)
    });
    locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

/// Good news.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// Bad news.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// What wants attention.
pub const ATTENTION: Style = AnsiColor::Yellow.on_default();
/// What is going on.
pub const BUSY: Style = AnsiColor::Cyan.on_default();
/// What matters less.
pub const DIM: Style = Style::new().dimmed();
/// What matters more.
pub const STRONG: Style = Style::new().bold();
