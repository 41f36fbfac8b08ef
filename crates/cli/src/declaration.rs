//! A pipeline file, checked: what it declares and every fault with its place.

use std::ops::Range;
use std::path::Path;

use model::parse::{Format, Places};
use model::{Finding, Pipeline};

/// A file's declaration and its faults.
pub struct Checked {
    /// The file, as text.
    pub text: String,
    /// The declaration, where no fault refuses it.
    pub pipeline: Option<Pipeline>,
    /// Every fault.
    pub findings: Vec<Finding>,
}

impl Checked {
    /// Reads and validates; the file's name says how it is written.
    pub fn of(bytes: Vec<u8>, path: &Path) -> Self {
        let (pipeline, findings) = model::validate_text(&bytes, Format::of(path));
        let text = String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into());
        Self { text, pipeline, findings }
    }

    /// Whether nothing refuses the declaration.
    pub fn is_accepted(&self) -> bool {
        self.pipeline.is_some()
    }

    /// Each finding with its place in the text, in bytes.
    pub fn located(&self) -> impl Iterator<Item = (&Finding, Option<Range<usize>>)> {
        let mut places = None;
        self.findings.iter().map(move |finding| {
            let located = || places.get_or_insert_with(|| Places::of(&self.text)).locate(&finding.path);
            (finding, finding.span.clone().or_else(located))
        })
    }
}
