//! The environment of an action's commands: what is declared, secrets looked up, and CodeBuild's own variables.

use std::collections::{BTreeMap, BTreeSet};

use control::ports::ActionRequest;
use engine::ArtifactLocation;

use super::context::{Ctx, Fault, now_millis};
use super::scratch::Scratch;
use crate::process::LogSink;

/// Declared variables with their values.
#[derive(Clone, Default)]
pub(crate) struct Declared {
    /// Values by name.
    pub values: BTreeMap<String, String>,
    /// What must not be seen in any output.
    pub secrets: Vec<String>,
    /// Names of variables that hold secrets: these are never exported.
    pub secret_names: BTreeSet<String>,
}

impl Declared {
    /// Adds a variable of a kind (`PLAINTEXT`, `SECRETS_MANAGER`, `PARAMETER_STORE`); it replaces one of the same name.
    /// `place` is where it is declared.
    pub(crate) fn add(&mut self, ctx: &Ctx, place: &str, name: &str, value: &str, kind: &str) -> Result<(), Fault> {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            let problem = "must not be empty nor hold `=` or a zero byte";
            return Err(Fault::configuration(format!(
                "{place}: the name {name:?} of an environment variable {problem}"
            )));
        }
        self.secret_names.remove(name);
        let value = match kind {
            "PLAINTEXT" => value.to_owned(),
            "SECRETS_MANAGER" | "PARAMETER_STORE" => {
                let (whole, part) = look_up(ctx, value, kind == "SECRETS_MANAGER")
                    .map_err(|error| Fault::configuration(format!("{place}: environment variable {name}: {error}")))?;
                self.secret_names.insert(name.to_owned());
                self.secrets.extend([whole, part.clone()]);
                part
            }
            other => {
                let right = "PLAINTEXT, SECRETS_MANAGER or PARAMETER_STORE";
                return Err(Fault::configuration(format!("{place}: {name} has the type {other:?}; it is {right}")));
            }
        };
        self.values.insert(name.to_owned(), value);
        Ok(())
    }

    /// The variables that hold no secret, whatever their names: only these are handed on. `kind` is what they are called
    /// where the log tells of the others.
    pub(crate) fn without_secrets(
        &self,
        kind: &str,
        mut variables: BTreeMap<String, String>,
        log: &LogSink,
    ) -> BTreeMap<String, String> {
        variables.retain(|name, value| {
            let is_secret = self.secret_names.contains(name) || log.holds_secret(value);
            if is_secret {
                log.remark(&format!("the {kind} variable {name} holds a secret and is not handed on"));
            }
            !is_secret
        });
        variables
    }
}

/// A secret as a whole, and the part of it that a reference names: `ID`, or for a secret that is a JSON object
/// `ID:KEY:STAGE:VERSION` (stage and version are of no meaning here). The whole reference may be a secret's name, too.
fn look_up(ctx: &Ctx, reference: &str, with_key: bool) -> Result<(String, String), String> {
    let (id, key) = if with_key { split(reference) } else { (reference, None) };
    let known = |name: &str| ctx.config.secrets.contains_key(name);
    let Some(key) = key.filter(|_| !known(reference)) else {
        let name = if known(reference) { reference } else { id };
        let value = ctx.config.secret(name).map_err(|error| error.to_string())?;
        return Ok((value.clone(), value));
    };
    let whole = ctx.config.secret(id).map_err(|error| error.to_string())?;
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&whole).map_err(|_| {
        format!("the secret `{id}` is no JSON object, so that it has no key `{key}`; or name the whole [secret.\"{reference}\"]")
    })?;
    let part = match object.get(key) {
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => return Err(format!("the secret `{id}` has no key `{key}`")),
    };
    Ok((whole, part))
}

