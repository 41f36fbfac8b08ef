//! Masks what is secret in a request: by the API model, by the action type's definition, by name and by form.

use model::action_types::{MASK, is_secret_key, lookup};
use model::secrets::{is_secret_name, secret_kind};
use model::shapes::{self, Kind, Shape};
use serde_json::{Map, Value};

use crate::operations::jobs::action_type_id;

/// Names that sound like secrets and are none.
const PLAIN: [&str; 3] = ["nextToken", "NextToken", "clientRequestToken"];

/// The input of an operation, secrets masked.
pub(super) fn input(operation: &str, input: &Value) -> Value {
    let shape = shapes::operation(operation).and_then(|operation| shapes::shape(&operation.input));
    let mut masked = input.clone();
    mask(shape, "", &mut masked);
    masked
}

fn mask(shape: Option<&Shape>, name: &str, value: &mut Value) {
    let secret = shape.is_some_and(|shape| shape.sensitive) || (is_secret_name(name) && !PLAIN.contains(&name));
    match value {
        Value::String(text) if secret || secret_kind(text).is_some() => MASK.clone_into(text),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
        Value::Array(items) => {
            let member = shape.and_then(|shape| match &shape.kind {
                Kind::List { member, .. } => Some(member.shape()),
                _ => None,
            });
            items.iter_mut().for_each(|item| mask(member, name, item));
        }
        Value::Object(fields) => mask_fields(shape, fields),
    }
}

fn mask_fields(shape: Option<&Shape>, fields: &mut Map<String, Value>) {
    let id = fields.get("actionTypeId").and_then(|id| action_type_id(id).ok());
    if let (Some(id), Some(Value::Object(configuration))) = (id, fields.get_mut("configuration")) {
        // Which values of a custom type are secret is not said here, so that all of them count.
        let unknown = lookup(&id).is_none();
        for (_, value) in configuration.iter_mut().filter(|(key, _)| unknown || is_secret_key(&id, key)) {
            *value = MASK.into();
        }
    }
    // `{"name": "TOKEN", "value": "…"}`: an environment variable or a pipeline's.
    let named = fields.get("name").and_then(Value::as_str).is_some_and(is_secret_name);
    if let Some(value) = fields.get_mut("value").filter(|value| named && value.is_string()) {
        *value = MASK.into();
    }
    for (name, value) in fields.iter_mut() {
        let member = shape.and_then(|shape| match &shape.kind {
            Kind::Map { value, .. } => Some(value.shape()),
            _ => shape.member(name).map(|member| member.shape.shape()),
        });
        mask(member, name, value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_masked_wherever_they_stand() {
        let given = json!({
            "pipeline": { "name": "p", "stages": [{ "name": "s", "actions": [{
                "actionTypeId": { "category": "Source", "owner": "ThirdParty", "provider": "GitHub", "version": "1" },
                "configuration": { "OAuthToken": "abc", "Owner": "o" },
                "environmentVariables": [{ "name": "DB_PASSWORD", "value": "x" }, { "name": "MODE", "value": "y" }] }] }] },
        });
        let masked = input("CreatePipeline", &given);
        let action = &masked["pipeline"]["stages"][0]["actions"][0];
        assert_eq!(action["configuration"], json!({ "OAuthToken": "****", "Owner": "o" }));
        assert_eq!(action["environmentVariables"][0]["value"], "****");
        assert_eq!(action["environmentVariables"][1]["value"], "y");
        let custom = json!({ "pipeline": { "stages": [{ "actions": [{
            "actionTypeId": { "category": "Build", "owner": "Custom", "provider": "Builder", "version": "1" },
            "configuration": { "Pin": "1234" } }] }] } });
        let masked = input("UpdatePipeline", &custom);
        assert_eq!(masked["pipeline"]["stages"][0]["actions"][0]["configuration"], json!({ "Pin": "****" }));
        let masked = input("PutApprovalResult", &json!({ "token": "t-1", "pipelineName": "p" }));
        assert_eq!(masked, json!({ "token": "****", "pipelineName": "p" }));
        let masked =
            input("PutWebhook", &json!({ "webhook": { "authenticationConfiguration": { "SecretToken": "s" } } }));
        assert_eq!(masked["webhook"]["authenticationConfiguration"]["SecretToken"], "****");
        let masked = input(
            "StartPipelineExecution",
            &json!({ "clientRequestToken": "c", "variables": [
            { "name": "x", "value": "AKIAIOSFODNN7EXAMPLE" }] }),
        );
        assert_eq!(masked["clientRequestToken"], "c");
        assert_eq!(masked["variables"][0]["value"], "****");
    }
}
