//! Reads YAML 1.2 with its core schema: `true` is a boolean, `1` a number, `yes` and `on` are words.
//!
//! It reads events into a stack of its own, so that neither deep nesting nor aliases of aliases can cost more than a
//! bounded amount.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};
use serde_json::{Map, Number, Value};

use super::{MAX_BYTES, MAX_DEPTH};
use crate::finding::{Code, Findings};
use crate::place::{Step, write_step};

/// The value of a text; `None`, with a finding, when it is not YAML that can be read.
pub(super) fn read(text: &str, findings: &mut Findings) -> Option<Value> {
    let mut builder = Builder { findings, frames: Vec::new(), root: None, anchors: HashMap::new(), budget: MAX_BYTES };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| scan_error(text, &error, builder.findings)).ok()?;
        if let Err(Refused(code, message)) = builder.take(event) {
            let path = builder.path();
            builder.findings.error_in_text(code, path, message, Some(byte_span(text, span)));
            return None;
        }
    }
    if builder.root.is_none() {
        builder.findings.error(
            Code::InvalidSyntax,
            "$",
            "is empty; a declaration has at least name, roleArn and stages",
        );
    }
    builder.root
}

fn scan_error(text: &str, error: &ScanError, findings: &mut Findings) {
    let marker = error.marker();
    let (line, column) = (marker.line(), marker.col() + 1);
    let start = byte_offset(text, marker.index());
    let end = text[start..].chars().next().map_or(start, |c| start + c.len_utf8());
    if error.info().contains("recursion limit") {
        let message = format!("is nested too deep at line {line}, column {column}");
        findings.error_in_text(Code::TooDeep, "$", message, Some(start..end));
    } else {
        let message = format!("is not YAML: {} at line {line}, column {column}", error.info());
        findings.error_in_text(Code::InvalidSyntax, "$", message, Some(start..end));
    }
}

/// The bytes of a span, which counts characters.
pub(super) fn byte_span(text: &str, span: Span) -> std::ops::Range<usize> {
    let start = byte_offset(text, span.start.index());
    let length: usize =
        text[start..].chars().take(span.end.index().saturating_sub(span.start.index())).map(char::len_utf8).sum();
    start..start + length
}

fn byte_offset(text: &str, index: usize) -> usize {
    text.char_indices().nth(index).map_or(text.len(), |(at, _)| at)
}

/// Why a document cannot be read further.
struct Refused(Code, String);

fn unsupported(message: &str) -> Refused {
    Refused(Code::UnsupportedYaml, message.to_owned())
}

struct Builder<'f> {
    findings: &'f mut Findings,
    frames: Vec<Frame>,
    root: Option<Value>,
    anchors: HashMap<usize, Value>,
    /// How many bytes may still be copied for anchors and aliases.
    budget: usize,
}

/// A list or an object that is not yet closed.
struct Frame {
    container: Container,
    anchor: usize,
}

