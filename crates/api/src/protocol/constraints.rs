//! Checks a request against the API model and words every fault at once, as CodePipeline does.

use std::fmt::Write;

use model::shapes::{self, Bounds, Kind, Pattern, Shape};
use serde_json::{Map, Value};

use crate::error::ApiError;

/// The most faults that are worded.
const MAX_FAULTS: usize = 100;
/// The most characters of a value that are shown.
const MAX_SHOWN: usize = 200;

/// Checks the input of an operation.
///
/// # Errors
///
/// `SerializationException` when a value has the wrong JSON type; else one `ValidationException` with every fault,
/// `2 validation errors detected: Value '…' at '…' failed to satisfy constraint: …; …`.
pub fn check(shape_name: &str, input: &Value) -> Result<(), ApiError> {
    let Some(shape) = shapes::shape(shape_name) else { return Err(ApiError::internal()) };
    let mut checker = Checker { path: String::new(), faults: Vec::new() };
    checker.check(shape, input)?;
    match checker.faults.len() {
        0 => Ok(()),
        1 => Err(ApiError::invalid(format!("1 validation error detected: {}", checker.faults[0]))),
        count => Err(ApiError::invalid(format!("{count} validation errors detected: {}", checker.faults.join("; ")))),
    }
}

struct Checker {
    /// `pipeline.stages.1.member.name`: lists count from 1.
    path: String,
    faults: Vec<String>,
}

impl Checker {
    fn check(&mut self, shape: &Shape, value: &Value) -> Result<(), ApiError> {
        if self.faults.len() >= MAX_FAULTS {
            return Ok(());
        }
        match (&shape.kind, value) {
            (Kind::String { length, pattern, values }, Value::String(text)) => {
                self.faults_of_text(shape, text, *length, pattern.as_ref(), values);
            }
            (Kind::Integer { range }, Value::Number(number)) => {
                let number = number.as_i64().filter(|number| i32::try_from(*number).is_ok());
                let number = number.ok_or_else(|| self.wrong_type("a whole number of 32 bits"))?;
                self.faults_of_bounds(*range, number, "value", &format!("'{number}'"));
            }
            (Kind::Boolean, Value::Bool(_)) | (Kind::Timestamp, Value::Number(_)) => {}
            (Kind::List { member, count }, Value::Array(items)) => {
                self.faults_of_count(*count, items.len());
                for (index, item) in items.iter().enumerate() {
                    self.within(&format!("{}.member", index + 1), |this| this.check(member.shape(), item))?;
                }
            }
            (Kind::Map { key, value: values, count }, Value::Object(entries)) => {
                self.faults_of_count(*count, entries.len());
                for (name, entry) in entries {
                    self.faults_of_key(key.shape(), name);
                    self.within(name, |this| this.check(values.shape(), entry))?;
                }
            }
            (Kind::Structure { .. }, Value::Object(fields)) => self.check_fields(shape, fields)?,
            (kind, _) => return Err(self.wrong_type(name_of(kind))),
        }
        Ok(())
    }

    fn check_fields(&mut self, shape: &Shape, fields: &Map<String, Value>) -> Result<(), ApiError> {
        for member in shape.members() {
            let value = fields.get(&member.name).filter(|value| !value.is_null());
            self.within(&member.name, |this| match value {
                Some(value) => this.check(member.shape.shape(), value),
                None => {
                    if member.required {
                        this.fault("null", "Member must not be null");
                    }
                    Ok(())
                }
            })?;
        }
        let known: Vec<&str> = shape.members().iter().map(|member| member.name.as_str()).collect();
        for name in fields.keys().filter(|name| shape.member(name).is_none()) {
            let constraint = format!("Member must be one of [{}]", known.join(", "));
            self.within(name, |this| {
                this.fault("given", &constraint);
                Ok(())
            })?;
        }
        Ok(())
    }

    fn faults_of_text(
        &mut self,
        shape: &Shape,
        text: &str,
        length: Bounds,
        pattern: Option<&Pattern>,
        values: &[String],
    ) {
        let shown = show(shape, text);
        if !values.is_empty() {
            if !values.iter().any(|value| value == text) {
                let constraint = format!("Member must satisfy enum value set: [{}]", values.join(", "));
                self.fault(&shown, &constraint);
            }
            return;
        }
        let count = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
        self.faults_of_bounds(length, count, "length", &shown);
        if let Some(pattern) = pattern.filter(|pattern| !pattern.matches(text)) {
            self.fault(&shown, &format!("Member must satisfy regular expression pattern: {}", pattern.source));
        }
    }

    fn faults_of_count(&mut self, count: Bounds, len: usize) {
        self.faults_of_bounds(count, i64::try_from(len).unwrap_or(i64::MAX), "length", &format!("of {len} members"));
    }

    fn faults_of_bounds(&mut self, bounds: Bounds, is: i64, what: &str, shown: &str) {
        if bounds.max.is_some_and(|max| is > max) {
            let max = bounds.max.unwrap_or(i64::MAX);
            self.fault(shown, &format!("Member must have {what} less than or equal to {max}"));
        }
        if bounds.min.is_some_and(|min| is < min) {
            let min = bounds.min.unwrap_or(i64::MIN);
            self.fault(shown, &format!("Member must have {what} greater than or equal to {min}"));
        }
    }

    fn faults_of_key(&mut self, shape: &Shape, name: &str) {
        let Kind::String { length, pattern, values } = &shape.kind else { return };
        let before = self.faults.len();
        self.faults_of_text(shape, name, *length, pattern.as_ref(), values);
        for fault in &mut self.faults[before..] {
            *fault = fault.replacen("Member must", "Map keys must", 1);
        }
    }

    /// Runs `check` with one more step on the path.
    fn within(&mut self, step: &str, check: impl FnOnce(&mut Self) -> Result<(), ApiError>) -> Result<(), ApiError> {
        let before = self.path.len();
        if before > 0 {
            self.path.push('.');
        }
        self.path.extend(step.chars().take(MAX_SHOWN));
        let result = check(self);
        self.path.truncate(before);
        result
    }

    fn fault(&mut self, shown: &str, constraint: &str) {
        if self.faults.len() < MAX_FAULTS {
            let mut fault = String::with_capacity(shown.len() + constraint.len() + 64);
            // Writing to a string cannot fail.
            let _ = write!(fault, "Value {shown} at '{}' failed to satisfy constraint: {constraint}", self.path);
            self.faults.push(fault);
        }
    }

    fn wrong_type(&self, needed: &str) -> ApiError {
        ApiError::unreadable(format!(
            "'{}' must be {needed}",
            if self.path.is_empty() { "the body" } else { &self.path }
        ))
    }
}

/// The value in quotes, cut when it is long; sensitive ones and those that may hold secrets are not shown.
fn show(shape: &Shape, text: &str) -> String {
    if shape.sensitive || shape.name.ends_with("Value") {
        return "'****'".into();
    }
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("'{}...'", &text[..end]),
        None => format!("'{text}'"),
    }
}

fn name_of(kind: &Kind) -> &'static str {
    match kind {
        Kind::String { .. } => "a string",
        Kind::Integer { .. } => "a whole number",
        Kind::Boolean => "true or false",
        Kind::Timestamp => "a number of seconds since 1970",
        Kind::List { .. } => "a list",
        Kind::Map { .. } | Kind::Structure { .. } => "an object",
    }
}
