//! Finds the text that a JSON path stands for, to show a finding in its file. Runs only when there is a finding.

use std::collections::BTreeMap;
use std::ops::Range;

use saphyr_parser::{Event, Parser, Span};
use serde_json::value::RawValue;

use super::yaml::byte_span;
use crate::place::{OwnedStep, parse_path};

/// The bytes of `text` that `path` of a finding stands for: a scalar's value, or the key of what is larger; of what is
/// not there (a missing field), the nearest that holds it. Looks into the envelope too. `None` when the text cannot be
/// read or the path is none.
pub fn locate(text: &str, path: &str) -> Option<Range<usize>> {
    let steps = parse_path(path)?;
    let enveloped: Vec<OwnedStep> =
        std::iter::once(OwnedStep::Field("pipeline".into())).chain(steps.iter().cloned()).collect();
    let inner = find(text, &enveloped)?;
    let outer = find(text, &steps)?;
    // Without an envelope nothing of the first is found; with one, `$.tags` is found whole outside only.
    Some(if inner.depth > outer.depth { inner.range } else { outer.range })
}

/// The deepest step of a path that is in a text, and how deep.
struct Found {
    depth: usize,
    range: Range<usize>,
}

fn find(text: &str, steps: &[OwnedStep]) -> Option<Found> {
    let body = text.trim_start_matches('\u{FEFF}');
    let skipped = text.len() - body.len();
    let mut found = in_json(body, steps).or_else(|| in_yaml(body, steps))?;
    found.range = found.range.start + skipped..found.range.end + skipped;
    Some(found)
}

fn in_json(text: &str, steps: &[OwnedStep]) -> Option<Found> {
    let mut value: &RawValue = serde_json::from_str(text).ok()?;
    let mut found = Found { depth: 0, range: first_line(text, start_in(text, value)) };
    for (depth, step) in steps.iter().enumerate() {
        let next = match step {
            OwnedStep::Index(index) => {
                serde_json::from_str::<Vec<&RawValue>>(value.get()).ok().and_then(|items| items.get(*index).copied())
            }
            OwnedStep::Field(name) => serde_json::from_str::<BTreeMap<String, &RawValue>>(value.get())
                .ok()
                .and_then(|fields| fields.get(name).copied()),
        };
        let Some(next) = next else { break };
        value = next;
        found = Found { depth: depth + 1, range: json_range(text, value, step) };
    }
    Some(found)
}

/// Raw values are slices of the text that they were read from.
fn start_in(text: &str, value: &RawValue) -> usize {
    (value.get().as_ptr() as usize).saturating_sub(text.as_ptr() as usize).min(text.len())
}

fn json_range(text: &str, value: &RawValue, step: &OwnedStep) -> Range<usize> {
    let start = start_in(text, value);
    if !value.get().starts_with(['{', '[']) {
        return start..start + value.get().len();
    }
    let OwnedStep::Field(name) = step else { return first_line(text, start) };
    let before = text[..start].trim_end().strip_suffix(':').map_or("", str::trim_end);
    let key = serde_json::to_string(name).unwrap_or_default();
    if before.ends_with(&key) { before.len() - key.len()..before.len() } else { first_line(text, start) }
}

/// From `start` to the end of its line.
fn first_line(text: &str, start: usize) -> Range<usize> {
    let line = text[start..].lines().next().unwrap_or_default().trim_end();
    start..start + line.len()
}

fn in_yaml(text: &str, steps: &[OwnedStep]) -> Option<Found> {
    let mut walk = Walk { steps, frames: Vec::new(), best: None };
    for event in Parser::new_from_str(text) {
        let Ok((event, span)) = event else { break };
        walk.take(&event, span);
    }
    let (depth, span, whole) = walk.best?;
    let range = byte_span(text, span);
    Some(Found { depth, range: if whole { range } else { first_line(text, range.start) } })
}

struct Walk<'a> {
    steps: &'a [OwnedStep],
    frames: Vec<Level>,
    /// How deep, where, and whether the whole span is meant.
    best: Option<(usize, Span, bool)>,
}

/// A list or object that is not yet closed.
struct Level {
    /// Whether the path leads through it.
    on_path: bool,
    /// How many values a list has had; `None` for an object.
    count: Option<usize>,
    /// The key of the value that comes next, with its place.
    key: Option<(String, Span)>,
}

impl Walk<'_> {
    fn take(&mut self, event: &Event<'_>, span: Span) {
        match event {
            Event::Scalar(text, ..) => {
                if let Some(Level { count: None, key: key @ None, .. }) = self.frames.last_mut() {
                    *key = Some((text.to_string(), span));
                } else {
                    self.arrive(span, true);
                    self.leave();
                }
            }
            Event::Alias(_) => {
                self.arrive(span, true);
                self.leave();
            }
            Event::SequenceStart(..) => {
                let on_path = self.arrive(span, false);
                self.frames.push(Level { on_path, count: Some(0), key: None });
            }
            Event::MappingStart(..) => {
                let on_path = self.arrive(span, false);
                self.frames.push(Level { on_path, count: None, key: None });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                self.frames.pop();
                self.leave();
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {}
        }
    }

    /// Notes a value if the path leads to it.
    fn arrive(&mut self, span: Span, scalar: bool) -> bool {
        let depth = self.frames.len();
        let (on_path, key) = match self.frames.last() {
            None => (true, None),
            Some(level) => {
                let step = depth.checked_sub(1).and_then(|index| self.steps.get(index));
                let here = match (step, &level.key, level.count) {
                    (Some(OwnedStep::Field(name)), Some((key, _)), _) => name == key,
                    (Some(OwnedStep::Index(index)), None, Some(count)) => *index == count,
                    (_, _, _) => false,
                };
                (level.on_path && here, level.key.as_ref().map(|(_, span)| *span))
            }
        };
        if on_path {
            let whole = scalar || key.is_some();
            self.best = Some((depth, if scalar { span } else { key.unwrap_or(span) }, whole));
        }
        on_path
    }

    /// The value is over: the next one of this list or object comes.
    fn leave(&mut self) {
        if let Some(level) = self.frames.last_mut() {
            level.key = None;
            level.count = level.count.map(|count| count + 1);
        }
    }
}
