//! `nextToken` of one call's listing.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Call;
use crate::error::ApiError;

/// Fields that may differ from page to page.
const OF_THE_PAGE: [&str; 4] = ["nextToken", "NextToken", "maxResults", "MaxResults"];

/// The token of a place in this call's listing.
pub(crate) fn token(call: &Call, place: &impl Serialize) -> Result<String, ApiError> {
    call.means.page_tokens.token(&listing(call), place).ok_or_else(ApiError::internal)
}

/// The place of the input's `nextToken`, if it has one.
pub(crate) fn place<T: DeserializeOwned>(call: &Call) -> Result<Option<T>, ApiError> {
    let given = call.input.get("nextToken").or_else(|| call.input.get("NextToken"));
    let Some(token) = given.and_then(Value::as_str) else { return Ok(None) };
    let wrong = || ApiError::new("InvalidNextTokenException", "nextToken is not one that this listing gave");
    call.means.page_tokens.place(&listing(call), token).map(Some).ok_or_else(wrong)
}

/// A page of what lies in memory, from the input's `nextToken` on, and the token of the next.
pub(super) fn slice<T: Clone>(call: &Call, all: &[T], size: usize) -> Result<(Vec<T>, Option<String>), ApiError> {
    let from: usize = place(call)?.unwrap_or(0);
    let page: Vec<T> = all.iter().skip(from).take(size).cloned().collect();
    let next = from + page.len();
    let more = (next < all.len()).then(|| token(call, &next)).transpose()?;
    Ok((page, more))
}

/// What is listed: a token holds for nothing else.
fn listing(call: &Call) -> String {
    let mut input = call.input.clone();
    if let Some(fields) = input.as_object_mut() {
        fields.retain(|name, value| !OF_THE_PAGE.contains(&name.as_str()) && !value.is_null());
    }
    let place = call.control.place();
    format!("{}/{}/{}/{input}", place.account, place.region, call.operation)
}
