//! What a failed call means to its caller: one mapping for all services.

use aws_sdk_dynamodb::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use control::ports::PortError;

/// The codes by which services say "too fast".
const THROTTLED: &[&str] = &[
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
    "ExecutionLimitExceeded",
    "KmsThrottlingException",
    "LimitExceededException",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceeded",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingError",
    "ThrottlingException",
    "TooManyRequestsException",
];

/// The codes by which services say that the request itself is at fault.
const INVALID: &[&str] = &[
    "IdempotentParameterMismatchException",
    "InvalidArn",
    "InvalidExecutionInput",
    "InvalidName",
    "InvalidOutput",
    "SerializationException",
    "ValidationError",
    "ValidationException",
];

/// Whether a service says "too fast" by this code.
pub(crate) fn is_throttling(code: &str) -> bool {
    THROTTLED.contains(&code)
}

/// The failure of a call to `what`, which is named in the message: `the table penstock`.
///
/// Whatever is not known to be throttling or a fault of the request has an unknown outcome: `Unavailable`.
pub(crate) fn port_error<E>(what: &str, error: &SdkError<E>) -> PortError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let code = error.code().unwrap_or_default();
    if is_throttling(code) {
        return PortError::Throttled;
    }
    if INVALID.contains(&code) {
        return PortError::Invalid(format!("{what} refused the request ({code}: {})", error.message().unwrap_or("-")));
    }
    PortError::Unavailable(format!("{what} ({})", reason(error)))
}

/// Why a call failed, in one line.
pub(crate) fn reason<E>(error: &SdkError<E>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        (None, _) => match error.raw_response().map(|response| response.status().as_u16()) {
            Some(status) => format!("status {status}"),
            None => DisplayErrorContext(error).to_string(),
        },
    }
}
