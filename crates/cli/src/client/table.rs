//! Tables with aligned columns, and times as people say them.

use jiff::Timestamp;
use serde_json::Value;

use crate::output::{ATTENTION, BAD, BUSY, DIM, GOOD, Look, STRONG};
use crate::progress::{State, clean, elapsed, pad, width};

/// A table: what stands in the last column is not padded.
pub struct Table {
    look: Look,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// With these headings.
    pub fn new(look: Look, headings: &[&str]) -> Self {
        Self { look, rows: vec![headings.iter().map(|heading| (*heading).to_owned()).collect()] }
    }

    /// Adds a row; its texts are made safe to show.
    pub fn row<const N: usize>(&mut self, cells: [&str; N]) {
        self.rows.push(cells.iter().map(|cell| clean(cell)).collect());
    }

    /// The table as text; nothing but `empty` when it has no rows.
    pub fn render(&self, empty: &str) -> String {
        if self.rows.len() == 1 {
            return format!("{empty}\n");
        }
        let columns = self.rows[0].len();
        let widths: Vec<usize> =
            (0..columns).map(|column| self.rows.iter().map(|row| width(&row[column])).max().unwrap_or(0)).collect();
        let mut text = String::new();
        for (at, row) in self.rows.iter().enumerate() {
            let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| pad(cell, *width)).collect();
            let painted: Vec<String> = cells.iter().map(|cell| self.paint(at, cell)).collect();
            text.push_str(painted.join("  ").trim_end());
            text.push('\n');
        }
        text
    }

    fn paint(&self, row: usize, cell: &str) -> String {
        if row == 0 {
            return self.look.paint(STRONG, cell);
        }
        match State::parse(cell.trim_end()) {
            Some(state) => paint_state(self.look, state, cell),
            None => cell.to_owned(),
        }
    }
}

/// A status in its colour.
pub fn paint_state(look: Look, state: State, text: &str) -> String {
    look.paint(
        match state {
            State::Succeeded => GOOD,
            State::Failed => BAD,
            State::InProgress | State::Stopping => BUSY,
            State::Stopped | State::Abandoned | State::Cancelled | State::Superseded => ATTENTION,
            State::Waiting | State::Skipped => DIM,
        },
        text,
    )
}

/// `3m 05s ago`, from a time as the API writes it (seconds since 1970, with a fraction); empty when there is none.
pub fn ago(time: &Value, now: Timestamp) -> String {
    match millis(time) {
        Some(then) => match u64::try_from(now.as_millisecond() - then) {
            Ok(passed) if passed < 1_000 => "now".into(),
            Ok(passed) => format!("{} ago", elapsed(passed)),
            Err(_) => "in the future".into(),
        },
        None => String::new(),
    }
}

/// How long from one time of the API to another.
pub fn between(start: &Value, end: &Value) -> String {
    match (millis(start), millis(end)) {
        (Some(start), Some(end)) => elapsed(u64::try_from(end - start).unwrap_or(0)),
        _ => String::new(),
    }
}

/// How long it is since a time of the API.
pub fn since(start: &Value, now: Timestamp) -> String {
    millis(start).map_or_else(String::new, |start| {
        elapsed(u64::try_from(now.as_millisecond().saturating_sub(start)).unwrap_or(0))
    })
}

/// A time of the API in milliseconds.
pub fn millis(time: &Value) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "a time beyond 64-bit milliseconds is shown as the last one")]
    time.as_f64().map(|seconds| (seconds * 1000.0).round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_width_and_nothing_trails() {
        let mut table = Table::new(Look::default(), &["NAME", "STATUS"]);
        table.row(["日本", "Failed"]);
        table.row(["a\u{1b}[31m", ""]);
        assert_eq!(table.render("none"), "NAME  STATUS\n日本  Failed\na\n");
        assert_eq!(Table::new(Look::default(), &["NAME"]).render("none"), "none\n");
    }

    #[test]
    fn times_are_relative() {
        let now = Timestamp::from_millisecond(1_000_000).unwrap();
        assert_eq!(ago(&serde_json::json!(999.9), now), "now");
        assert_eq!(ago(&serde_json::json!(874.5), now), "2m 05s ago");
        assert_eq!(ago(&Value::Null, now), "");
        assert_eq!(between(&serde_json::json!(1.0), &serde_json::json!(2.5)), "1.5 s");
    }
}
