//! What a pipeline has that cannot run on this machine, known before anything starts.
//!
//! Only what stands in the declaration is looked at: settings with variables in them are known when they are resolved.

use std::path::Path;

use actions::variable_check::Check;
use model::deployment_window::Window;
use model::{ActionName, ActionTypeId, Category, Pipeline, Rule, Stage, StringMap};

use super::standin::StandIn;
use crate::buildspec;
use crate::commands::variables::split;
use crate::config::{LocalConfig, bucket_lines, function_lines, secret_lines, source_lines};
use crate::invoke::{PROVIDER, check_provider, plain_name};
use crate::sources::{Repository, missing};

/// An action or rule that cannot run on this machine as things are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// Its place in the declaration, as findings write it.
    pub path: String,
    /// Its name.
    pub action: ActionName,
    /// What is missing or cannot be done.
    pub what: String,
    /// The lines to add to `penstock.toml`; empty where none would help.
    pub add: String,
}

impl std::fmt::Display for Unsupported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}): {}", self.path, self.action, self.what)?;
        if self.add.is_empty() { Ok(()) } else { write!(f, "\n{}", self.add) }
    }
}

/// Everything of a pipeline that cannot run, in the order of the declaration.
pub fn unsupported(pipeline: &Pipeline, config: &LocalConfig) -> Vec<Unsupported> {
    let mut found = Vec::new();
    for (stage_place, stage) in pipeline.stages.iter().enumerate() {
        for (place, action) in stage.actions.iter().enumerate() {
            let path = format!("stages[{stage_place}].actions[{place}]");
            let secrets = action.environment_variables.iter().filter(|v| v.kind.as_deref() == Some("SECRETS_MANAGER"));
            let mut check = Checking { pipeline, config, path, name: &action.name, found: &mut found };
            check.action(&action.action_type_id, &action.configuration);
            secrets.for_each(|variable| check.secret(&variable.value, true));
        }
        for (path, rule) in rules(stage) {
            let path = format!("stages[{stage_place}].{path}");
            let mut check = Checking { pipeline, config, path, name: &rule.name, found: &mut found };
            check.action(&rule.rule_type_id.action_type(), &rule.configuration);
        }
    }
    found
}

fn rules(stage: &Stage) -> impl Iterator<Item = (String, &Rule)> {
    let none = &[][..];
    let slots = [
        ("beforeEntry", stage.before_entry.as_ref().map_or(none, |slot| &slot.conditions)),
        ("onSuccess", stage.on_success.as_ref().map_or(none, |slot| &slot.conditions)),
        ("onFailure", stage.on_failure.as_ref().map_or(none, |slot| &slot.conditions)),
    ];
    slots.into_iter().flat_map(|(slot, conditions)| {
        conditions.iter().enumerate().flat_map(move |(condition_place, condition)| {
            let rules = condition.rules.iter().enumerate();
            rules.map(move |(place, rule)| (format!("{slot}.conditions[{condition_place}].rules[{place}]"), rule))
        })
    })
}

struct Checking<'a> {
    pipeline: &'a Pipeline,
    config: &'a LocalConfig,
    path: String,
    name: &'a ActionName,
    found: &'a mut Vec<Unsupported>,
}

/// A setting's value, unless it is absent or has variables in it.
fn fixed<'s>(settings: &'s StringMap, key: &str) -> Option<&'s str> {
    settings.get(key).map(String::as_str).filter(|value| !value.is_empty() && !value.contains("#{"))
}

