//! A pipeline's declaration (`PipelineDeclaration` of the API model), typed.
//!
//! Every field has the API's name; a field that the API leaves out when empty is left out here too.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::Version;
use crate::names::{ActionName, ArtifactName, Namespace, PipelineName, ProviderName, StageName, TypeVersion};
use crate::status::{Category, ConditionResult, ExecutionMode, Owner, PipelineType, RetryMode, SourceRevisionType};

/// A string map as configurations have.
pub type StringMap = BTreeMap<String, String>;

/// `PipelineDeclaration`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pipeline {
    /// Its name.
    pub name: PipelineName,
    /// The role it acts under.
    pub role_arn: String,
    /// Where its artifacts are kept, when that is one place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_store: Option<ArtifactStore>,
    /// Where its artifacts are kept, by region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_stores: Option<BTreeMap<String, ArtifactStore>>,
    /// Its stages, in order.
    pub stages: Vec<Stage>,
    /// Its version; filled in by the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// How its executions wait for one another; SUPERSEDED when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution_mode: Option<ExecutionMode>,
    /// V1 or V2; V1 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipeline_type: Option<PipelineType>,
    /// Pipeline variables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<VariableDeclaration>,
    /// What starts it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub triggers: Vec<Trigger>,
}

impl Pipeline {
    /// How its executions wait for one another.
    pub fn mode(&self) -> ExecutionMode {
        self.execution_mode.unwrap_or(ExecutionMode::Superseded)
    }

    /// V1 or V2.
    pub fn kind(&self) -> PipelineType {
        self.pipeline_type.unwrap_or(PipelineType::V1)
    }

    /// The store for actions of `region`: the region's own, or the single one.
    pub fn store(&self, region: &str) -> Option<&ArtifactStore> {
        self.artifact_stores.as_ref().and_then(|stores| stores.get(region)).or(self.artifact_store.as_ref())
    }

    /// Every action with its stage, in the order of the declaration.
    pub fn actions(&self) -> impl Iterator<Item = (&Stage, &Action)> {
        self.stages.iter().flat_map(|stage| stage.actions.iter().map(move |action| (stage, action)))
    }
}

/// `ArtifactStore`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArtifactStore {
    /// Always `S3`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The bucket.
    pub location: String,
    /// The key its artifacts are encrypted with; the service's own when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption_key: Option<EncryptionKey>,
}

/// `EncryptionKey`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EncryptionKey {
    /// Key id, ARN or alias ARN.
    pub id: String,
    /// Always `KMS`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// `StageDeclaration`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stage {
    /// Its name.
    pub name: StageName,
    /// Reserved by the API.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blockers: Vec<Blocker>,
    /// Its actions.
    pub actions: Vec<Action>,
    /// What happens when it fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<OnFailure>,
    /// What must hold for it to succeed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_success: Option<Conditions>,
    /// What must hold for it to be entered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before_entry: Option<Conditions>,
}

/// `BlockerDeclaration`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Blocker {
    /// Its name.
    pub name: String,
    /// Always `Schedule`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// `BeforeEntryConditions` and `SuccessConditions`.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Conditions {
    /// Exactly one condition.
    #[serde(default)]
    pub conditions: Vec<Condition>,
}

/// `FailureConditions`.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OnFailure {
    /// What happens without conditions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<ConditionResult>,
    /// How an automatic retry runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_configuration: Option<RetryConfiguration>,
    /// At most one condition; its result is engaged when all its rules succeed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// `RetryConfiguration`.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RetryConfiguration {
    /// Which actions run again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_mode: Option<RetryMode>,
}

/// `Condition`.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Condition {
    /// What happens when it is engaged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<ConditionResult>,
    /// 1–5 rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
}

/// `RuleDeclaration`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// Its name.
    pub name: ActionName,
    /// Its type.
    pub rule_type_id: RuleTypeId,
    /// Settings, by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub configuration: StringMap,
    /// What a Commands rule runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
    /// Artifacts it reads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub input_artifacts: Vec<InputArtifact>,
    /// The role it acts under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// Where it runs; the pipeline's region when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// How long it may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_in_minutes: Option<u32>,
}

/// `RuleTypeId`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuleTypeId {
    /// Always `Rule`.
    pub category: Category,
    /// Always `AWS`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// Which.
    pub provider: String,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

