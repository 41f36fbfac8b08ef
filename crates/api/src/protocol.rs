//! AWS JSON 1.1: requests are decoded and checked, answers and errors encoded, all by the API model's table.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use model::shapes;
use serde_json::Value;

use crate::body::Body;
use crate::error::ApiError;

mod constraints;
mod strict_json;
#[cfg(test)]
mod tests;

pub use constraints::check;

/// The prefix of the operations that only Penstock has.
pub const EXTENSION_PREFIX: &str = "Penstock_20261124";
const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// An operation of CodePipeline's API model.
    CodePipeline(String),
    /// An operation of Penstock's own.
    Extension(String),
}

/// Reads `X-Amz-Target`; the content type must be AWS JSON's.
///
/// # Errors
///
/// `UnknownOperationException` for a target that is missing or not one of ours, 415 for another content type.
pub fn target(headers: &HeaderMap) -> Result<Target, ApiError> {
    let unknown = || ApiError::with_status("UnknownOperationException", 400, "X-Amz-Target names no known operation");
    let mut targets = headers.get_all("x-amz-target").iter();
    let (Some(target), None) = (targets.next(), targets.next()) else { return Err(unknown()) };
    let (prefix, operation) = target.to_str().ok().and_then(|text| text.split_once('.')).ok_or_else(unknown)?;
    let target = match prefix {
        EXTENSION_PREFIX => Target::Extension(operation.into()),
        prefix if prefix == shapes::target_prefix() && shapes::operation(operation).is_some() => {
            Target::CodePipeline(operation.into())
        }
        _ => return Err(unknown()),
    };
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case(CONTENT_TYPE) {
        let message = format!("the content type must be {CONTENT_TYPE}");
        return Err(ApiError::with_status("UnsupportedMediaTypeException", 415, message));
    }
    Ok(target)
}

/// Reads a request's body: one JSON object; nothing counts as an empty one.
///
/// # Errors
///
/// `SerializationException` for what is not one JSON object in UTF-8, for a name that stands twice in an object, for
/// numbers out of range and for nesting deeper than 128.
pub fn body(bytes: &[u8]) -> Result<Value, ApiError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    let value = strict_json::read(bytes).map_err(|error| ApiError::unreadable(error.to_string()))?;
    if value.is_object() { Ok(value) } else { Err(ApiError::unreadable("the body must be a JSON object")) }
}

/// A successful answer. Operations without an output answer with an empty body.
pub fn success(output: &Value, request_id: &str) -> Response<Body> {
    let bytes = if output.is_null() { Bytes::new() } else { Bytes::from(output.to_string()) };
    respond(StatusCode::OK, bytes, request_id)
}

/// An error's answer.
pub fn failure(error: &ApiError, request_id: &str) -> Response<Body> {
    let body = serde_json::json!({ "__type": error.code, "message": error.message });
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = respond(status, Bytes::from(body.to_string()), request_id);
    response.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(error.code));
    response
}

fn respond(status: StatusCode, bytes: Bytes, request_id: &str) -> Response<Body> {
    let mut response = Response::new(Body::Full(bytes));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert("x-amzn-requestid", id);
    }
    response
}
