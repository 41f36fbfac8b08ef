//! AWS JSON 1.1 and Smithy RPC v2 CBOR: requests are decoded and checked, answers and errors encoded, all by the API
//! model's table.
//!
//! CodePipeline is no service that once spoke the query protocol, so that no `x-amzn-query-error` belongs to its errors.

use std::io::Read;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use model::shapes;
use serde_json::Value;

use crate::body::Body;
use crate::error::ApiError;
use crate::handle::MAX_REQUEST_BYTES;
use crate::output::Output;

mod cbor;
mod constraints;
mod strict_json;
#[cfg(test)]
mod tests;

pub use constraints::check;

/// The prefix of the operations that only Penstock has.
pub const EXTENSION_PREFIX: &str = "Penstock_20261124";
/// The most values of a request: enough for the largest pipeline, and it bounds what a small body can become in memory.
const MAX_VALUES: usize = 250_000;
/// Where operations lie in the CBOR protocol.
const CBOR_PATH: &str = "/service/";
/// The namespace of the API model's errors.
const NAMESPACE: &str = "com.amazonaws.codepipeline";

/// How a request is written, and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// AWS JSON 1.1.
    Json,
    /// Smithy RPC v2 CBOR.
    Cbor,
}

impl Protocol {
    /// The protocol of a path, if it is one of the API's. Signatures cover a path without its dot segments and doubled
    /// slashes: one that has some would be signed as another path than it is, and is none.
    pub fn of(path: &str) -> Option<Self> {
        match path {
            "/" => Some(Self::Json),
            path if path.contains("/.") || path.contains("//") => None,
            path if path.starts_with(CBOR_PATH) => Some(Self::Cbor),
            _ => None,
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/x-amz-json-1.1",
            Self::Cbor => "application/cbor",
        }
    }
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// An operation of CodePipeline's API model.
    CodePipeline(String),
    /// An operation of Penstock's own.
    Extension(String),
}

impl Target {
    /// The operation's name.
    pub fn operation(&self) -> &str {
        match self {
            Self::CodePipeline(operation) | Self::Extension(operation) => operation,
        }
    }
}

/// Reads what a request is for: `X-Amz-Target` in JSON, the path in CBOR. The content type must be the protocol's.
///
/// # Errors
///
/// `UnknownOperationException` for a target that is missing or not one of ours, 415 for another content type.
pub fn target(protocol: Protocol, parts: &Parts) -> Result<Target, ApiError> {
    let target = match protocol {
        Protocol::Json => target_of_header(&parts.headers)?,
        Protocol::Cbor => target_of_path(parts)?,
    };
    let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    // A CBOR request without a body has no content type.
    let absent = protocol == Protocol::Cbor && content_type.is_none();
    if absent || essence.eq_ignore_ascii_case(protocol.content_type()) {
        return Ok(target);
    }
    let message = format!("the content type must be {}", protocol.content_type());
    Err(ApiError::with_status("UnsupportedMediaTypeException", 415, message))
}

fn unknown(message: &str) -> ApiError {
    ApiError::with_status("UnknownOperationException", 400, message)
}

fn target_of_header(headers: &HeaderMap) -> Result<Target, ApiError> {
    let unknown = || unknown("X-Amz-Target names no known operation");
    let mut targets = headers.get_all("x-amz-target").iter();
    let (Some(target), None) = (targets.next(), targets.next()) else { return Err(unknown()) };
    let (prefix, operation) = target.to_str().ok().and_then(|text| text.split_once('.')).ok_or_else(unknown)?;
    named(prefix, operation).ok_or_else(unknown)
}

/// `/service/SERVICE/operation/OPERATION`, with `smithy-protocol: rpc-v2-cbor`.
fn target_of_path(parts: &Parts) -> Result<Target, ApiError> {
    if parts.headers.get("smithy-protocol").is_none_or(|protocol| protocol != "rpc-v2-cbor") {
        return Err(unknown("the header smithy-protocol must be rpc-v2-cbor"));
    }
    let rest = parts.uri.path().strip_prefix(CBOR_PATH);
    let named = rest.and_then(|rest| rest.split_once("/operation/")).and_then(|(prefix, name)| named(prefix, name));
    named.ok_or_else(|| unknown("the path names no known operation"))
}

