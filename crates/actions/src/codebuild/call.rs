//! From an action to the build to start.

use aws_sdk_codebuild::Client;
use aws_sdk_codebuild::error::SdkError;
use aws_sdk_codebuild::operation::start_build::{StartBuildError, StartBuildOutput};
use aws_sdk_codebuild::operation::start_build_batch::{StartBuildBatchError, StartBuildBatchOutput};
use aws_sdk_codebuild::types::{
    ArtifactPackaging, ArtifactsType, EnvironmentVariable, EnvironmentVariableType, ProjectArtifacts,
    ProjectBuildBatchConfig, ProjectSource, SourceAuth, SourceAuthType, SourceType,
};
use control::ports::ActionRequest;
use engine::ArtifactLocation;
use model::StringMap;
use serde::Deserialize;

use crate::clone_ref::{CloneRef, Clones};
use crate::configuration::{Settings, arn};
use crate::fault::Fault;
use crate::ports::GitHost;

/// The variable that names the action execution: a build is found again by it.
pub(super) const MARK: &str = "PENSTOCK_ACTION_EXECUTION_ID";

/// A variable of the build's environment.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) value: String,
    #[serde(rename = "type", default)]
    pub(super) kind: VariableKind,
}

/// Where a variable's value comes from. CodeBuild looks it up itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum VariableKind {
    #[default]
    Plaintext,
    ParameterStore,
    SecretsManager,
}

/// Where a build's source comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// `bucket/key` of a zip.
    Artifact(String),
    /// A clone at a commit.
    Clone(CloneRef),
}

/// A build to start.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct BuildCall {
    pub(super) project: String,
    pub(super) batch: bool,
    pub(super) combine: bool,
    pub(super) token: String,
    pub(super) primary: Source,
    /// By source identifier.
    pub(super) secondary: Vec<(String, Source)>,
    pub(super) outputs: Vec<ArtifactLocation>,
    pub(super) environment: Vec<Variable>,
    pub(super) buildspec: Option<String>,
    pub(super) service_role: Option<String>,
    pub(super) encryption_key: Option<String>,
}

impl BuildCall {
    /// What an action asks for. `clones` are the inputs that are references to a clone.
    pub(super) fn of(request: &ActionRequest, clones: &Clones) -> Result<Self, Fault> {
        let settings = Settings(request);
        let batch = is_batch(request)?;
        let combine = settings.boolean("CombineArtifacts")? == Some(true);
        if combine && !batch {
            return Err(settings.fault("CombineArtifacts", "means something only where `BatchEnabled` is true"));
        }
        let primary = primary(settings)?;
        let source = |input: &ArtifactLocation| match clones.get(input.name.as_str()) {
            Some(clone) => Source::Clone(clone.clone()),
            None => Source::Artifact(format!("{}/{}", input.bucket, input.key)),
        };
        let others = request.action.inputs.iter().filter(|input| input.name != primary.name);
        Ok(Self {
            project: settings.required("ProjectName")?.to_owned(),
            batch,
            combine,
            token: request.action.id.to_string(),
            primary: source(primary),
            secondary: others.map(|input| (identifier(input.name.as_str()), source(input))).collect(),
            outputs: request.action.outputs.clone(),
            environment: environment(settings)?,
            buildspec: settings.optional("BuildspecOverride").map(Into::into),
            service_role: settings.optional("ServiceRoleArnOverride").map(Into::into),
            encryption_key: request.encryption_key.as_deref().map(|key| key_name(request, key)),
        })
    }

    pub(super) async fn start_build(&self, client: &Client) -> Result<StartBuildOutput, SdkError<StartBuildError>> {
        let primary = Parts::of(&self.primary);
        client
            .start_build()
            .project_name(&self.project)
            .idempotency_token(&self.token)
            .source_type_override(primary.kind)
            .source_location_override(primary.location)
            .set_source_version(primary.version)
            .set_source_auth_override(primary.auth)
            .set_git_clone_depth_override(primary.depth)
            .set_secondary_sources_override(self.secondary_sources())
            .set_secondary_sources_version_override(self.secondary_versions())
            .set_artifacts_override(self.artifacts())
            .set_secondary_artifacts_override(self.secondary_artifacts())
            .set_environment_variables_override(Some(self.variables()))
            .set_buildspec_override(self.buildspec.clone())
            .set_service_role_override(self.service_role.clone())
            .set_encryption_key_override(self.encryption_key.clone())
            .send()
            .await
    }

