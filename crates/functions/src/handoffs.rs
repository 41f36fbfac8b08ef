//! Hand-off events: they name a row and say nothing else that anybody trusts.

use control::handoff::{HANDOFF_VERSION, Sender, WORK_ROW};
use control::rows::WorkRow;
use serde::Deserialize;
use serde_json::Value;

use crate::errors::FunctionError;

/// The detail of a hand-off.
#[derive(Deserialize)]
struct Handoff {
    v: u64,
    /// The row's place.
    work_row_id: String,
}

/// Whether an event of a bus is a hand-off.
pub fn is_handoff(event: &Value) -> bool {
    event["detail-type"] == WORK_ROW
}

/// The row that a hand-off names; none if it is consumed.
///
/// # Errors
/// It is no hand-off, or a newer one, or the row cannot be read.
pub async fn row(event: &Value, sender: &Sender) -> Result<Option<WorkRow>, FunctionError> {
    Ok(sender.row(&read(event)?.work_row_id).await?)
}

/// Sends what a call left to do, which is committed: whoever called has its answer whether or not that can be sent now. What
/// cannot is sent by the relay or the sweep.
pub async fn send_rest(sender: &Sender) {
    if let Err(error) = sender.flush().await {
        tracing::error!(%error, "what follows a call could not be sent; the relay or the sweep sends it");
    }
}

fn read(event: &Value) -> Result<Handoff, FunctionError> {
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
