//! `nextToken`: where a listing goes on, opaque to clients.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::ApiError;

/// The token of a place.
pub(super) fn token(place: &impl Serialize) -> Result<String, ApiError> {
    let json = serde_json::to_vec(place).map_err(|_| ApiError::internal())?;
    Ok(URL_SAFE_NO_PAD.encode(json))
}

/// The place of the input's `nextToken`, if it has one.
pub(super) fn place<T: DeserializeOwned>(input: &Value) -> Result<Option<T>, ApiError> {
    let Some(token) = input["nextToken"].as_str() else { return Ok(None) };
    let wrong = || ApiError::new("InvalidNextTokenException", "nextToken is not one that this listing gave");
    let json = URL_SAFE_NO_PAD.decode(token).map_err(|_| wrong())?;
    serde_json::from_slice(&json).map(Some).map_err(|_| wrong())
}
