//! What operations answer: a value, or JSON that was written at once because there is much of it.

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use crate::error::ApiError;

/// What an operation answers.
#[derive(Clone, Debug)]
pub enum Output {
    /// As a value; null is no body.
    Value(Value),
    /// As JSON. A listing's entries as values cost four times what writing them costs.
    Json(Bytes),
}

impl Output {
    /// Written at once.
    ///
    /// # Errors
    /// What cannot be written is the server's fault.
    pub(crate) fn json(output: &impl Serialize) -> Result<Self, ApiError> {
        serde_json::to_vec(output).map(|json| Self::Json(json.into())).map_err(|_| ApiError::internal())
    }

    /// As JSON; none for no body.
    pub(crate) fn into_json(self) -> Bytes {
        match self {
            Self::Value(Value::Null) => Bytes::new(),
            Self::Value(value) => Bytes::from(value.to_string()),
            Self::Json(json) => json,
        }
    }

    /// As a value.
    ///
    /// # Errors
    /// What was written cannot be read: the server's fault.
    pub fn into_value(self) -> Result<Value, ApiError> {
        match self {
            Self::Value(value) => Ok(value),
            Self::Json(json) => serde_json::from_slice(&json).map_err(|_| ApiError::internal()),
        }
    }
}

impl From<Value> for Output {
    fn from(value: Value) -> Self {
        Self::Value(value)
    }
}
