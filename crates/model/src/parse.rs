//! Reads a declaration file: JSON or YAML, bare or in the envelope that create-pipeline and get-pipeline use.

use std::path::Path;

use serde_json::{Map, Value};

use crate::finding::{Code, Finding, Findings};
use crate::place::Place;
use crate::shapes;
use crate::suggestion::hint;

mod json;
mod locate;
#[cfg(test)]
mod tests;
mod yaml;

pub use locate::{Places, locate};

/// The most bytes that a declaration file may have. A declaration itself is at most 4 MB; this leaves room for spaces.
pub const MAX_BYTES: usize = 16 << 20;

/// The deepest that objects and lists may nest; no declaration nests deeper than 12.
const MAX_DEPTH: usize = 100;

/// How a file is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// JSON.
    Json,
    /// YAML 1.2, of which JSON is a part.
    Yaml,
    /// JSON if it starts with a bracket, else YAML.
    Unknown,
}

impl Format {
    /// The format that a file's name promises.
    pub fn of(path: &Path) -> Self {
        match path.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase).as_deref() {
            Some("json") => Self::Json,
            Some("yaml" | "yml") => Self::Yaml,
            Some(_) | None => Self::Unknown,
        }
    }
}

/// What a file declares.
#[derive(Clone, PartialEq, Debug)]
pub struct Declared {
    /// The declaration, not yet validated.
    pub pipeline: Value,
    /// The tags beside it, as pairs of key and value.
    pub tags: Vec<(String, String)>,
    /// Faults outside the declaration (tags, unknown fields beside it) and keys that stand twice.
    pub findings: Vec<Finding>,
}

/// Reads a file.
///
/// # Errors
/// What makes it unreadable: not UTF-8, not JSON or YAML, nested too deep, or not an object.
pub fn parse(text: &[u8], format: Format) -> Result<Declared, Vec<Finding>> {
    let mut findings = Findings::default();
    let Some(root) = read(text, format, &mut findings) else { return Err(findings.into_vec()) };
    match root {
        Value::Object(fields) => Ok(open(fields, findings)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            let message = "is not an object; a declaration has at least name, roleArn and stages";
            findings.error(Code::WrongType, Place::ROOT, message);
            Err(findings.into_vec())
        }
    }
}

fn read(text: &[u8], format: Format, findings: &mut Findings) -> Option<Value> {
    if text.len() > MAX_BYTES {
        let message = format!("has {} bytes; a declaration file has at most {MAX_BYTES}", text.len());
        findings.error(Code::TooLarge, Place::ROOT, message);
        return None;
    }
    let (text, skipped) = decode(text, findings)?;
    let bracket = text.trim_start().starts_with(['{', '[']);
    let value = match format {
        Format::Json => json::read(text, findings),
        Format::Unknown if bracket => json::read(text, findings),
        // JSON in a YAML file: the JSON reader takes all of it, tabs included; the YAML reader says what is wrong.
        Format::Yaml if bracket => {
            let mut ignored = Findings::default();
            json::read(text, &mut ignored).filter(|_| ignored.is_empty()).or_else(|| yaml::read(text, findings))
        }
        Format::Yaml | Format::Unknown => yaml::read(text, findings),
    };
    findings.shift_spans(skipped);
    value
}

/// The text and how many bytes of it were skipped: a byte order mark says nothing in UTF-8.
fn decode<'a>(text: &'a [u8], findings: &mut Findings) -> Option<(&'a str, usize)> {
    let wide = text.starts_with(&[0xFF, 0xFE]) || text.starts_with(&[0xFE, 0xFF]);
    match std::str::from_utf8(text) {
        Ok(text) => Some(text.strip_prefix('\u{FEFF}').map_or((text, 0), |rest| (rest, text.len() - rest.len()))),
        Err(error) => {
            let at = error.valid_up_to();
            let message = if wide {
                "is UTF-16; save it as UTF-8".to_owned()
            } else {
                format!("is not UTF-8: byte {at} starts no character; save it as UTF-8")
            };
            findings.error_in_text(Code::InvalidEncoding, Place::ROOT, message, None);
            None
        }
    }
}

/// Takes the declaration out of its envelope, if it has one.
fn open(mut fields: Map<String, Value>, mut findings: Findings) -> Declared {
    if !fields.contains_key("pipeline") {
        if fields.contains_key("Resources") && !fields.contains_key("stages") {
            let message = "looks like a CloudFormation template; give the declaration as create-pipeline takes it \
                           (get-pipeline prints it so)";
            findings.error(Code::UnknownField, Place::ROOT.field("Resources"), message);
        }
        return Declared { pipeline: Value::Object(fields), tags: Vec::new(), findings: findings.into_vec() };
    }
    findings.leave_envelope("$.pipeline");
    let pipeline = fields.remove("pipeline").unwrap_or_default();
    for (name, value) in &fields {
        match name.as_str() {
            "metadata" => {}
            "tags" => shapes::validate_into("TagList", value, &Place::ROOT.field("tags"), &mut findings),
            _ => {
                let hint = hint(name, ["pipeline", "metadata", "tags"]);
                let message = format!("{name:?} is not a field beside \"pipeline\"; there are tags and metadata{hint}");
                findings.error(Code::UnknownField, Place::ROOT.field(name), message);
            }
        }
    }
    let tags = fields.get("tags").and_then(Value::as_array).into_iter().flatten().filter_map(tag).collect();
    Declared { pipeline, tags, findings: findings.into_vec() }
}

fn tag(value: &Value) -> Option<(String, String)> {
    Some((value.get("key")?.as_str()?.to_owned(), value.get("value")?.as_str()?.to_owned()))
}