    pub(super) async fn start_batch(
        &self,
        client: &Client,
    ) -> Result<StartBuildBatchOutput, SdkError<StartBuildBatchError>> {
        let primary = Parts::of(&self.primary);
        let combine = self.combine.then(|| ProjectBuildBatchConfig::builder().combine_artifacts(true).build());
        client
            .start_build_batch()
            .project_name(&self.project)
            .idempotency_token(&self.token)
            .source_type_override(primary.kind)
            .source_location_override(primary.location)
            .set_source_version(primary.version)
            .set_source_auth_override(primary.auth)
            .set_git_clone_depth_override(primary.depth)
            .set_secondary_sources_override(self.secondary_sources())
            .set_secondary_sources_version_override(self.secondary_versions())
            .set_artifacts_override(self.artifacts())
            .set_secondary_artifacts_override(self.secondary_artifacts())
            .set_environment_variables_override(Some(self.variables()))
            .set_buildspec_override(self.buildspec.clone())
            .set_service_role_override(self.service_role.clone())
            .set_encryption_key_override(self.encryption_key.clone())
            .set_build_batch_config_override(combine)
            .send()
            .await
    }

    fn secondary_sources(&self) -> Option<Vec<ProjectSource>> {
        let source = |(id, source): &(String, Source)| {
            let parts = Parts::of(source);
            let made = ProjectSource::builder().r#type(parts.kind).location(parts.location).source_identifier(id);
            made.set_auth(parts.auth).set_git_clone_depth(parts.depth).build().ok()
        };
        let sources: Vec<_> = self.secondary.iter().filter_map(source).collect();
        (!sources.is_empty()).then_some(sources)
    }

    fn secondary_versions(&self) -> Option<Vec<aws_sdk_codebuild::types::ProjectSourceVersion>> {
        let version = |(id, source): &(String, Source)| {
            let version = Parts::of(source).version?;
            let made = aws_sdk_codebuild::types::ProjectSourceVersion::builder();
            made.source_identifier(id).source_version(version).build().ok()
        };
        let versions: Vec<_> = self.secondary.iter().filter_map(version).collect();
        (!versions.is_empty()).then_some(versions)
    }

    /// The only output is the build's primary artifact; of several each is the secondary one of its name.
    fn artifacts(&self) -> Option<ProjectArtifacts> {
        match self.outputs.as_slice() {
            [only] => artifact(only, None),
            _ => ProjectArtifacts::builder().r#type(ArtifactsType::NoArtifacts).build().ok(),
        }
    }

    fn secondary_artifacts(&self) -> Option<Vec<ProjectArtifacts>> {
        if self.outputs.len() < 2 {
            return None;
        }
        Some(self.outputs.iter().filter_map(|output| artifact(output, Some(output.name.as_str()))).collect())
    }

    fn variables(&self) -> Vec<EnvironmentVariable> {
        let variable = |variable: &Variable| {
            let kind = match variable.kind {
                VariableKind::Plaintext => EnvironmentVariableType::Plaintext,
                VariableKind::ParameterStore => EnvironmentVariableType::ParameterStore,
                VariableKind::SecretsManager => EnvironmentVariableType::SecretsManager,
            };
            EnvironmentVariable::builder().name(&variable.name).value(&variable.value).r#type(kind).build().ok()
        };
        self.environment.iter().filter_map(variable).collect()
    }
}

/// A source as CodeBuild wants it.
struct Parts {
    kind: SourceType,
    location: String,
    version: Option<String>,
    auth: Option<SourceAuth>,
    /// 0 is the whole history.
    depth: Option<i32>,
}

