//! The text of `penstock.toml`, every fault with its line.

use std::collections::BTreeMap;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Fault, Function, LocalConfig, Project, Secret};

const SECTIONS: [&str; 8] = ["source", "bucket", "project", "function", "provider", "secret", "environment", "limits"];

type Value<'t> = Spanned<DeValue<'t>>;

/// Fills `config` from `text`; the faults found.
pub(super) fn fill(config: &mut LocalConfig, text: &str) -> Vec<Fault> {
    let mut reader = Reader { text, base: config.base.clone(), faults: Vec::new() };
    match DeTable::parse(text) {
        Ok(table) => reader.document(config, table.get_ref()),
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            reader.fault(at, error.message().to_owned());
        }
    }
    reader.faults.sort_by_key(|fault| fault.line);
    reader.faults
}

struct Reader<'a> {
    text: &'a str,
    base: PathBuf,
    faults: Vec<Fault>,
}

impl Reader<'_> {
    fn fault(&mut self, at: usize, message: String) {
        let before = self.text.as_bytes().iter().take(at);
        let line = 1 + before.filter(|byte| **byte == b'\n').count();
        self.faults.push(Fault { line, message });
    }

    fn document(&mut self, config: &mut LocalConfig, table: &DeTable<'_>) {
        for (name, value) in table {
            match name.get_ref().as_ref() {
                "source" => config.sources = self.entries("source", value, Self::path_entry),
                "bucket" => config.buckets = self.entries("bucket", value, Self::path_entry),
                "project" => config.projects = self.entries("project", value, Self::project),
                "function" => config.functions = self.entries("function", value, Self::function),
                "provider" => config.providers = self.entries("provider", value, Self::provider),
                "secret" => config.secrets = self.entries("secret", value, Self::secret),
                "environment" => {
                    if let Some(table) = self.table("[environment]", value, &["inherit"]) {
                        config.inherit = self.get(table, "inherit", Self::strings).unwrap_or_default();
                    }
                }
                "limits" => {
                    if let Some(table) = self.table("[limits]", value, &["programs"]) {
                        config.programs = self.get(table, "programs", Self::count);
                    }
                }
                unknown => self.unknown(name.span().start, "section", unknown, "penstock.toml", &SECTIONS),
            }
        }
    }

    fn unknown(&mut self, at: usize, what: &str, name: &str, place: &str, known: &[&str]) {
        let near = model::suggestion::did_you_mean(name, known.iter().copied());
        let right = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known are: {}", known.join(", ")),
        };
        self.fault(at, format!("unknown {what} `{name}` in {place}; {right}"));
    }

    /// The named entries of a section: `[source."NAME"]`.
    fn entries<T>(
        &mut self,
        section: &str,
        value: &Value<'_>,
        read: impl Fn(&mut Self, &str, &Value<'_>) -> Option<T>,
    ) -> BTreeMap<String, T> {
        let DeValue::Table(table) = value.get_ref() else {
            let message = format!("`{section}` takes names: write [{section}.\"NAME\"]");
            self.fault(value.span().start, message);
            return BTreeMap::new();
        };
        let mut entries = BTreeMap::new();
        for (name, value) in table {
            let place = format!("[{section}.\"{}\"]", name.get_ref());
            if let Some(entry) = read(self, &place, value) {
                entries.insert(name.get_ref().to_string(), entry);
            }
        }
        entries
    }

    /// A table that knows only `known` keys.
    fn table<'t, 'i>(&mut self, place: &str, value: &'t Value<'i>, known: &[&str]) -> Option<&'t DeTable<'i>> {
        let DeValue::Table(table) = value.get_ref() else {
            let kind = value.get_ref().type_str();
            self.fault(value.span().start, format!("{place} must be a table, not of type {kind}"));
            return None;
        };
        for key in table.keys() {
            if !known.contains(&key.get_ref().as_ref()) {
                self.unknown(key.span().start, "key", key.get_ref(), place, known);
            }
        }
        Some(table)
    }

    fn get<T>(
        &mut self,
        table: &DeTable<'_>,
        key: &str,
        read: impl Fn(&mut Self, &str, &Value<'_>) -> Option<T>,
    ) -> Option<T> {
        let (_, value) = table.iter().find(|(name, _)| name.get_ref() == key)?;
        read(self, key, value)
    }

    fn path_entry(&mut self, place: &str, value: &Value<'_>) -> Option<PathBuf> {
        let table = self.table(place, value, &["path"])?;
        self.required(place, value, table, "path", Self::path)
    }

    fn required<T>(
        &mut self,
        place: &str,
        value: &Value<'_>,
        table: &DeTable<'_>,
        key: &str,
        read: impl Fn(&mut Self, &str, &Value<'_>) -> Option<T>,
    ) -> Option<T> {
        if !table.keys().any(|name| name.get_ref() == key) {
            self.fault(value.span().start, format!("{place} needs `{key}`"));
            return None;
        }
        self.get(table, key, read)
    }

    fn project(&mut self, place: &str, value: &Value<'_>) -> Option<Project> {
        let table = self.table(place, value, &["buildspec", "environment"])?;
        Some(Project {
            buildspec: self.get(table, "buildspec", Self::string),
            environment: self.get(table, "environment", Self::map).unwrap_or_default(),
        })
    }

    fn function(&mut self, place: &str, value: &Value<'_>) -> Option<Function> {
        let table = self.table(place, value, &["command", "environment", "endpoint_url"])?;
        let command = self.get(table, "command", Self::command);
        let environment = self.get(table, "environment", Self::map);
        let endpoint = self.get(table, "endpoint_url", Self::endpoint);
        let has = |key: &str| table.keys().any(|name| name.get_ref() == key);
        match (has("command"), has("endpoint_url")) {
            (true, false) => {
                Some(Function::Command { command: command?, environment: environment.unwrap_or_default() })
            }
            (false, true) if !has("environment") => endpoint.map(Function::Endpoint),
            (false, true) => {
                self.fault(value.span().start, format!("{place} takes `environment` with a `command` only"));
                None
            }
            (true, true) | (false, false) => {
                self.fault(value.span().start, format!("{place} needs either `command` or `endpoint_url`"));
                None
            }
        }
    }

    fn provider(&mut self, place: &str, value: &Value<'_>) -> Option<String> {
        let table = self.table(place, value, &["endpoint_url"])?;
        self.required(place, value, table, "endpoint_url", Self::endpoint)
    }

    fn secret(&mut self, place: &str, value: &Value<'_>) -> Option<Secret> {
        let known = ["value", "env", "file"];
        let table = self.table(place, value, &known)?;
        let given = table.keys().filter(|name| known.contains(&name.get_ref().as_ref())).count();
        if given != 1 {
            self.fault(value.span().start, format!("{place} needs exactly one of `value`, `env` and `file`"));
            return None;
        }
        let value = self.get(table, "value", Self::string).map(Secret::Value);
        let env = self.get(table, "env", Self::string).map(Secret::Env);
        value.or(env).or_else(|| self.get(table, "file", Self::path).map(Secret::File))
    }

    fn string(&mut self, key: &str, value: &Value<'_>) -> Option<String> {
        let Some(text) = value.get_ref().as_str() else {
            let kind = value.get_ref().type_str();
            self.fault(value.span().start, format!("`{key}` must be a string, not of type {kind}"));
            return None;
        };
        Some(text.to_owned())
    }

    fn path(&mut self, key: &str, value: &Value<'_>) -> Option<PathBuf> {
        let text = self.string(key, value)?;
        if text.is_empty() {
            self.fault(value.span().start, format!("`{key}` is empty; `.` is the directory of penstock.toml"));
            return None;
        }
        Some(self.base.join(text))
    }

    fn endpoint(&mut self, key: &str, value: &Value<'_>) -> Option<String> {
        let text = self.string(key, value)?;
        if text == "aws" || text.starts_with("http://") || text.starts_with("https://") {
            return Some(text);
        }
        let message = format!("`{key}` must be a URL as \"http://127.0.0.1:4566\", or \"aws\", not \"{text}\"");
        self.fault(value.span().start, message);
        None
    }

    fn strings(&mut self, key: &str, value: &Value<'_>) -> Option<Vec<String>> {
        let DeValue::Array(items) = value.get_ref() else {
            let kind = value.get_ref().type_str();
            self.fault(value.span().start, format!("`{key}` must be a list of strings, not of type {kind}"));
            return None;
        };
        items.iter().map(|item| self.string(&format!("an item of {key}"), item)).collect()
    }

    fn command(&mut self, key: &str, value: &Value<'_>) -> Option<Vec<String>> {
        let words = self.strings(key, value)?;
        if words.first().is_none_or(String::is_empty) {
            self.fault(value.span().start, format!("`{key}` names no program"));
            return None;
        }
        Some(words)
    }

    fn map(&mut self, key: &str, value: &Value<'_>) -> Option<BTreeMap<String, String>> {
        let DeValue::Table(table) = value.get_ref() else {
            let kind = value.get_ref().type_str();
            self.fault(value.span().start, format!("`{key}` must be a table of strings, not of type {kind}"));
            return None;
        };
        let pairs = table.iter().map(|(name, value)| {
            let text = self.string(&format!("{key}.{}", name.get_ref()), value)?;
            Some((name.get_ref().to_string(), text))
        });
        pairs.collect()
    }

    fn count(&mut self, key: &str, value: &Value<'_>) -> Option<usize> {
        let number = value.get_ref().as_integer().and_then(|n| usize::from_str_radix(n.as_str(), n.radix()).ok());
        if number.is_none_or(|number| number == 0) {
            self.fault(value.span().start, format!("`{key}` must be a whole number of at least 1"));
            return None;
        }
        number
    }
}
