//! Fields of an input that was checked against the API model: required ones are there and have their type.

use model::ExecutionId;
use serde_json::Value;

use crate::error::ApiError;

/// A text field; empty if it is optional and absent.
pub(super) fn text<'a>(input: &'a Value, name: &str) -> &'a str {
    input[name].as_str().unwrap_or_default()
}

/// An optional text field.
pub(super) fn maybe_text(input: &Value, name: &str) -> Option<String> {
    input[name].as_str().map(str::to_owned)
}

/// An execution's id; the API model's pattern lets only UUIDs through.
pub(super) fn execution_id(input: &Value, name: &str) -> Result<ExecutionId, ApiError> {
    let wrong = |_| ApiError::invalid(format!("{name} must be the id of an execution"));
    text(input, name).parse().map_err(wrong)
}

/// The size of a page: `maxResults`, else the most that the API allows.
pub(super) fn max_results(input: &Value, most: usize) -> usize {
    input["maxResults"]
        .as_u64()
        .and_then(|count| usize::try_from(count).ok())
        .map_or(most, |count| count.clamp(1, most))
}
