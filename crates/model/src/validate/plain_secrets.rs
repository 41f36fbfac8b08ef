//! Values that look like secrets in plain text. Messages never repeat them.

use serde_json::Value;

use super::configuration::setting_path;
use super::draft::{Draft, Task, list, text};
use crate::action_types::ValueType;
use crate::finding::{Code, Findings};
use crate::secrets::{is_placeholder, is_secret_name, secret_kind};
use crate::shapes::quote;

const INSTEAD: &str = "keep it in Secrets Manager and refer to it";

pub(super) fn check(draft: &Draft<'_>, findings: &mut Findings) {
    for task in draft.tasks() {
        check_settings(task, findings);
        for (index, command) in task.commands() {
            report_form(command, &|| format!("{}.commands[{index}]", task.place), findings);
        }
        for (index, variable) in list(task.value, "environmentVariables").iter().enumerate() {
            let path = || format!("{}.environmentVariables[{index}].value", task.place);
            check_variable(variable, ("name", "value"), &path, findings);
        }
    }
    for (index, variable) in list(draft.value, "variables").iter().enumerate() {
        let path = || format!("$.variables[{index}].defaultValue");
        check_variable(variable, ("name", "defaultValue"), &path, findings);
    }
}

fn check_settings(task: &Task<'_>, findings: &mut Findings) {
    for (name, value) in task.settings() {
        let path = || setting_path(task, name);
        let key = task.known.and_then(|known| known.key(name));
        let secret = key.map_or_else(|| task.known.is_none() && is_secret_name(name), |key| key.secret);
        if secret && !is_placeholder(value) {
            let message = format!(
                "{name} holds a secret in plain text, which everybody who reads this file has: fill it in only when the \
                 pipeline is created"
            );
            findings.warning(Code::PossibleSecret, path(), message);
            continue;
        }
        let environment = key.is_some_and(|key| key.value == ValueType::Environment);
        match environment.then(|| serde_json::from_str::<Vec<Value>>(value).ok()).flatten() {
            Some(items) => items.iter().for_each(|item| check_variable(item, ("name", "value"), &path, findings)),
            None => match name_of_secret(value) {
                Some(field) => findings.warning(
                    Code::PossibleSecret,
                    path(),
                    format!("{field} in {name} looks like a secret in plain text: {INSTEAD}"),
                ),
                None => report_form(value, &path, findings),
            },
        }
    }
}

/// Of a value that is a JSON object, as parameters of functions are: the first field that is named like a secret and
/// holds one.
fn name_of_secret(value: &str) -> Option<String> {
    let object = value.trim_start().starts_with('{').then(|| serde_json::from_str(value).ok()).flatten()?;
    let mut left: Vec<&Value> = vec![&object];
    while let Some(next) = left.pop() {
        match next {
            Value::Object(fields) => {
                let secret = |(name, value): &(&String, &Value)| {
                    is_secret_name(name) && value.as_str().is_some_and(|value| !is_placeholder(value))
                };
                if let Some((name, _)) = fields.iter().find(secret) {
                    return Some(quote(name));
                }
                left.extend(fields.values());
            }
            Value::Array(items) => left.extend(items),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    None
}

/// An environment or pipeline variable whose name says that it is a secret.
fn check_variable(variable: &Value, (name, value): (&str, &str), path: &dyn Fn() -> String, findings: &mut Findings) {
    let plain = text(variable, "type").is_none_or(|kind| kind == "PLAINTEXT");
    let Some((name, value)) = text(variable, name).zip(text(variable, value)).filter(|_| plain) else { return };
    if is_secret_name(name) && !is_placeholder(value) {
        let message = format!("{name} looks like a secret in plain text: {INSTEAD}");
        findings.warning(Code::PossibleSecret, path(), message);
    } else {
        report_form(value, path, findings);
    }
}

fn report_form(value: &str, path: &dyn Fn() -> String, findings: &mut Findings) {
    if let Some(kind) = secret_kind(value) {
        findings.warning(
            Code::PossibleSecret,
            path(),
            format!("holds what looks like {kind} in plain text: {INSTEAD}"),
        );
    }
}