enum Container {
    List(Vec<Value>),
    /// The key is that of the value that comes next.
    Object(Map<String, Value>, Option<String>),
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>) -> Result<(), Refused> {
        match event {
            Event::DocumentStart(_) if self.root.is_some() => {
                Err(unsupported("holds several documents; a declaration is one"))
            }
            Event::Scalar(text, style, anchor, tag) => {
                if self.wants_key() {
                    return self.key(text.into_owned());
                }
                let value = scalar(&text, style, tag.as_deref())?;
                self.value(value, anchor)
            }
            Event::SequenceStart(anchor, tag) => self.open(Container::List(Vec::new()), anchor, tag.as_deref()),
            Event::MappingStart(anchor, tag) => self.open(Container::Object(Map::new(), None), anchor, tag.as_deref()),
            Event::SequenceEnd | Event::MappingEnd => match self.frames.pop() {
                Some(Frame { container: Container::List(items), anchor }) => self.value(Value::Array(items), anchor),
                Some(Frame { container: Container::Object(map, _), anchor }) => self.value(Value::Object(map), anchor),
                None => Ok(()),
            },
            Event::Alias(anchor) => self.alias(anchor),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                Ok(())
            }
        }
    }

    fn wants_key(&self) -> bool {
        matches!(self.frames.last(), Some(Frame { container: Container::Object(_, None), .. }))
    }

    fn key(&mut self, name: String) -> Result<(), Refused> {
        if let Some(Frame { container: Container::Object(map, key), .. }) = self.frames.last_mut() {
            let twice = map.contains_key(&name);
            let message = format!("{name:?} stands twice in one object; keep one of them");
            *key = Some(name);
            if twice {
                let path = self.path();
                self.findings.error(Code::DuplicateKey, path, message);
            }
        }
        Ok(())
    }

    fn open(&mut self, container: Container, anchor: usize, tag: Option<&Tag>) -> Result<(), Refused> {
        if self.wants_key() {
            return Err(unsupported("a key must be a plain word"));
        }
        if let Some(tag) = tag.filter(|tag| !tag.is_yaml_core_schema()) {
            return Err(own_tag(tag));
        }
        if self.frames.len() >= MAX_DEPTH {
            return Err(too_deep());
        }
        self.frames.push(Frame { container, anchor });
        Ok(())
    }

    fn value(&mut self, value: Value, anchor: usize) -> Result<(), Refused> {
        if anchor > 0 {
            self.charge(&value)?;
            self.anchors.insert(anchor, value.clone());
        }
        match self.frames.last_mut().map(|frame| &mut frame.container) {
            None => self.root = Some(value),
            Some(Container::List(items)) => items.push(value),
            Some(Container::Object(map, key)) => {
                if let Some(name) = key.take() {
                    map.insert(name, value);
                }
            }
        }
        Ok(())
    }

    fn alias(&mut self, anchor: usize) -> Result<(), Refused> {
        let Some(value) = self.anchors.get(&anchor).cloned() else {
            return Err(unsupported("refers to what holds it"));
        };
        if self.wants_key() {
            return match value {
                Value::String(name) => self.key(name),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                    Err(unsupported("a key must be a plain word"))
                }
            };
        }
        let height = self.charge(&value)?;
        if self.frames.len() + height > MAX_DEPTH {
            return Err(too_deep());
        }
        self.value(value, 0)
    }

    /// Takes the size of a copy out of the budget, and says how deep the copy is.
    fn charge(&mut self, value: &Value) -> Result<usize, Refused> {
        let (size, height) = measure(value);
        self.budget = self.budget.checked_sub(size).ok_or_else(|| {
            Refused(Code::TooLarge, format!("aliases make the declaration larger than {MAX_BYTES} bytes"))
        })?;
        Ok(height)
    }

    /// Where the value that comes next will stand.
    fn path(&self) -> String {
        let mut path = "$".to_owned();
        for frame in &self.frames {
            let step = match &frame.container {
                Container::List(items) => Step::Index(items.len()),
                Container::Object(_, Some(name)) => Step::Field(name),
                Container::Object(_, None) => break,
            };
            // Writing to a string cannot fail.
            let _ = write_step(&mut path, step);
        }
        path
    }
}

fn too_deep() -> Refused {
    Refused(Code::TooDeep, format!("is nested deeper than {MAX_DEPTH} levels"))
}

fn own_tag(tag: &Tag) -> Refused {
    Refused(
        Code::UnsupportedYaml,
        format!(
            "the tag {tag} means nothing here (CloudFormation's short forms are not resolved): write the value itself"
        ),
    )
}

/// Bytes in memory, roughly, and levels of nesting.
fn measure(value: &Value) -> (usize, usize) {
    const NODE: usize = 32;
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => (NODE, 0),
        Value::String(text) => (NODE + text.len(), 0),
        Value::Array(items) => sum(NODE, items.iter().map(measure)),
        Value::Object(fields) => sum(
            NODE,
            fields.iter().map(|(name, value)| {
                let (size, height) = measure(value);
                (size + NODE + name.len(), height)
            }),
        ),
    }
}

fn sum(own: usize, parts: impl Iterator<Item = (usize, usize)>) -> (usize, usize) {
    parts.fold((own, 1), |(size, height), (part, below)| (size + part, height.max(below + 1)))
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, Refused> {
    if let Some(tag) = tag {
        if !tag.is_yaml_core_schema() {
            return Err(own_tag(tag));
        }
        if tag.suffix == "str" {
            return Ok(Value::String(text.to_owned()));
        }
    } else if style != ScalarStyle::Plain {
        return Ok(Value::String(text.to_owned()));
    }
    Ok(plain(text))
}

/// A plain scalar by YAML's core schema. What JSON has no number for (`.nan`) stays text.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number)
}

fn number(text: &str) -> Option<Number> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if let Some(octal) = text.strip_prefix("0o") {
        return u64::from_str_radix(octal, 8).ok().map(Number::from);
    }
    if let Some(hexadecimal) = text.strip_prefix("0x") {
        return u64::from_str_radix(hexadecimal, 16).ok().map(Number::from);
    }
    let decimal = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.contains(|c: char| c.is_ascii_digit())
        && digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    if !decimal {
        return None;
    }
    if digits.bytes().all(|b| b.is_ascii_digit()) {
        let whole = text.strip_prefix('+').unwrap_or(text);
        if let Ok(number) = whole.parse::<i64>() {
            return Some(number.into());
        }
    }
    text.parse::<f64>().ok().and_then(Number::from_f64)
}