impl Checking<'_> {
    fn say(&mut self, what: impl Into<String>, add: impl Into<String>) {
        let (path, action) = (self.path.clone(), self.name.clone());
        self.found.push(Unsupported { path, action, what: what.into(), add: add.into() });
    }

    fn action(&mut self, action_type: &ActionTypeId, settings: &StringMap) {
        match StandIn::of(action_type) {
            Err(none) => self.say(none.what(self.config, self.name), none.lines(self.config)),
            Ok(StandIn::Source) => self.source(action_type, settings),
            Ok(StandIn::Deploy) => self.bucket(fixed(settings, "BucketName"), "deploys to"),
            Ok(StandIn::Invoke) => self.function(fixed(settings, "FunctionName")),
            Ok(StandIn::CodeBuild) => self.build(settings),
            Ok(StandIn::Commands) => self.commands(settings),
            Ok(StandIn::Approval) => {}
            Ok(StandIn::VariableCheck) => {
                // Without variables in the expression, what is wrong with it stays wrong.
                let known = fixed(settings, "Value").is_some() && fixed(settings, "Operator").is_some();
                if let (true, Err(error)) = (known, Check::parse(settings)) {
                    self.say(error.to_string(), "");
                }
            }
            Ok(StandIn::DeploymentWindow) => {
                if let (Some(_), Err(error)) = (fixed(settings, "Cron"), Window::parse(settings)) {
                    self.say(error.to_string(), "");
                }
            }
        }
    }

    fn source(&mut self, action_type: &ActionTypeId, settings: &StringMap) {
        debug_assert_eq!(action_type.category, Category::Source);
        let (config, name) = (self.config, self.name);
        match config.source(self.pipeline.name.as_str(), name.as_str()) {
            None if action_type.provider == "S3" => {
                let bucket = fixed(settings, "S3Bucket");
                self.bucket(bucket, "reads");
                if let Some(path) = bucket.and_then(|bucket| config.buckets.get(bucket)) {
                    self.object(path, settings);
                }
            }
            None => {
                let what = format!("nothing stands in for the source action `{name}`");
                self.say(what, source_lines(name.as_str()));
            }
            Some(path) if !path.exists() => {
                self.say(format!("{} stands in for `{name}`, but it is not there", path.display()), "");
            }
            Some(path) if action_type.provider == "S3" => self.object(path, settings),
            Some(path) => {
                if let Err(error) = Repository::open(path) {
                    self.say(error.to_string(), "");
                }
            }
        }
    }

    fn bucket(&mut self, bucket: Option<&str>, does: &str) {
        let Some(bucket) = bucket.filter(|bucket| !self.config.buckets.contains_key(*bucket)) else { return };
        let what = format!("nothing stands in for the bucket `{bucket}`, which `{}` {does}", self.name);
        self.say(what, bucket_lines(bucket));
    }

    /// An object that may be asked for by another key is looked for when it is.
    fn object(&mut self, path: &Path, settings: &StringMap) {
        let is_fixed = settings.get("AllowOverrideForS3ObjectKey").is_none_or(|value| value != "true");
        let Some(key) = fixed(settings, "S3ObjectKey").filter(|_| is_fixed) else { return };
        if let Some(what) = missing(path, key) {
            self.say(what, "");
        }
    }

    fn function(&mut self, function: Option<&str>) {
        let known = |name: &str| self.config.functions.contains_key(name);
        let Some(name) = function.filter(|name| !known(name) && !known(plain_name(name))) else { return };
        if let Some(endpoint) = self.config.providers.get(PROVIDER) {
            if let Err(reason) = check_provider(endpoint) {
                self.say(format!("the function `{name}`, which `{}` calls: {reason}", self.name), "");
            }
            return;
        }
        let what = format!("nothing stands in for the function `{name}`, which `{}` calls", self.name);
        self.say(what, function_lines(plain_name(name)));
    }

    fn build(&mut self, settings: &StringMap) {
        if fixed(settings, "BatchEnabled").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            let what =
                format!("`{}` has BatchEnabled: batch builds cannot be run here; split it into actions", self.name);
            self.say(what, "");
        }
        for (secret, with_key) in fixed(settings, "BuildspecOverride").map(buildspec::secrets).unwrap_or_default() {
            self.secret(&secret, with_key);
        }
        let Some(variables) = fixed(settings, "EnvironmentVariables") else { return };
        // What is no such list is said when the action runs, and by validation.
        let variables: Vec<BuildVariable> = serde_json::from_str(variables).unwrap_or_default();
        for variable in variables {
            match variable.kind.as_deref() {
                Some("SECRETS_MANAGER") => self.secret(&variable.value, true),
                Some("PARAMETER_STORE") => self.secret(&variable.value, false),
                _ => {}
            }
        }
    }

    fn commands(&mut self, settings: &StringMap) {
        if let Some(kind) = fixed(settings, "EnvironmentType").filter(|kind| kind.starts_with("WINDOWS")) {
            self.say(format!("`{}` wants {kind}, which cannot be run here", self.name), "");
        }
    }

    fn secret(&mut self, reference: &str, with_key: bool) {
        let (id, _) = if with_key { split(reference) } else { (reference, None) };
        let known = |name: &str| self.config.secrets.contains_key(name);
        if reference.contains("#{") {
            return;
        }
        let Some(name) = [reference, id].into_iter().find(|name| known(name)) else {
            return self.say(format!("the secret `{id}`, which `{}` reads, is not known", self.name), secret_lines(id));
        };
        if let Err(error) = self.config.secret(name) {
            self.say(format!("{error}; `{}` reads it", self.name), "");
        }
    }
}

/// An item of a CodeBuild action's `EnvironmentVariables`.
#[derive(serde::Deserialize)]
struct BuildVariable {
    value: String,
    #[serde(rename = "type")]
    kind: Option<String>,
}
