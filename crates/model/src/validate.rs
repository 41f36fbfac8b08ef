//! Every fault of a declaration, each with its place: the API model's constraints, and what CodePipeline wants of a
//! pipeline's structure beyond them.
//!
//! A fault in one place does not hide those in others: the rules read the declaration as JSON, leniently, and judge
//! what is there.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use crate::declaration::Pipeline;
use crate::finding::{Code, Finding, Findings, is_accepted};
use crate::parse::{self, Format};
use crate::place::Place;
use crate::shapes;

mod artifacts;
mod conditions;
mod configuration;
mod draft;
mod fields;
mod plain_secrets;
mod providers;
mod regions;
mod structure;
#[cfg(test)]
mod tests;
mod triggers;
mod variables;

use draft::Draft;

/// Every fault of a declaration, and the pipeline as declared when none of them is an error.
pub fn validate(declaration: &Value) -> (Option<Pipeline>, Vec<Finding>) {
    validate_in(declaration, None)
}

/// [`validate`] for a pipeline of a region: also checks what depends on it (artifact stores, cross-region actions).
pub fn validate_in(declaration: &Value, region: Option<&str>) -> (Option<Pipeline>, Vec<Finding>) {
    let mut findings = Findings::default();
    shapes::validate_into("PipelineDeclaration", declaration, &Place::ROOT, &mut findings);
    let draft = Draft::read(declaration);
    structure::check(&draft, &mut findings);
    regions::check(&draft, region, &mut findings);
    artifacts::check(&draft, &mut findings);
    fields::check(&draft, &mut findings);
    configuration::check(&draft, &mut findings);
    conditions::check(&draft, &mut findings);
    triggers::check(&draft, &mut findings);
    variables::check(&draft, &mut findings);
    plain_secrets::check(&draft, &mut findings);
    finish(declaration, findings)
}

/// Reads a file as the command line takes it and validates it. Faults of its `tags` are among the findings.
pub fn validate_text(text: &[u8], format: Format) -> (Option<Pipeline>, Vec<Finding>) {
    let declared = match parse::parse(text, format) {
        Ok(declared) => declared,
        Err(findings) => return (None, findings),
    };
    let (pipeline, mut findings) = validate(&declared.pipeline);
    findings.extend(declared.findings);
    (pipeline.filter(|_| is_accepted(&findings)), findings)
}

fn finish(declaration: &Value, mut findings: Findings) -> (Option<Pipeline>, Vec<Finding>) {
    if !findings.accepted() {
        return (None, findings.into_vec());
    }
    match Pipeline::deserialize(&*without_nulls(declaration)) {
        Ok(pipeline) => (Some(pipeline), findings.into_vec()),
        // The shapes say everything that the types do; this only guards against their drifting apart.
        Err(error) => {
            findings.error(Code::WrongType, Place::ROOT, format!("cannot be read as a declaration: {error}"));
            (None, findings.into_vec())
        }
    }
}

/// A field that is null counts as absent, as in the API's JSON.
fn without_nulls(value: &Value) -> Cow<'_, Value> {
    if !has_null(value) {
        return Cow::Borrowed(value);
    }
    let mut value = value.clone();
    remove_nulls(&mut value);
    Cow::Owned(value)
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(has_null),
        Value::Object(fields) => fields.values().any(has_null),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn remove_nulls(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(remove_nulls),
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(remove_nulls);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
