//! TagResource, UntagResource, ListTagsForResource, and tags given with a creation.

use model::StringMap;
use serde_json::{Value, json};

use super::{Call, input, pages};
use crate::error::ApiError;

/// The most tags of a page.
const MAX_PAGE: usize = 100;

/// Tags of an input, checked.
pub(crate) fn given(tags: &Value) -> Result<StringMap, ApiError> {
    let pair = |tag: &Value| (input::text(tag, "key").to_owned(), input::text(tag, "value").to_owned());
    let tags: Vec<_> = tags.as_array().into_iter().flatten().map(pair).collect();
    Ok(control::tags::check(&tags)?)
}

/// `TagList`.
pub(crate) fn shown(tags: &StringMap) -> Vec<Value> {
    tags.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect()
}

pub(super) async fn tag(call: &Call) -> Result<Value, ApiError> {
    let tagged = call.control.tagged(input::text(&call.input, "resourceArn"))?;
    call.control.tag_resource(&tagged, &given(&call.input["tags"])?).await?;
    Ok(json!({}))
}

pub(super) async fn untag(call: &Call) -> Result<Value, ApiError> {
    let tagged = call.control.tagged(input::text(&call.input, "resourceArn"))?;
    let mut keys = Vec::new();
    for key in call.input["tagKeys"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        control::tags::check_key(key)?;
        keys.push(key.to_owned());
    }
    call.control.untag_resource(&tagged, &keys).await?;
    Ok(json!({}))
}

pub(super) async fn list(call: &Call) -> Result<Value, ApiError> {
    let tagged = call.control.tagged(input::text(&call.input, "resourceArn"))?;
    let tags = shown(&call.control.tags_of(&tagged).await?);
    let (page, next) = pages::slice(call, &tags, input::max_results(&call.input, MAX_PAGE))?;
    let mut output = json!({ "tags": page });
    if let Some(next) = next {
        output["nextToken"] = json!(next);
    }
    Ok(output)
}
