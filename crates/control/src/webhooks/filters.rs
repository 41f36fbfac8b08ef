//! Filters of PutWebhook: a JSONPath that must select something, and what that must be.

use model::StringMap;
use serde_json::Value;
use serde_json_path::JsonPath;

use super::FilterRule;

/// The most values of a path that are kept, and the most characters of each: `matchEquals` has at most 150.
const MAX_VALUES: usize = 100;
const MAX_CHARS: usize = 1000;

/// What is wrong with a filter; `settings` are the target action's.
pub(super) fn check(rule: &FilterRule, settings: &StringMap, is_secret: impl Fn(&str) -> bool) -> Result<(), String> {
    if let Err(error) = JsonPath::parse(&rule.json_path) {
        return Err(format!("jsonPath {:?} cannot be read: {error}", rule.json_path));
    }
    for key in placeholders(rule.match_equals.as_deref().unwrap_or_default()) {
        if is_secret(key) {
            return Err(format!("matchEquals names {{{key}}}, which is secret"));
        }
        if !settings.contains_key(key) {
            let known: Vec<&str> = settings.keys().map(String::as_str).filter(|key| !is_secret(key)).collect();
            return Err(format!(
                "matchEquals names {{{key}}}, but the target action has no such configuration; it has: {}",
                known.join(", ")
            ));
        }
    }
    Ok(())
}

/// The values that a filter's path selects, as text: texts as they are, all else as JSON.
pub(super) fn select(rule: &FilterRule, body: &Value) -> Vec<String> {
    let Ok(path) = JsonPath::parse(&rule.json_path) else { return Vec::new() };
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let cut = |text: String| text.chars().take(MAX_CHARS).collect();
    path.query(body).iter().take(MAX_VALUES).map(|value| cut(text(value))).collect()
}

/// Whether what a filter selected is what it must be. Without `matchEquals` it must only be there.
pub(super) fn holds(rule: &FilterRule, selected: &[String], settings: &StringMap) -> bool {
    let Some(wanted) = &rule.match_equals else { return !selected.is_empty() };
    let Some(wanted) = filled_in(wanted, settings) else { return false };
    selected.contains(&wanted)
}

/// The text with every `{Key}` replaced by the setting; none if one is missing.
fn filled_in(text: &str, settings: &StringMap) -> Option<String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, key, after)) = next_placeholder(rest) {
        filled.push_str(before);
        filled.push_str(settings.get(key)?);
        rest = after;
    }
    filled.push_str(rest);
    Some(filled)
}

fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (_, key, after) = next_placeholder(rest)?;
        rest = after;
        Some(key)
    })
}

fn next_placeholder(text: &str) -> Option<(&str, &str, &str)> {
    let (before, open) = text.split_once('{')?;
    let (key, after) = open.split_once('}')?;
    Some((before, key, after))
}
