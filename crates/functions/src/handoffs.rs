//! Hand-off events: they name a row and say nothing else that anybody trusts.

use control::handoff::{HANDOFF_VERSION, WORK_ROW};
use serde::Deserialize;
use serde_json::Value;

use crate::errors::FunctionError;

/// The detail of a hand-off.
#[derive(Clone, Debug, Deserialize)]
pub struct Handoff {
    /// Its version.
    pub v: u64,
    /// The row's place.
    pub work_row_id: String,
}

/// Whether an event of a bus is a hand-off.
pub fn is_handoff(event: &Value) -> bool {
    event["detail-type"] == WORK_ROW
}

/// Reads a hand-off.
///
/// # Errors
/// It is none, or a newer one.
pub fn read(event: &Value) -> Result<Handoff, FunctionError> {
    let fault = |what: &str| FunctionError::InvalidEvent(format!("not a hand-off: {what}"));
    if !is_handoff(event) {
        return Err(fault(&format!("its detail-type must be {WORK_ROW}")));
    }
    let handoff = Handoff::deserialize(&event["detail"]).map_err(|error| fault(&error.to_string()))?;
    if handoff.v > HANDOFF_VERSION {
        return Err(FunctionError::Newer(format!("a hand-off of version {}", handoff.v)));
    }
    Ok(handoff)
}
