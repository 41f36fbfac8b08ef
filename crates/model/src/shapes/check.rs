//! Checks a value against a shape and collects every difference.

use serde_json::{Map, Value};

use super::{Bounds, Kind, Member, Pattern, Shape};
use crate::finding::{Code, Findings};
use crate::place::Place;
use crate::suggestion::hint;

/// Adds every way in which `value` is not of `shape`.
pub(super) fn check(shape: &Shape, value: &Value, place: &Place<'_>, findings: &mut Findings) {
    if findings.is_full() {
        return;
    }
    match (&shape.kind, value) {
        (Kind::String { length, pattern, values }, Value::String(text)) => {
            check_text(shape, text, (*length, pattern.as_ref(), values), place, findings);
        }
        (Kind::Integer { range }, Value::Number(number)) => check_integer(*range, number, place, findings),
        (Kind::Boolean, Value::Bool(_)) | (Kind::Timestamp, Value::Number(_)) => {}
        (Kind::List { member, count }, Value::Array(items)) => {
            check_count(*count, items.len(), "elements", place, findings);
            for (index, item) in items.iter().enumerate() {
                check(member.shape(), item, &place.index(index), findings);
            }
        }
        (Kind::Map { key, value, count }, Value::Object(entries)) => {
            check_count(*count, entries.len(), "entries", place, findings);
            for (name, entry) in entries {
                let place = place.field(name);
                check_key(key.shape(), name, &place, findings);
                check(value.shape(), entry, &place, findings);
            }
        }
        (Kind::Structure { members }, Value::Object(fields)) => check_fields(members, fields, place, findings),
        (kind, value) => findings.error(Code::WrongType, place, wrong_type(shape, kind, value)),
    }
}

fn check_fields(members: &[Member], fields: &Map<String, Value>, place: &Place<'_>, findings: &mut Findings) {
    for (name, value) in fields {
        match members.binary_search_by(|member| member.name.as_str().cmp(name)) {
            Ok(_) if value.is_null() => {}
            Ok(index) => check(members[index].shape.shape(), value, &place.field(name), findings),
            Err(_) => {
                let hint = hint(name, members.iter().map(|member| member.name.as_str()));
                findings.error(
                    Code::UnknownField,
                    place.field(name),
                    format!("{} is not a field here{hint}", quote(name)),
                );
            }
        }
        if findings.is_full() {
            return;
        }
    }
    for member in members.iter().filter(|member| member.required) {
        if fields.get(&member.name).is_none_or(Value::is_null) {
            let message = format!("\"{}\" is missing: {} is needed", member.name, describe(&member.shape.shape().kind));
            findings.error(Code::MissingField, place.field(&member.name), message);
        }
    }
}

fn check_key(shape: &Shape, key: &str, place: &Place<'_>, findings: &mut Findings) {
    if let Kind::String { length, pattern, values } = &shape.kind {
        check_text(shape, key, (*length, pattern.as_ref(), values), place, findings);
    }
}

fn check_text(
    shape: &Shape,
    text: &str,
    (length, pattern, values): (Bounds, Option<&Pattern>, &[String]),
    place: &Place<'_>,
    findings: &mut Findings,
) {
    if !values.is_empty() {
        if !values.iter().any(|value| value == text) {
            let (hint, words) = (hint(text, values.iter().map(String::as_str)), values.join(", "));
            findings.error(Code::InvalidEnum, place, format!("{} is not one of {words}{hint}", quote(text)));
        }
        return;
    }
    let fits = has_length(text, length);
    if !fits {
        let (count, limits) = (text.chars().count(), length.describe());
        findings.error(Code::InvalidLength, place, format!("has {count} characters; it must have {limits}"));
    }
    // That a text is empty is said once.
    if let Some(pattern) = pattern.filter(|pattern| (fits || !text.is_empty()) && !pattern.matches(text)) {
        let message = if pattern.source == ".*" {
            "must be a single line".to_owned()
        } else if shape.sensitive || shape.name.ends_with("Value") {
            format!("does not match {}", pattern.source)
        } else {
            format!("{} does not match {}", quote(text), pattern.source)
        };
        findings.error(Code::InvalidPattern, place, message);
    }
}

/// Lengths are counted in characters; bytes bound them, so that most texts need no counting.
fn has_length(text: &str, length: Bounds) -> bool {
    let bytes = i64::try_from(text.len()).unwrap_or(i64::MAX);
    if length.contain(bytes) && length.contain(bytes / 4) {
        return true;
    }
    length.contain(i64::try_from(text.chars().count()).unwrap_or(i64::MAX))
}

fn check_integer(range: Bounds, number: &serde_json::Number, place: &Place<'_>, findings: &mut Findings) {
    let Some(value) = number.as_i64() else {
        let code = if number.is_u64() { Code::InvalidRange } else { Code::WrongType };
        findings.error(code, place, format!("{number} is not a whole number of 32 bits"));
        return;
    };
    // Every integer of the API has 32 bits.
    let range = Bounds { min: range.min.or(Some(i32::MIN.into())), max: range.max.or(Some(i32::MAX.into())) };
    if !range.contain(value) {
        findings.error(Code::InvalidRange, place, format!("is {value}; it must be {}", range.describe()));
    }
}

fn check_count(limits: Bounds, count: usize, what: &str, place: &Place<'_>, findings: &mut Findings) {
    if !limits.contain(i64::try_from(count).unwrap_or(i64::MAX)) {
        findings.error(Code::InvalidCount, place, format!("has {count} {what}; it must have {}", limits.describe()));
    }
}

fn wrong_type(shape: &Shape, kind: &Kind, value: &Value) -> String {
    let (needed, is) = (describe(kind), describe_value(value));
    match (kind, value) {
        (Kind::String { .. }, Value::Bool(flag)) => {
            format!("is {is}, but {needed} is needed: put it in quotes, \"{flag}\"")
        }
        // As it is written, which is not known here: 1.10 is read as 1.1.
        (Kind::String { .. }, Value::Number(_)) => {
            format!("is {is}, but {needed} is needed: put it in quotes as it is written")
        }
        (Kind::String { .. }, Value::Object(_) | Value::Array(_)) if shape.name.ends_with("ConfigurationValue") => {
            format!("is {is}, but {needed} is needed: write it as JSON text in quotes")
        }
        // YAML's `- echo a: b`.
        (Kind::String { .. }, Value::Object(fields)) if fields.len() == 1 => {
            format!("is {is}, but {needed} is needed: in YAML put a text with \": \" in it in quotes")
        }
        (Kind::Integer { .. } | Kind::Boolean, Value::String(_)) => {
            format!("is {is}, but {needed} is needed: leave out the quotes")
        }
        (_, _) => format!("is {is}, but {needed} is needed"),
    }
}

fn describe(kind: &Kind) -> &'static str {
    match kind {
        Kind::String { values, .. } if values.is_empty() => "a string",
        Kind::String { .. } => "one of some fixed words",
        Kind::Integer { .. } => "a whole number",
        Kind::Boolean => "true or false",
        Kind::Timestamp => "a number of seconds since 1970",
        Kind::List { .. } => "a list",
        Kind::Map { .. } | Kind::Structure { .. } => "an object",
    }
}

fn describe_value(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(true) => "the boolean true",
        Value::Bool(false) => "the boolean false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The text in quotes, cut when it is long.
pub(crate) fn quote(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}