impl RuleTypeId {
    /// The rule type as an action type.
    pub fn action_type(&self) -> ActionTypeId {
        ActionTypeId {
            category: Category::Rule,
            owner: self.owner.unwrap_or(Owner::Aws),
            provider: self.provider.as_str().into(),
            version: self.version.as_deref().unwrap_or("1").into(),
        }
    }
}

/// `ActionDeclaration`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Action {
    /// Its name.
    pub name: ActionName,
    /// Its type.
    pub action_type_id: ActionTypeId,
    /// Actions of one run order start together; 1 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_order: Option<u16>,
    /// Settings, by key.
    #[serde(default)]
    pub configuration: StringMap,
    /// What a Commands action runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
    /// Artifacts it makes.
    #[serde(default)]
    pub output_artifacts: Vec<OutputArtifact>,
    /// Artifacts it reads.
    #[serde(default)]
    pub input_artifacts: Vec<InputArtifact>,
    /// Environment variables a Commands action exports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub output_variables: Vec<String>,
    /// The role it acts under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// Where it runs; the pipeline's region when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Under what name later actions read its output variables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
    /// How long it may take; its type's limit when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_in_minutes: Option<u32>,
    /// What its commands find in their environment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environment_variables: Vec<EnvironmentVariable>,
}

impl Action {
    /// Its place in the stage.
    pub fn order(&self) -> u16 {
        self.run_order.unwrap_or(1)
    }
}

/// `ActionTypeId`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ActionTypeId {
    /// What kind of work.
    pub category: Category,
    /// Who made it.
    pub owner: Owner,
    /// Which.
    pub provider: ProviderName,
    /// Its version.
    pub version: TypeVersion,
}

impl ActionTypeId {
    /// The types of source revision that a source action of this type takes; none where it is not ours to know.
    pub fn source_revision_types(&self) -> Option<&'static [SourceRevisionType]> {
        match (self.owner, self.provider.as_str()) {
            (Owner::Aws, "CodeCommit" | "CodeStarSourceConnection") | (Owner::ThirdParty, "GitHub") => {
                Some(&[SourceRevisionType::CommitId])
            }
            (Owner::Aws, "S3") => Some(&[SourceRevisionType::S3ObjectVersionId, SourceRevisionType::S3ObjectKey]),
            (Owner::Aws, "ECR") => Some(&[SourceRevisionType::ImageDigest]),
            _ => None,
        }
    }
}

impl std::fmt::Display for ActionTypeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}/{}", self.category, self.owner, self.provider, self.version)
    }
}

/// `OutputArtifact`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputArtifact {
    /// Its name.
    pub name: ArtifactName,
    /// The files of a Commands action's artifact, as globs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
}

/// `InputArtifact`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputArtifact {
    /// Its name.
    pub name: ArtifactName,
}

/// `EnvironmentVariable`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnvironmentVariable {
    /// Its name.
    pub name: String,
    /// Its value, or the secret's name.
    pub value: String,
    /// `PLAINTEXT` (when absent) or `SECRETS_MANAGER`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// `PipelineVariableDeclaration`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VariableDeclaration {
    /// Its name, read as `#{variables.NAME}`.
    pub name: String,
    /// Its value when a start gives none; without it a start must.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_value: Option<String>,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// `PipelineTriggerDeclaration`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trigger {
    /// Always `CodeStarSourceConnection`.
    pub provider_type: String,
    /// Which source action, and what starts it.
    pub git_configuration: GitConfiguration,
}

/// `GitConfiguration`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GitConfiguration {
    /// The source action.
    pub source_action_name: ActionName,
    /// Any of these pushes starts it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub push: Vec<PushFilter>,
    /// Any of these pull requests starts it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pull_request: Vec<PullRequestFilter>,
}

/// `GitPushFilter`.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PushFilter {
    /// Tags, as globs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Patterns>,
    /// Branches, as globs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branches: Option<Patterns>,
    /// Changed files, as globs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_paths: Option<Patterns>,
}

/// `GitPullRequestFilter`.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PullRequestFilter {
    /// OPEN, UPDATED, CLOSED.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<String>,
    /// Target branches, as globs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branches: Option<Patterns>,
    /// Changed files, as globs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_paths: Option<Patterns>,
}

/// Globs that let in, and globs that keep out and win.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Patterns {
    /// Let in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub includes: Vec<String>,
    /// Kept out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excludes: Vec<String>,
}