impl Parts {
    fn of(source: &Source) -> Self {
        match source {
            Source::Artifact(location) => {
                Self { kind: SourceType::S3, location: location.clone(), version: None, auth: None, depth: None }
            }
            Source::Clone(clone) => {
                let auth = SourceAuth::builder().r#type(SourceAuthType::Codeconnections);
                // Only AWS's own connections open something for CodeBuild; else it uses the credentials it was given.
                let auth = clone.is_of_aws().then(|| auth.resource(&clone.connection_arn).build().ok()).flatten();
                let kind = match (clone.host_kind(), clone.is_public_host()) {
                    _ if clone.is_of_codecommit() => SourceType::Codecommit,
                    (GitHost::GitHub, true) => SourceType::Github,
                    (GitHost::GitHub, false) => SourceType::GithubEnterprise,
                    (GitHost::GitLab, true) => SourceType::Gitlab,
                    (GitHost::GitLab, false) => SourceType::GitlabSelfManaged,
                    (GitHost::Bitbucket, _) => SourceType::Bitbucket,
                };
                let version = Some(clone.commit_id.clone());
                Self { kind, location: clone.clone_url.clone(), version, auth, depth: Some(0) }
            }
        }
    }
}

/// Whether the action asks for a batch.
pub(super) fn is_batch(request: &ActionRequest) -> Result<bool, Fault> {
    Ok(Settings(request).boolean("BatchEnabled")? == Some(true))
}

fn primary(settings: Settings<'_>) -> Result<&ArtifactLocation, Fault> {
    let inputs = &settings.0.action.inputs;
    let names = || inputs.iter().map(|input| input.name.as_str()).collect::<Vec<_>>().join(", ");
    match (settings.optional("PrimarySource"), inputs.as_slice()) {
        (_, []) => settings.input(),
        (Some(name), _) => inputs.iter().find(|input| input.name == *name).ok_or_else(|| {
            settings.fault("PrimarySource", &format!("{name} is none of the action's inputs ({})", names()))
        }),
        (None, [only]) => Ok(only),
        (None, _) => Err(settings.fault("PrimarySource", &format!("is missing; name one of {}", names()))),
    }
}

/// CodeBuild takes a key's ARN or alias; a store may name it by its id alone.
fn key_name(request: &ActionRequest, key: &str) -> String {
    let is_name = key.starts_with("arn:") || key.starts_with("alias/");
    if is_name { key.to_owned() } else { arn(request, "kms", &format!("key/{key}")) }
}

/// The action's variables, and the mark.
fn environment(settings: Settings<'_>) -> Result<Vec<Variable>, Fault> {
    let mut variables: Vec<Variable> = match settings.optional("EnvironmentVariables") {
        None => Vec::new(),
        Some(text) => serde_json::from_str(text).map_err(|error| {
            let right = r#"write [{"name": "N", "value": "V", "type": "PLAINTEXT"}]"#;
            settings.fault("EnvironmentVariables", &format!("{error}; {right}"))
        })?,
    };
    if let Some(wrong) = variables.iter().find(|variable| variable.name.is_empty() || variable.name == MARK) {
        let what = format!("the name {:?} is empty or Penstock's own", wrong.name);
        return Err(settings.fault("EnvironmentVariables", &what));
    }
    let value = settings.0.action.id.to_string();
    variables.push(Variable { name: MARK.into(), value, kind: VariableKind::Plaintext });
    Ok(variables)
}

/// A source's identifier is letters, digits and underscores: a part of variables' names.
fn identifier(name: &str) -> String {
    name.replace(|c: char| !c.is_ascii_alphanumeric(), "_")
}

/// An artifact under exactly its claimed key: CodeBuild joins location, path and name.
fn artifact(output: &ArtifactLocation, identifier: Option<&str>) -> Option<ProjectArtifacts> {
    let (path, name) = output.key.rsplit_once('/').unwrap_or(("", &output.key));
    ProjectArtifacts::builder()
        .r#type(ArtifactsType::S3)
        .location(&output.bucket)
        .path(path)
        .name(name)
        .namespace_type(aws_sdk_codebuild::types::ArtifactNamespace::None)
        .packaging(ArtifactPackaging::Zip)
        .override_artifact_name(false)
        .set_artifact_identifier(identifier.map(Into::into))
        .build()
        .ok()
}

/// Exported variables that are no secrets.
pub(super) fn exported(request: &ActionRequest, exported: &[(String, String)]) -> StringMap {
    let declared = environment(Settings(request)).unwrap_or_default();
    let is_secret = |name: &str| {
        declared.iter().any(|variable| variable.name == name && variable.kind == VariableKind::SecretsManager)
    };
    exported.iter().filter(|(name, _)| !is_secret(name)).cloned().collect()
}