fn named(prefix: &str, operation: &str) -> Option<Target> {
    match prefix {
        EXTENSION_PREFIX => Some(Target::Extension(operation.into())),
        prefix if prefix == shapes::target_prefix() && shapes::operation(operation).is_some() => {
            Some(Target::CodePipeline(operation.into()))
        }
        _ => None,
    }
}

/// Reads a request's body.
///
/// # Errors
///
/// `SerializationException` for what cannot be read; 415 for an encoding other than gzip.
pub fn body(protocol: Protocol, headers: &HeaderMap, bytes: &[u8]) -> Result<Value, ApiError> {
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    let unzipped;
    let bytes = match (encodings.next().map(HeaderValue::as_bytes), encodings.next()) {
        (None | Some(b"identity" | b""), None) => bytes,
        // A coding's name is written as one likes (RFC 9110, 8.4.1).
        (Some(coding), None) if coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip") => {
            unzipped = unzip(bytes)?;
            &unzipped
        }
        (_, _) => {
            let message = "the content encoding must be gzip, or there must be none";
            return Err(ApiError::with_status("UnsupportedMediaTypeException", 415, message));
        }
    };
    match protocol {
        Protocol::Json => json_body(bytes),
        Protocol::Cbor => cbor::body(bytes),
    }
}

/// A body becomes no larger than it might have been sent.
fn unzip(bytes: &[u8]) -> Result<Vec<u8>, ApiError> {
    let limit = u64::try_from(MAX_REQUEST_BYTES).unwrap_or(u64::MAX);
    let mut unzipped = Vec::new();
    let read = MultiGzDecoder::new(bytes).take(limit + 1).read_to_end(&mut unzipped);
    if read.is_err() {
        return Err(ApiError::unreadable("the body is not gzip, though its content encoding says so"));
    }
    if unzipped.len() > MAX_REQUEST_BYTES {
        return Err(ApiError::with_status("RequestEntityTooLargeException", 413, "the request is too large"));
    }
    Ok(unzipped)
}

/// Reads a request's body: one JSON object; nothing counts as an empty one.
///
/// # Errors
///
/// `SerializationException` for what is not one JSON object in UTF-8, for a name that stands twice in an object, for
/// numbers out of range and for nesting deeper than 128.
fn json_body(bytes: &[u8]) -> Result<Value, ApiError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    let value = strict_json::read(bytes).map_err(|error| ApiError::unreadable(error.to_string()))?;
    if value.is_object() { Ok(value) } else { Err(ApiError::unreadable("the body must be a JSON object")) }
}

/// A successful answer. Operations without an output answer with an empty body.
pub fn success(protocol: Protocol, target: &Target, output: Output, request_id: &str) -> Response<Body> {
    let bytes = match protocol {
        Protocol::Json => output.into_json(),
        Protocol::Cbor => match output.into_value() {
            Ok(Value::Null) => Bytes::new(),
            Ok(output) => {
                let shape = match target {
                    Target::CodePipeline(name) => shapes::operation(name).and_then(|known| known.output.as_ref()),
                    Target::Extension(_) => None,
                };
                Bytes::from(cbor::write(shape.and_then(|name| shapes::shape(name)), &output))
            }
            Err(error) => return failure(protocol, &error, request_id),
        },
    };
    respond(protocol, StatusCode::OK, bytes, request_id)
}

/// An error's answer.
pub fn failure(protocol: Protocol, error: &ApiError, request_id: &str) -> Response<Body> {
    let body = |kind: String| serde_json::json!({ "__type": kind, "message": error.message });
    let bytes = match protocol {
        Protocol::Json => Bytes::from(body(error.code.into()).to_string()),
        Protocol::Cbor => Bytes::from(cbor::write(None, &body(format!("{NAMESPACE}#{}", error.code)))),
    };
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = respond(protocol, status, bytes, request_id);
    response.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(error.code));
    response
}

fn respond(protocol: Protocol, status: StatusCode, bytes: Bytes, request_id: &str) -> Response<Body> {
    let without_body = bytes.is_empty();
    let mut response = Response::new(Body::Full(bytes));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if protocol == Protocol::Cbor {
        headers.insert("smithy-protocol", HeaderValue::from_static("rpc-v2-cbor"));
    }
    if !(without_body && protocol == Protocol::Cbor) {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(protocol.content_type()));
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert("x-amzn-requestid", id);
    }
    response
}
