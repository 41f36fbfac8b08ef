//! Shows a finding with its place in the file.

use std::borrow::Cow;
use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use model::{Finding, Severity};

use crate::output::Look;
use crate::progress::turns;

/// The most bytes of a line that are shown around a place: minified files have one line.
const SHOWN_BYTES: usize = 240;
/// The longest line that is left to be cut to the terminal by the renderer, which keeps the place exact.
const WHOLE_LINE_BYTES: usize = 64 * 1024;

/// A finding as text, with its line where `span` says where it stands.
pub fn render(file: &str, lines: &Lines<'_>, finding: &Finding, span: Option<Range<usize>>, look: Look) -> String {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(finding.message.as_str()).id(finding.code.as_str());
    let path = printable(&finding.path);
    let Some(line) = span.and_then(|span| lines.around(span)) else {
        return renderer(look).render(&[title.element(Origin::path(format!("{file} {path}")))]);
    };
    let annotation = AnnotationKind::Primary.span(line.span.clone()).label(path.as_str());
    let text = harmless(line.text);
    let group: Group<'_> = if line.is_whole {
        title.element(Snippet::source(text.as_ref()).line_start(line.number).path(file).annotation(annotation))
    } else {
        title
            .element(Origin::path(file).line(line.number).char_column(line.column))
            .element(Snippet::source(text.as_ref()).line_start(line.number).annotation(annotation))
    };
    renderer(look).render(&[group])
}

/// A text of the file's that is shown outside its line: what a terminal would carry out is written as its number.
fn printable(text: &str) -> String {
    let shown = |c: char| match c.is_control() || turns(c) {
        true => c.escape_unicode().to_string(),
        false => c.to_string(),
    };
    text.chars().map(shown).collect()
}

/// A line of the file's, with what a terminal would carry out beyond ASCII, which the renderer sees to, replaced by as many
/// bytes: places in the line stay what they are.
fn harmless(line: &str) -> Cow<'_, str> {
    let replaced = |c: char| match (turns(c), c.is_control() && !c.is_ascii()) {
        (true, _) => char::REPLACEMENT_CHARACTER,
        (false, true) => '·',
        (false, false) => c,
    };
    if line.is_ascii() { line.into() } else { line.chars().map(replaced).collect::<String>().into() }
}

fn renderer(look: Look) -> Renderer {
    let decor = if look.unicode { DecorStyle::Unicode } else { DecorStyle::Ascii };
    let base = if look.colour { Renderer::styled() } else { Renderer::plain() };
    base.decor_style(decor).term_width(120)
}

/// A text, and where its lines end.
pub struct Lines<'a> {
    text: &'a str,
    ends: Vec<usize>,
}

/// The line that a place stands in.
struct Line<'a> {
    text: &'a str,
    /// From 1.
    number: usize,
    /// From 1, in characters.
    column: usize,
    /// The place within `text`; of a place that spans lines, what lies on the first.
    span: Range<usize>,
    /// Whether `text` is the whole line.
    is_whole: bool,
}

impl<'a> Lines<'a> {
    /// The lines of a text.
    pub fn of(text: &'a str) -> Self {
        Self { text, ends: text.match_indices('\n').map(|(at, _)| at).collect() }
    }

    fn around(&self, span: Range<usize>) -> Option<Line<'a>> {
        let text = self.text;
        let start = floor(text, span.start.min(text.len()));
        let number = self.ends.partition_point(|end| *end < start);
        let from = number.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| end + 1);
        let to = self.ends.get(number).copied().unwrap_or(text.len());
        let end = floor(text, span.end.clamp(start, to));
        let shown = clip(text, from..to, start..end);
        let line = text.get(shown.clone())?.trim_end_matches('\r');
        let local = start - shown.start..(end.min(shown.end) - shown.start).min(line.len());
        Some(Line {
            text: line,
            number: number + 1,
            column: text.get(from..start)?.chars().count() + 1,
            span: if local.is_empty() { at_least_one(line, local.start) } else { local },
            is_whole: shown == (from..to),
        })
    }
}

/// The character at a byte of a line, so that an empty place is seen; behind the end the last one.
fn at_least_one(line: &str, start: usize) -> Range<usize> {
    let start = if start < line.len() { floor(line, start) } else { floor(line, line.len().saturating_sub(1)) };
    start..line.ceil_char_boundary((start + 1).min(line.len()))
}

/// As much of a line as is shown around a place.
fn clip(text: &str, line: Range<usize>, place: Range<usize>) -> Range<usize> {
    if line.len() <= WHOLE_LINE_BYTES {
        return line;
    }
    let from = place.start.saturating_sub(SHOWN_BYTES / 3).max(line.start);
    floor(text, from)..floor(text, (from + SHOWN_BYTES).min(line.end))
}

/// The last character boundary at or before a byte.
fn floor(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(message: &str) -> Finding {
        Finding {
            path: "$.stages[0].nmae".into(),
            severity: Severity::Error,
            code: model::Code::UnknownField,
            message: message.into(),
            span: None,
        }
    }

    #[test]
    fn a_place_is_shown_with_its_line_and_column() {
        let text = "{\r\n  \"stages\": [{\"nmae\": 1}]\r\n}\n";
        let at = text.find("\"nmae\"").unwrap();
        let shown = render("p.json", &Lines::of(text), &finding("unknown field"), Some(at..at + 6), Look::default());
        assert_eq!(
            shown,
            "error[UnknownField]: unknown field\n --> p.json:2:15\n  |\n2 |   \"stages\": [{\"nmae\": 1}]\n  |               ^^^^^^ $.stages[0].nmae"
        );
    }

    #[test]
    fn without_a_place_the_path_stands_for_it() {
        let shown = render("p.json", &Lines::of("{}"), &finding("gone"), None, Look::default());
        assert_eq!(shown, "error[UnknownField]: gone\n--> p.json $.stages[0].nmae");
    }

    #[test]
    fn of_a_very_long_line_only_the_surroundings_are_shown() {
        for length in [5_000, 500_000] {
            let text = format!("{}\"nmae\":1{}", "é".repeat(length), "x".repeat(5_000));
            let at = text.find("\"nmae\"").unwrap();
            let shown = render("p.json", &Lines::of(&text), &finding("unknown"), Some(at..at + 6), Look::default());
            assert!(shown.contains(&format!("p.json:1:{}", length + 1)), "{shown}");
            assert!(shown.contains("^^^^^^"), "{shown}");
            assert!(shown.len() < 2_000, "{}", shown.len());
        }
    }

    #[test]
    fn places_at_odd_bytes_do_no_harm() {
        let text = "é\n\nü\r\n";
        for start in 0..=text.len() + 2 {
            for end in start..=text.len() + 3 {
                assert!(render("f", &Lines::of(text), &finding("m"), Some(start..end), Look::default()).contains("m"));
            }
        }
    }

    #[test]
    fn nothing_of_the_file_reaches_the_terminal_as_a_command() {
        let text = "{\"a\u{9b}31m\u{202e}b\": 1}";
        let mut found = finding("unknown field");
        found.path = "$['a\u{1b}]0;x\u{7}\u{202e}\ny']".into();
        for span in [None, Some(1..text.len() - 1)] {
            let shown = render("p.json", &Lines::of(text), &found, span, Look::default());
            assert!(!shown.chars().any(|c| (c.is_control() && c != '\n') || turns(c)), "{shown:?}");
            assert!(shown.contains(r"$['a\u{1b}]0;x\u{7}\u{202e}\u{a}y']"), "{shown:?}");
        }
    }
}
