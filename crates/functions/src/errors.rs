//! Errors under fixed names: what the state machine's `ErrorEquals` and people's alarms match.

use control::ControlError;
use control::ports::PortError;
use lambda_runtime::Diagnostic;

/// Why an invocation failed.
#[derive(Debug, thiserror::Error)]
pub enum FunctionError {
    /// Too fast: try again.
    #[error("throttled")]
    Throttled,
    /// Something needed is not reachable, or the outcome is unknown: try again.
    #[error("{0}")]
    Unavailable(String),
    /// Too many others changed the same things: try again.
    #[error("too many changes at once")]
    Busy,
    /// Written by a newer Penstock: leave it to a newer function.
    #[error("{0}")]
    Newer(String),
    /// The event is not one that this function takes. Trying again does not help.
    #[error("{0}")]
    InvalidEvent(String),
    /// What is stored cannot be read. Trying again does not help.
    #[error("{0}")]
    Corrupt(String),
    /// A fault of ours. Trying again does not help.
    #[error("{0}")]
    Internal(String),
}

/// Every name, and whether trying again helps.
pub const NAMES: &[(&str, bool)] = &[
    ("Penstock.Throttled", true),
    ("Penstock.Unavailable", true),
    ("Penstock.Busy", true),
    ("Penstock.Newer", true),
    ("Penstock.InvalidEvent", false),
    ("Penstock.Corrupt", false),
    ("Penstock.Internal", false),
];

impl FunctionError {
    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Throttled => "Penstock.Throttled",
            Self::Unavailable(_) => "Penstock.Unavailable",
            Self::Busy => "Penstock.Busy",
            Self::Newer(_) => "Penstock.Newer",
            Self::InvalidEvent(_) => "Penstock.InvalidEvent",
            Self::Corrupt(_) => "Penstock.Corrupt",
            Self::Internal(_) => "Penstock.Internal",
        }
    }
}

impl From<PortError> for FunctionError {
    fn from(error: PortError) -> Self {
        let message = error.to_string();
        match error {
            PortError::Conflict => Self::Busy,
            PortError::Throttled => Self::Throttled,
            PortError::Unavailable(_) => Self::Unavailable(message),
            PortError::Newer(_) => Self::Newer(message),
            PortError::Corrupt(_) => Self::Corrupt(message),
            PortError::NotFound(_) | PortError::Invalid(_) => Self::Internal(message),
        }
    }
}

impl From<ControlError> for FunctionError {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::Port(error) => error.into(),
            ControlError::Busy => Self::Busy,
            ControlError::Refused(_) => Self::Internal(error.to_string()),
        }
    }
}

impl From<FunctionError> for Diagnostic {
    fn from(error: FunctionError) -> Self {
        Self { error_type: error.name().into(), error_message: error.to_string() }
    }
}
