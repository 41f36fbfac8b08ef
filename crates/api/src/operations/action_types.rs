//! CreateCustomActionType, DeleteCustomActionType, ListActionTypes, GetActionType, UpdateActionType, ListRuleTypes.

use control::action_types::{CustomActionType, Property, Settings};
use model::action_types::{self, ActionType, ConfigurationKey, Count, ValueType};
use model::{ActionTypeId, Category, Owner, StringMap};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Call, input, jobs, pages, tags};
use crate::error::ApiError;

/// How many action types a page has.
const PAGE: usize = 50;
/// The longest description (`Description`).
const MAX_DESCRIPTION: usize = 160;

pub(super) async fn create(call: &Call) -> Result<Value, ApiError> {
    let tags = tags::given(&call.input["tags"])?;
    let id = custom_id(call)?;
    let new = CustomActionType {
        id,
        settings: read(&call.input["settings"])?.unwrap_or_default(),
        properties: read(&call.input["configurationProperties"])?.unwrap_or_default(),
        inputs: counts(&call.input["inputArtifactDetails"]),
        outputs: counts(&call.input["outputArtifactDetails"]),
        created_at: call.control.now(),
        deleted_at: None,
        tags,
        declaration: None,
    };
    let made = call.control.create_custom_action_type(new).await?;
    Ok(json!({ "actionType": custom(&made), "tags": tags::shown(&made.tags) }))
}

pub(super) async fn delete(call: &Call) -> Result<Value, ApiError> {
    call.control.delete_custom_action_type(&custom_id(call)?).await?;
    Ok(Value::Null)
}

fn custom_id(call: &Call) -> Result<ActionTypeId, ApiError> {
    let mut id = call.input.clone();
    id["owner"] = json!("Custom");
    jobs::action_type_id(&id)
}

fn read<T: for<'de> Deserialize<'de>>(value: &Value) -> Result<Option<T>, ApiError> {
    Option::<T>::deserialize(value).map_err(|error| ApiError::invalid(error.to_string()))
}

fn counts(details: &Value) -> (usize, usize) {
    let count = |name: &str| details[name].as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
    (count("minimumCount"), count("maximumCount"))
}

pub(super) async fn list(call: &Call) -> Result<Value, ApiError> {
    let control = match call.input["regionFilter"].as_str() {
        Some(region) => call.control.in_region(region),
        None => call.control.clone(),
    };
    let owner = call.input["actionOwnerFilter"].as_str();
    let stored = control.custom_action_types().await?;
    let built_in = action_types::all()
        .iter()
        .filter(|known| known.category != Category::Rule && !stored.iter().any(|other| other.id == known.id()))
        .map(|known| (known.id(), shown(known)));
    let mut all: Vec<_> = stored.iter().map(|known| (known.id.clone(), custom(known))).chain(built_in).collect();
    all.retain(|(id, _)| owner.is_none_or(|owner| id.owner.as_str() == owner));
    all.sort_by_key(|(id, _)| (id.owner, id.category, id.provider.clone(), id.version.clone()));
    let all: Vec<Value> = all.into_iter().map(|(_, shown)| shown).collect();
    let (page, next) = pages::slice(call, &all, PAGE)?;
    let mut output = json!({ "actionTypes": page });
    if let Some(next) = next {
        output["nextToken"] = json!(next);
    }
    Ok(output)
}

/// `ActionType` of a stored type.
fn custom(known: &CustomActionType) -> Value {
    json!({
        "id": known.id,
        "settings": known.settings,
        "actionConfigurationProperties": known.properties,
        "inputArtifactDetails": details(known.input_count()),
        "outputArtifactDetails": details(known.output_count()),
    })
}

/// `ActionType` of a built-in type.
fn shown(known: &ActionType) -> Value {
    let properties: Vec<Value> = known.configuration.iter().map(property).collect();
    json!({
        "id": known.id(),
        "settings": {},
        "actionConfigurationProperties": properties,
        "inputArtifactDetails": details(known.inputs),
        "outputArtifactDetails": details(known.outputs),
    })
}

fn details(count: Count) -> Value {
    json!({ "minimumCount": count.min, "maximumCount": count.max })
}

/// `ActionConfigurationProperty` and `RuleConfigurationProperty`.
fn property(key: &ConfigurationKey) -> Value {
    let kind = match key.value {
        ValueType::Boolean => "Boolean",
        ValueType::Integer { .. } => "Number",
        ValueType::Text
        | ValueType::Shell
        | ValueType::Enum { .. }
        | ValueType::List { .. }
        | ValueType::JsonObject
        | ValueType::JsonList
        | ValueType::Environment
        | ValueType::InputArtifact
        | ValueType::ArtifactFile
        | ValueType::Cron
        | ValueType::TimeZone => "String",
    };
    let mut property = json!({
        "name": key.key, "required": key.required, "key": key.required, "secret": key.secret, "queryable": false,
        "type": kind,
    });
    if let Some(note) = key.note.as_ref().filter(|note| (1..=MAX_DESCRIPTION).contains(&note.chars().count())) {
        property["description"] = json!(note);
    }
    property
}

