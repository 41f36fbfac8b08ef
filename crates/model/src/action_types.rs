//! The action and rule types that CodePipeline has: how many artifacts they take, their configuration keys, output
//! variables and time limits.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::declaration::{Action, ActionTypeId, Pipeline, StringMap};
use crate::secrets::is_secret_name;
use crate::status::{Category, Owner};

/// What a secret configuration value is shown as.
pub const MASK: &str = "****";

/// The most input and output artifacts of a type whose definition is not at hand.
pub const UNKNOWN_TYPE_ARTIFACTS: Count = Count { min: 0, max: 5 };

/// An action or rule type.
#[derive(Clone, Debug, Deserialize)]
pub struct ActionType {
    /// What kind of work.
    pub category: Category,
    /// Who made it.
    pub owner: Owner,
    /// Which.
    pub provider: String,
    /// Its version.
    pub version: String,
    /// How many input artifacts it takes.
    pub inputs: Count,
    /// How many output artifacts it makes.
    pub outputs: Count,
    /// How long it may take when nothing else is said, in minutes.
    pub timeout_minutes: u32,
    /// Whether only V2 pipelines have it.
    pub v2_only: bool,
    /// The output variables that it always has.
    pub variables: Vec<String>,
    /// Whether it has further output variables, which its user names.
    pub open_variables: bool,
    /// Its configuration keys; any key when empty.
    pub configuration: Vec<ConfigurationKey>,
}

/// How many.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
pub struct Count {
    /// At least.
    pub min: usize,
    /// At most.
    pub max: usize,
}

impl Count {
    /// Whether `count` is enough and not too many.
    pub fn contains(self, count: usize) -> bool {
        (self.min..=self.max).contains(&count)
    }
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.min == self.max { write!(f, "{}", self.min) } else { write!(f, "{} to {}", self.min, self.max) }
    }
}

/// A configuration key of an action type.
#[derive(Clone, Debug, Deserialize)]
pub struct ConfigurationKey {
    /// The key.
    pub key: String,
    /// Whether it must be there.
    #[serde(default)]
    pub required: bool,
    /// Whether its value is shown as `****`.
    #[serde(default)]
    pub secret: bool,
    /// What its value must be.
    #[serde(flatten)]
    pub value: ValueType,
    /// A remark of the documentation.
    #[serde(default)]
    pub note: Option<String>,
}

/// What a configuration value must be. Every value is a string; this is what the string holds.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ValueType {
    /// Any text.
    Text,
    /// Text that a shell reads.
    Shell,
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer {
        /// The smallest.
        min: Option<i64>,
        /// The largest.
        max: Option<i64>,
    },
    /// One of some words.
    Enum {
        /// The words.
        values: Vec<String>,
    },
    /// Some of some words, with commas between them.
    List {
        /// The words.
        values: Vec<String>,
    },
    /// A JSON object.
    JsonObject,
    /// A JSON list.
    JsonList,
    /// A JSON list of `{name, value, type}`.
    Environment,
    /// The name of one of the action's input artifacts.
    InputArtifact,
    /// `Artifact::file` of one of the action's input artifacts.
    ArtifactFile,
    /// A schedule of six or seven fields.
    Cron,
    /// A time zone.
    TimeZone,
}

impl ValueType {
    /// Whether such a value is JSON.
    pub fn is_json(&self) -> bool {
        matches!(self, Self::JsonObject | Self::JsonList | Self::Environment)
    }
}

impl ActionType {
    /// A configuration key by its name.
    pub fn key(&self, name: &str) -> Option<&ConfigurationKey> {
        self.configuration.iter().find(|key| key.key == name)
    }

    /// Whether every configuration key is taken.
    pub fn takes_any_key(&self) -> bool {
        self.configuration.is_empty()
    }

    /// Whether actions of this type may have an output variable of this name.
    pub fn may_have_variable(&self, name: &str) -> bool {
        self.open_variables || self.variables.iter().any(|variable| variable == name)
    }

    /// The secret configuration keys.
    pub fn secret_keys(&self) -> impl Iterator<Item = &str> {
        self.configuration.iter().filter(|key| key.secret).map(|key| key.key.as_str())
    }

    /// Its id.
    pub fn id(&self) -> ActionTypeId {
        ActionTypeId {
            category: self.category,
            owner: self.owner,
            provider: self.provider.as_str().into(),
            version: self.version.as_str().into(),
        }
    }
}

/// Every action and rule type.
pub fn all() -> &'static [ActionType] {
    &TYPES
}

/// The type of this id, if CodePipeline has it. The version counts only of custom types: there is one version of each
/// other, and who makes a type of the same name has made another one.
pub fn lookup(id: &ActionTypeId) -> Option<&'static ActionType> {
    let found = find(id.category, id.owner, id.provider.as_str());
    found.filter(|known| known.owner != Owner::Custom || id.version == *known.version)
}

/// The type of this category, owner and provider.
pub fn find(category: Category, owner: Owner, provider: &str) -> Option<&'static ActionType> {
    TYPES.iter().find(|known| known.category == category && known.owner == owner && known.provider == provider)
}

