//! Text as a terminal shows it: columns, cuts and durations.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The most characters of a line of output that are kept.
const MAX_LINE: usize = 500;

/// The columns that a text takes.
pub fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// As much of a text as fits into `columns`, an ellipsis at its end where it was cut.
pub fn cut(text: &str, columns: usize, unicode: bool) -> String {
    if width(text) <= columns {
        return text.into();
    }
    let ellipsis = if unicode { "…" } else { "..." };
    let ellipsis = if columns >= width(ellipsis) { ellipsis } else { "" };
    format!("{}{ellipsis}", prefix(text, columns - width(ellipsis)))
}

/// The longest prefix that fits; what belongs to its last character (a combining mark, a joined emoji) stays with it.
fn prefix(text: &str, columns: usize) -> &str {
    let mut end = 0;
    for (at, c) in text.char_indices() {
        let next = at + c.len_utf8();
        if width(&text[..next]) > columns {
            break;
        }
        end = next;
    }
    &text[..end]
}

/// A text followed by spaces up to `columns`.
pub fn pad(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

/// A line of a program's output, safe to show; of one that redraws itself only what stands last.
pub fn clean_output(line: &str) -> String {
    let line = line.trim_end_matches(['\r', '\n']);
    clean(line.rsplit('\r').next().unwrap_or(line))
}

/// The first line of a text of several, such as a commit's message, safe to show. Each of CR, LF and CRLF ends a line.
pub fn first_line(text: &str) -> String {
    clean(text.split(['\r', '\n']).next().unwrap_or_default())
}

/// A text for one line, safe to show: no escape sequences, no control characters.
pub fn clean(text: &str) -> String {
    let stripped = anstream::adapter::strip_str(text).to_string();
    let mut text = String::with_capacity(stripped.len());
    for c in stripped.chars().take(MAX_LINE) {
        match c {
            '\t' => text.push_str("  "),
            c if c.is_control() || turns(c) => {}
            c if text.is_empty() && c.width() == Some(0) => {}
            c => text.push(c),
        }
    }
    text
}

/// Whether a character is a direction mark, which reorders what stands beside it.
pub fn turns(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A duration for people, from milliseconds: `0.3 s`, `12.4 s`, `1m 05s`, `1h 02m`, `2d 03h`.
pub fn elapsed(millis: u64) -> String {
    let seconds = millis / 1000;
    if seconds < 60 {
        return format!("{}.{} s", seconds, millis % 1000 / 100);
    }
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    if hours == 0 {
        format!("{minutes}m {:02}s", seconds % 60)
    } else if days == 0 {
        format!("{hours}h {:02}m", minutes % 60)
    } else {
        format!("{days}d {:02}h", hours % 24)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_count_columns_and_keep_characters_whole() {
        assert_eq!(cut("abc", 3, true), "abc");
        assert_eq!(cut("abcd", 3, true), "ab…");
        assert_eq!(cut("abcd", 3, false), "...");
        assert_eq!(cut("日本語", 5, true), "日本…");
        assert_eq!(cut("日本語", 4, true), "日…");
        assert_eq!(cut("e\u{301}e\u{301}e\u{301}", 2, true), "e\u{301}…");
        assert_eq!(cut("abc", 0, true), "");
        for columns in 0..12 {
            assert!(width(&cut("👩‍👩‍👧 日本 ⚠️ é", columns, true)) <= columns);
        }
    }

    #[test]
    fn output_cannot_steer_the_terminal() {
        assert_eq!(clean("\u{1b}[31mred\u{1b}[0m\u{7}"), "red");
        assert_eq!(clean_output("10%\r50%\r100%\r\n"), "100%");
        assert_eq!(clean("a\rb"), "ab");
        assert_eq!(clean("\u{1b}]0;title\u{7}x"), "x");
        assert_eq!(clean("a\tb\u{202e}c"), "a  bc");
        assert_eq!(clean("\u{9b}2Jx"), "2Jx");
        assert_eq!(clean(&"x".repeat(10_000)).len(), MAX_LINE);
    }

    #[test]
    fn of_a_message_the_first_line_is_shown_however_lines_end() {
        for message in ["Fix it\r\n\r\nbody\r\n", "Fix it\n\nbody\n", "Fix it\rbody", "Fix it"] {
            assert_eq!(first_line(message), "Fix it", "{message:?}");
        }
        assert_eq!(first_line(""), "");
    }

    #[test]
    fn durations_are_short() {
        let shown: Vec<String> =
            [0, 340, 12_450, 59_999, 65_000, 3_720_000, 183_600_000].into_iter().map(elapsed).collect();
        assert_eq!(shown, ["0.0 s", "0.3 s", "12.4 s", "59.9 s", "1m 05s", "1h 02m", "2d 03h"]);
    }
}