pub(super) fn rule_types() -> Value {
    let rules = action_types::all().iter().filter(|known| known.category == Category::Rule);
    let shown = |known: &ActionType| {
        let properties: Vec<Value> = known.configuration.iter().map(property).collect();
        json!({
            "id": known.id(),
            "settings": {},
            "ruleConfigurationProperties": properties,
            "inputArtifactDetails": details(known.inputs),
        })
    };
    json!({ "ruleTypes": rules.map(shown).collect::<Vec<_>>() })
}

pub(super) async fn get(call: &Call) -> Result<Value, ApiError> {
    let id = jobs::action_type_id(&call.input)?;
    if let Some(known) = call.control.custom_action_type(&id).await? {
        let declaration = known.declaration.clone().unwrap_or_else(|| declaration(&known));
        return Ok(json!({ "actionType": declaration }));
    }
    let known = action_types::lookup(&id).filter(|known| id.version == *known.version);
    let known = known.ok_or_else(|| ApiError::action_type_not_found(&id))?;
    Ok(json!({ "actionType": declaration(&stored_form(known, call)) }))
}

/// A built-in type in the form of a stored one.
fn stored_form(known: &ActionType, call: &Call) -> CustomActionType {
    let property = |key: &ConfigurationKey| Property {
        name: key.key.clone(),
        required: key.required,
        key: key.required,
        secret: key.secret,
        queryable: Some(false),
        description: key.note.clone(),
        kind: None,
    };
    CustomActionType {
        id: known.id(),
        settings: Settings::default(),
        properties: known.configuration.iter().map(property).collect(),
        inputs: (known.inputs.min, known.inputs.max),
        outputs: (known.outputs.min, known.outputs.max),
        created_at: call.control.now(),
        deleted_at: None,
        tags: StringMap::new(),
        declaration: None,
    }
}

/// `ActionTypeDeclaration` of a type that nobody gave one for: its jobs are polled for.
fn declaration(known: &CustomActionType) -> Value {
    let property = |property: &Property| {
        let mut shown = json!({
            "name": property.name, "optional": !property.required, "key": property.key, "noEcho": property.secret,
            "queryable": property.queryable.unwrap_or(false),
        });
        if let Some(description) = &property.description {
            shown["description"] = json!(description);
        }
        shown
    };
    json!({
        "id": known.id,
        "executor": { "type": "JobWorker", "configuration": { "jobWorkerExecutorConfiguration": {} } },
        "inputArtifactDetails": details(known.input_count()),
        "outputArtifactDetails": details(known.output_count()),
        "properties": known.properties.iter().map(property).collect::<Vec<_>>(),
    })
}

pub(super) async fn update(call: &Call) -> Result<Value, ApiError> {
    let given = &call.input["actionType"];
    let id = jobs::action_type_id(&given["id"])?;
    check_executor(&given["executor"])?;
    if id.owner == Owner::Aws && action_types::lookup(&id).is_some() {
        let message = format!("{id} is carried out by the service itself: it cannot be given another executor");
        return Err(ApiError::new("RequestFailedException", message));
    }
    let urls = &given["urls"];
    let new = CustomActionType {
        id,
        settings: Settings {
            third_party_configuration_url: input::maybe_text(urls, "configurationUrl"),
            entity_url_template: input::maybe_text(urls, "entityUrlTemplate"),
            execution_url_template: input::maybe_text(urls, "executionUrlTemplate"),
            revision_url_template: input::maybe_text(urls, "revisionUrlTemplate"),
        },
        properties: given["properties"].as_array().into_iter().flatten().map(given_property).collect(),
        inputs: counts(&given["inputArtifactDetails"]),
        outputs: counts(&given["outputArtifactDetails"]),
        created_at: call.control.now(),
        deleted_at: None,
        tags: StringMap::new(),
        declaration: Some(given.clone()),
    };
    call.control.update_action_type(new).await?;
    Ok(Value::Null)
}

fn given_property(given: &Value) -> Property {
    let flag = |name: &str| given[name].as_bool().unwrap_or(false);
    Property {
        name: input::text(given, "name").into(),
        required: !flag("optional"),
        key: flag("key"),
        secret: flag("noEcho"),
        queryable: given["queryable"].as_bool(),
        description: input::maybe_text(given, "description"),
        kind: None,
    }
}

/// The executor's configuration must be that of its type.
fn check_executor(executor: &Value) -> Result<(), ApiError> {
    let (needed, other) = match input::text(executor, "type") {
        "Lambda" => ("lambdaExecutorConfiguration", "jobWorkerExecutorConfiguration"),
        _ => ("jobWorkerExecutorConfiguration", "lambdaExecutorConfiguration"),
    };
    let configuration = &executor["configuration"];
    if configuration[needed].is_object() && configuration[other].is_null() {
        return Ok(());
    }
    Err(ApiError::invalid(format!(
        "actionType.executor.configuration must have {needed}, and only that, with the executor type {}",
        input::text(executor, "type")
    )))
}
