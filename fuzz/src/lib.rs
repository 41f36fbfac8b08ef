//! What the targets share: a request's input is checked like a server checks it, and what must hold then.

use api::protocol::{self, Protocol};
use http::{HeaderMap, HeaderValue, header};
use model::{Severity, shapes};
use serde_json::Value;

/// The errors that an unreadable body may have.
const UNREADABLE: [&str; 3] =
    ["RequestEntityTooLargeException", "SerializationException", "UnsupportedMediaTypeException"];

/// Reads a body as a server does, gzip or plain.
pub fn read(protocol: Protocol, gzip: bool, bytes: &[u8]) -> Option<Value> {
    let mut headers = HeaderMap::new();
    if gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    match protocol::body(protocol, &headers, bytes) {
        Ok(input) => {
            assert!(input.is_object(), "a body is an object");
            Some(input)
        }
        Err(error) => {
            assert!(UNREADABLE.contains(&error.code), "{error}");
            None
        }
    }
}

/// Checks an input for the operation of this number (they go round). Both readers of the API model must judge alike, and
/// what is said of the faults stays small however large the input.
pub fn checked(operation: u8, input: &Value) {
    let count = shapes::operations().count();
    let Some((name, operation)) = shapes::operations().nth(usize::from(operation) % count) else { return };
    let answer = protocol::check(&operation.input, input);
    let findings = shapes::validate(&operation.input, input);
    assert_eq!(answer.is_ok(), findings.is_empty(), "{name}: {answer:?} {findings:?}");
    if let Err(error) = answer {
        assert!(error.message.len() < 256 * 1024, "{name}: {} bytes of message", error.message.len());
    }
    if let Some(pipeline) = input.get("pipeline") {
        declared(pipeline);
    }
}

/// Validates a declaration: it is a pipeline exactly if it has no fault, and that pipeline is itself without fault.
pub fn declared(declaration: &Value) {
    let is_fault = |finding: &model::Finding| finding.severity == Severity::Error;
    let (pipeline, findings) = model::validate_in(declaration, Some("eu-west-1"));
    assert_eq!(pipeline.is_some(), !findings.iter().any(is_fault), "{findings:?}");
    let Some(pipeline) = pipeline else { return };
    let told = serde_json::to_value(&pipeline).expect("a pipeline is JSON");
    let (again, findings) = model::validate_in(&told, Some("eu-west-1"));
    assert_eq!(again.as_ref(), Some(&pipeline), "{findings:?} {told}");
}
