//! Action and rule types, and their configuration by key.

use serde_json::Value;

use super::draft::{Draft, Task, has};
use super::providers;
use crate::action_types::{self, ActionType, ConfigurationKey, ValueType};
use crate::deployment_window;
use crate::finding::{Code, Findings};
use crate::references;
use crate::shapes::quote;
use crate::status::{Category, Owner};
use crate::suggestion::hint;

pub(super) fn check(draft: &Draft<'_>, findings: &mut Findings) {
    for task in draft.tasks() {
        match task.known {
            Some(known) => check_known(task, known, findings),
            None => check_unknown(task, findings),
        }
    }
}

fn check_known(task: &Task<'_>, known: &'static ActionType, findings: &mut Findings) {
    if !task.version.is_empty() && task.version != known.version {
        let message = format!(
            "version {} of {} is not known; its version is \"{}\"",
            quote(task.version),
            task.provider,
            known.version
        );
        findings.warning(Code::UnverifiedActionType, task.path(type_field(task, "version")), message);
    }
    if known.takes_any_key() {
        return;
    }
    for key in known.configuration.iter().filter(|key| key.required) {
        if task.value.get("configuration").is_none_or(|settings| !has(settings, &key.key)) {
            let note = key.note.as_ref().map(|note| format!(" ({note})")).unwrap_or_default();
            let message = format!(
                "configuration of {} in stage \"{}\" is missing required configuration \"{}\"{note}",
                task.describe(),
                task.stage_name,
                key.key
            );
            findings.error(Code::MissingConfiguration, setting_path(task, &key.key), message);
        }
    }
    for (name, value) in task.settings() {
        match known.key(name) {
            Some(key) => check_value(task, key, value, findings),
            None => unknown_key(task, known, name, findings),
        }
    }
    providers::check(task, findings);
}

/// The service ignores keys that a rule does not know: templates with such rules are deployed.
fn unknown_key(task: &Task<'_>, known: &ActionType, name: &str, findings: &mut Findings) {
    let hint = hint(name, known.configuration.iter().map(|key| key.key.as_str()));
    let keys: Vec<_> = known.configuration.iter().map(|key| key.key.as_str()).collect();
    let message = format!(
        "{} of {} is not a configuration key of {}{}",
        quote(name),
        task.describe(),
        known.provider,
        if hint.is_empty() { format!("; it knows {}", keys.join(", ")) } else { hint }
    );
    let path = setting_path(task, name);
    if task.is_rule() {
        findings.warning(Code::UnknownConfiguration, path, message);
    } else {
        findings.error(Code::UnknownConfiguration, path, message);
    }
}

/// Values with references are known only when the action runs.
fn check_value(task: &Task<'_>, key: &ConfigurationKey, value: &str, findings: &mut Findings) {
    let fault = match &key.value {
        ValueType::Environment if references::find(value).is_empty() || value.trim_start().starts_with('[') => {
            check_environment(task, key, value, findings);
            return;
        }
        _ if !references::find(value).is_empty() => return,
        ValueType::Text | ValueType::Shell | ValueType::Environment => None,
        ValueType::Boolean => (!matches!(value, "true" | "false"))
            .then(|| format!("is {}; it must be \"true\" or \"false\"", quote(value))),
        ValueType::Integer { min, max } => check_integer(value, *min, *max),
        ValueType::Enum { values } => check_word(value, values),
        ValueType::List { values } => value.split(',').find_map(|word| check_word(word.trim(), values)),
        ValueType::JsonObject => (!matches!(serde_json::from_str(value), Ok(Value::Object(_))))
            .then(|| "must be a JSON object, as text".to_owned()),
        ValueType::JsonList => (!matches!(serde_json::from_str(value), Ok(Value::Array(_))))
            .then(|| "must be a JSON list, as text".to_owned()),
        ValueType::InputArtifact => check_artifact(task, value),
        ValueType::ArtifactFile => check_artifact_file(task, value),
        ValueType::Cron => deployment_window::cron_fault(value),
        ValueType::TimeZone => check_time_zone(value),
    };
    if let Some(fault) = fault {
        findings.error(Code::InvalidConfiguration, setting_path(task, &key.key), format!("{} {fault}", key.key));
    }
}

fn check_integer(value: &str, min: Option<i64>, max: Option<i64>) -> Option<String> {
    let limits = crate::shapes::Bounds { min, max };
    match value.parse::<i64>() {
        Ok(number) if limits.contain(number) => None,
        Ok(_) | Err(_) => Some(format!("is {}; it must be a whole number, {}", quote(value), limits.describe())),
    }
}

fn check_word(value: &str, words: &[String]) -> Option<String> {
    if words.iter().any(|word| word == value) {
        return None;
    }
    let hint = hint(value, words.iter().map(String::as_str));
    Some(format!("is {}; it must be one of {}{hint}", quote(value), words.join(", ")))
}

fn check_artifact(task: &Task<'_>, name: &str) -> Option<String> {
    if task.artifacts("inputArtifacts").any(|(_, input)| input == name) {
        return None;
    }
    let inputs: Vec<_> = task.artifacts("inputArtifacts").map(|(_, input)| input).collect();
    let inputs = if inputs.is_empty() { "it has none".into() } else { inputs.join(", ") };
    Some(format!("is {}; it must be one of the action's input artifacts: {inputs}", quote(name)))
}