/// How long an action may take, in minutes: what it says itself, or its type's limit (a day for custom types, an hour
/// for other types whose definition is not at hand).
pub fn timeout_minutes(action: &Action) -> u32 {
    action.timeout_in_minutes.unwrap_or_else(|| default_timeout_minutes(&action.action_type_id))
}

/// How long actions of a type may take when they do not say it themselves, in minutes.
pub fn default_timeout_minutes(id: &ActionTypeId) -> u32 {
    lookup(id).map_or(if id.owner == Owner::Custom { 24 * 60 } else { 60 }, |known| known.timeout_minutes)
}

/// Whether the value of this configuration key is secret. Of a type whose definition is not at hand every key counts
/// whose name says so.
pub fn is_secret_key(id: &ActionTypeId, key: &str) -> bool {
    match lookup(id).and_then(|known| known.key(key)) {
        Some(known) => known.secret,
        None => is_secret_name(key),
    }
}

/// Replaces the secret values of a configuration by `****`.
pub fn mask_secrets(id: &ActionTypeId, configuration: &mut StringMap) {
    for (key, value) in configuration.iter_mut() {
        if is_secret_key(id, key) {
            MASK.clone_into(value);
        }
    }
}

/// Replaces every secret configuration value of a pipeline by `****`.
pub fn mask_pipeline(pipeline: &mut Pipeline) {
    for action in pipeline.stages.iter_mut().flat_map(|stage| &mut stage.actions) {
        mask_secrets(&action.action_type_id, &mut action.configuration);
    }
}

/// The file is part of the program; a test holds that it is read whole.
static TYPES: LazyLock<Vec<ActionType>> =
    LazyLock::new(|| serde_json::from_str(include_str!("action_types.json")).unwrap_or_default());

#[cfg(test)]
mod tests {
    use super::*;

    fn id(category: Category, owner: Owner, provider: &str) -> ActionTypeId {
        ActionTypeId { category, owner, provider: provider.into(), version: "1".into() }
    }

    #[test]
    fn the_table_is_read_whole() {
        assert_eq!(all().len(), 47);
        for known in all() {
            assert!(known.inputs.min <= known.inputs.max && known.outputs.min <= known.outputs.max, "{}", known.id());
            assert!(lookup(&known.id()).is_some_and(|found| found.id() == known.id()), "{}", known.id());
        }
        let build = find(Category::Build, Owner::Aws, "CodeBuild").expect("known");
        assert_eq!(build.key("BatchEnabled").map(|key| &key.value), Some(&ValueType::Boolean));
        assert_eq!(build.key("EnvironmentVariables").map(|key| &key.value), Some(&ValueType::Environment));
        assert!(build.may_have_variable("ANY") && !build.takes_any_key());
        let source = find(Category::Source, Owner::Aws, "S3").expect("known");
        assert!(source.may_have_variable("ETag") && !source.may_have_variable("CommitId"));
        let deploy =
            find(Category::Deploy, Owner::Aws, "ECS").and_then(|known| known.key("DeploymentTimeout")).expect("key");
        assert_eq!(deploy.value, ValueType::Integer { min: Some(1), max: Some(60) });
    }

    #[test]
    fn time_limits_are_those_of_the_quotas_page() {
        for (id, minutes) in [
            (id(Category::Compute, Owner::Aws, "Commands"), 55),
            (id(Category::Approval, Owner::Aws, "Manual"), 7 * 24 * 60),
            (id(Category::Build, Owner::Aws, "CodeBuild"), 36 * 60),
            (id(Category::Test, Owner::Aws, "CodeBuild"), 8 * 60),
            (id(Category::Deploy, Owner::Aws, "S3"), 90),
            (id(Category::Deploy, Owner::Aws, "CloudFormation"), 3 * 24 * 60),
            (id(Category::Deploy, Owner::Aws, "CodeDeploy"), 5 * 24 * 60),
            (id(Category::Invoke, Owner::Aws, "Lambda"), 24 * 60),
            (id(Category::Invoke, Owner::Aws, "StepFunctions"), 7 * 24 * 60),
            (id(Category::Build, Owner::Custom, "Ours"), 24 * 60),
            (id(Category::Test, Owner::ThirdParty, "Theirs"), 60),
        ] {
            assert_eq!(default_timeout_minutes(&id), minutes, "{id}");
        }
    }

    #[test]
    fn secrets_are_masked_by_type() {
        let mut configuration: StringMap =
            [("OAuthToken", "t"), ("Owner", "o")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        mask_secrets(&id(Category::Source, Owner::ThirdParty, "GitHub"), &mut configuration);
        assert_eq!(configuration["OAuthToken"], MASK);
        assert_eq!(configuration["Owner"], "o");
        let mut configuration: StringMap =
            [("ApiPassword", "t"), ("Host", "h")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        mask_secrets(&id(Category::Deploy, Owner::Custom, "Ours"), &mut configuration);
        assert_eq!(configuration["ApiPassword"], MASK);
        assert_eq!(configuration["Host"], "h");
    }
}