/// A reference's secret id and JSON key. An ARN has seven parts itself.
pub(crate) fn split(reference: &str) -> (&str, Option<&str>) {
    let parts_of_id = if reference.starts_with("arn:") { 7 } else { 1 };
    let end = reference.match_indices(':').nth(parts_of_id - 1).map_or(reference.len(), |(at, _)| at);
    let id = reference.get(..end).unwrap_or(reference);
    let key = reference.get(end + 1..).and_then(|rest| rest.split(':').next()).filter(|key| !key.is_empty());
    (id, key)
}

/// What identifies a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Build {
    /// The project's name.
    pub project: String,
    /// The build's number in its project.
    pub number: u64,
}

impl Build {
    /// The build's id, as CodeBuild writes it.
    pub(crate) fn id(&self, request: &ActionRequest) -> String {
        format!("{}:{}", self.project, request.action.id)
    }
}

/// CodeBuild's variables, as far as they have a meaning on one machine.
pub(crate) fn built_in(
    request: &ActionRequest,
    build: &Build,
    primary: Option<&ArtifactLocation>,
    scratch: &Scratch,
) -> BTreeMap<String, String> {
    let region = region(request);
    let arn = |kind: &str, name: &str| format!("arn:aws:codebuild:{region}:{}:{kind}/{name}", request.account);
    let mut variables = BTreeMap::from([
        ("CODEBUILD_BUILD_ARN", arn("build", &build.id(request))),
        ("CODEBUILD_BUILD_ID", build.id(request)),
        ("CODEBUILD_BUILD_NUMBER", build.number.to_string()),
        ("CODEBUILD_BUILD_SUCCEEDING", "1".into()),
        ("CODEBUILD_CI", "true".into()),
        ("CODEBUILD_INITIATOR", format!("codepipeline/{}", request.pipeline)),
        ("CODEBUILD_KMS_KEY_ID", request.encryption_key.clone().unwrap_or_else(|| "alias/aws/s3".into())),
        ("CODEBUILD_PROJECT_ARN", arn("project", &build.project)),
        ("CODEBUILD_SRC_DIR", scratch.source().display().to_string()),
        ("CODEBUILD_START_TIME", now_millis().to_string()),
    ]);
    if let Some(primary) = primary {
        variables.insert("CODEBUILD_SOURCE_VERSION", object_arn(primary));
        let known = request.input_revisions.get(primary.name.as_str()).or(primary.revision.as_ref());
        if let Some(revision) = known {
            variables.insert("CODEBUILD_RESOLVED_SOURCE_VERSION", revision.clone());
        }
    }
    let mut variables: BTreeMap<String, String> =
        variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    for input in request.action.inputs.iter().filter(|input| primary.is_none_or(|primary| primary.name != input.name)) {
        let name = input.name.as_str();
        let directory = scratch.source_of(name).display().to_string();
        // No shell can read a variable whose name has a dash or a dot: such an artifact's has underscores as well.
        for name in [name.to_owned(), name.replace(|c: char| !c.is_ascii_alphanumeric(), "_")] {
            variables.insert(format!("CODEBUILD_SRC_DIR_{name}"), directory.clone());
            variables.insert(format!("CODEBUILD_SOURCE_VERSION_{name}"), object_arn(input));
        }
    }
    variables
}

/// The region that the action runs in.
pub(crate) fn region(request: &ActionRequest) -> &str {
    request.declaration.region.as_deref().unwrap_or(&request.region)
}

fn object_arn(artifact: &ArtifactLocation) -> String {
    format!("arn:aws:s3:::{}/{}", artifact.bucket, artifact.key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_name_a_secret_and_a_key() {
        for (reference, id, key) in [
            ("token", "token", None),
            ("token:key", "token", Some("key")),
            ("token:key:AWSCURRENT:", "token", Some("key")),
            ("token::AWSPREVIOUS", "token", None),
            ("arn:aws:secretsmanager:r:1:secret:n-x", "arn:aws:secretsmanager:r:1:secret:n-x", None),
            ("arn:aws:secretsmanager:r:1:secret:n-x:key::", "arn:aws:secretsmanager:r:1:secret:n-x", Some("key")),
        ] {
            assert_eq!(split(reference), (id, key), "{reference}");
        }
    }
}
