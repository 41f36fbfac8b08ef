//! Reads JSON strictly: a key that stands twice in an object is a fault with its path.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::finding::{Code, Findings};
use crate::place::Place;

/// The value of a text; `None`, with a finding, when it is not JSON.
pub(super) fn read(text: &str, findings: &mut Findings) -> Option<Value> {
    let collected = RefCell::new(std::mem::take(findings));
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let seed = Strict { place: &Place::ROOT, findings: &collected };
    let value = seed.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
    *findings = collected.into_inner();
    value.map_err(|error| report(text, &error, findings)).ok()
}

fn report(text: &str, error: &serde_json::Error, findings: &mut Findings) {
    let (line, column) = (error.line(), error.column());
    let whole = error.to_string();
    let what = whole.split(" at line ").next().unwrap_or(&whole);
    let at = offset(text, line, column);
    let span = Some(at..at + text[at..].chars().next().map_or(0, char::len_utf8));
    if what.contains("recursion limit") {
        let message = format!("is nested too deep at line {line}, column {column}");
        findings.error_in_text(Code::TooDeep, Place::ROOT, message, span);
    } else {
        let message = format!("is not JSON: {what} at line {line}, column {column}");
        findings.error_in_text(Code::InvalidSyntax, Place::ROOT, message, span);
    }
}

/// The byte at a line and column (both from 1, columns in bytes), moved back to the start of its character.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let at = (start + column.saturating_sub(1)).min(text.len());
    text.floor_char_boundary(at)
}

/// Reads one value, which stands at `place`.
struct Strict<'a> {
    place: &'a Place<'a>,
    findings: &'a RefCell<Findings>,
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) =
            access.next_element_seed(Strict { place: &self.place.index(items.len()), findings: self.findings })?
        {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            let place = self.place.field(&name);
            let value = access.next_value_seed(Strict { place: &place, findings: self.findings })?;
            if fields.contains_key(&name) {
                let message = format!("{name:?} stands twice in one object; keep one of them");
                self.findings.borrow_mut().error(Code::DuplicateKey, place, message);
            }
            fields.insert(name, value);
        }
        Ok(Value::Object(fields))
    }
}