fn check_artifact_file(task: &Task<'_>, value: &str) -> Option<String> {
    match value.split_once("::") {
        Some((artifact, file)) if !file.is_empty() => {
            check_artifact(task, artifact).map(|fault| format!("is {}, whose artifact {fault}", quote(value)))
        }
        Some(_) | None => Some(format!("is {}; it must be \"ARTIFACT::FILE\"", quote(value))),
    }
}

fn check_time_zone(value: &str) -> Option<String> {
    (!deployment_window::is_time_zone(value)).then(|| {
        let value = quote(value);
        format!("is {value}; it must be a region and city as Europe/Berlin, UTC+05:30, or an abbreviation as PST")
    })
}

/// `EnvironmentVariables`: a JSON list of `{name, value, type}`. References may stand in its texts.
fn check_environment(task: &Task<'_>, key: &ConfigurationKey, value: &str, findings: &mut Findings) {
    let path = setting_path(task, &key.key);
    let wanted = "it must be a JSON list of {\"name\", \"value\", \"type\"}, as text";
    let items = match serde_json::from_str(value) {
        Ok(Value::Array(items)) => items,
        Ok(_) => {
            return findings.error(Code::InvalidConfiguration, path, format!("{} is not a list; {wanted}", key.key));
        }
        Err(error) => {
            let message = format!("{} is not JSON ({error}); {wanted}", key.key);
            return findings.error(Code::InvalidConfiguration, path, message);
        }
    };
    for (index, item) in items.iter().enumerate() {
        if let Some(fault) = environment_fault(item) {
            let message = format!("{}: variable {} {fault}; {wanted}", key.key, index + 1);
            findings.error(Code::InvalidConfiguration, &path, message);
        }
    }
}

fn environment_fault(item: &Value) -> Option<String> {
    let fields = match item {
        Value::Object(fields) => fields,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            return Some("is not an object".into());
        }
    };
    for field in ["name", "value"] {
        if !fields.get(field).is_some_and(Value::is_string) {
            return Some(format!("has no text \"{field}\""));
        }
    }
    if let Some(kind) = fields.get("type") {
        let words = ["PLAINTEXT", "PARAMETER_STORE", "SECRETS_MANAGER"].map(str::to_owned);
        let Some(word) = kind.as_str() else { return Some("has a \"type\" that is not text".into()) };
        if let Some(fault) = check_word(word, &words) {
            return Some(format!("has a \"type\" that {fault}"));
        }
    }
    let unknown = fields.keys().find(|field| !matches!(field.as_str(), "name" | "value" | "type"))?;
    Some(format!("has an unknown field {}", quote(unknown)))
}

fn check_unknown(task: &Task<'_>, findings: &mut Findings) {
    let Some((category, owner)) = task.category.zip(task.owner).filter(|_| !task.provider.is_empty()) else { return };
    let path = task.path(type_field(task, "provider"));
    let siblings = action_types::all().iter().filter(|known| known.category == category && known.owner == owner);
    let names: Vec<_> = siblings.map(|known| known.provider.as_str()).collect();
    let hint = hint(task.provider, names.iter().copied());
    match (owner, category) {
        (_, Category::Rule) => {
            let message = format!("there is no rule type {}{}", quote(task.provider), or_list(hint, &names));
            findings.error(Code::UnknownRuleType, path, message);
        }
        (Owner::Aws, _) => {
            let other = elsewhere(task.provider).unwrap_or_else(|| or_list(hint, &names));
            let message = format!("there is no {category} action of AWS called {}{other}", quote(task.provider));
            findings.error(Code::UnknownActionType, path, message);
        }
        (Owner::ThirdParty | Owner::Custom, _) => {
            let message = format!(
                "the definition of {category}/{owner}/{}/{} is not at hand: up to 5 input and output artifacts and any \
                 configuration are taken unchecked{hint}",
                task.provider, task.version
            );
            findings.warning(Code::UnverifiedActionType, path, message);
        }
    }
}

/// The provider exists, under another category or owner.
fn elsewhere(provider: &str) -> Option<String> {
    let places: Vec<_> = action_types::all()
        .iter()
        .filter(|known| known.provider == provider && known.category != Category::Rule)
        .map(|known| format!("{}/{}", known.category, known.owner))
        .collect();
    (!places.is_empty()).then(|| format!("; it exists as {}", places.join(" and ")))
}

fn or_list(hint: String, names: &[&str]) -> String {
    if hint.is_empty() && !names.is_empty() { format!("; there are {}", names.join(", ")) } else { hint }
}

fn type_field(task: &Task<'_>, field: &str) -> &'static str {
    match (task.is_rule(), field) {
        (true, "version") => "ruleTypeId.version",
        (true, _) => "ruleTypeId.provider",
        (false, "version") => "actionTypeId.version",
        (false, _) => "actionTypeId.provider",
    }
}

/// The path of a configuration value.
pub(super) fn setting_path(task: &Task<'_>, key: &str) -> String {
    let mut path = task.path("configuration");
    // Writing to a string cannot fail.
    let _ = crate::place::write_step(&mut path, crate::place::Step::Field(key));
    path
}
