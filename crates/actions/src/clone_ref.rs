//! References to a clone (`CODEBUILD_CLONE_REF`): what a source action leaves instead of files, and a CodeBuild action reads.

use std::collections::BTreeMap;
use std::path::Path;

use control::ports::ActionRequest;
use serde::{Deserialize, Serialize};

use crate::fault::{Fault, scratch};
use crate::objects::{Objects, Storing};
use crate::ports::GitHost;

/// The object metadata that marks a reference.
const METADATA: (&str, &str) = ("penstock-artifact-format", "CODEBUILD_CLONE_REF");
/// The most bytes of a reference.
const MAX_BYTES: u64 = 64 * 1024;

/// The inputs of an action that are references, by artifact name.
pub(crate) type Clones = BTreeMap<String, CloneRef>;

/// A repository at a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CloneRef {
    /// The format of this.
    pub(crate) v: u32,
    /// `GitHub`, `GitLab`, `Bitbucket` or `CodeCommit`.
    pub(crate) provider: String,
    /// Where to clone from, by HTTPS.
    pub(crate) clone_url: String,
    /// The connection; empty for CodeCommit, which CodeBuild opens under its project's role.
    pub(crate) connection_arn: String,
    /// `owner/name`, or a CodeCommit repository's name.
    pub(crate) full_repository_id: String,
    /// The branch.
    pub(crate) branch_name: String,
    /// The commit.
    pub(crate) commit_id: String,
}

impl CloneRef {
    /// Writes it to a file, and what marks it to how the file is stored.
    pub(crate) async fn write(&self, to: &Path, storing: &mut Storing) -> Result<(), Fault> {
        storing.metadata.push((METADATA.0.into(), METADATA.1.into()));
        let text = serde_json::to_vec(self).map_err(|error| Fault::job(error.to_string()))?;
        tokio::fs::write(to, text).await.map_err(|error| scratch(&error))
    }

    /// Whether it lies in CodeCommit.
    pub(crate) fn is_of_codecommit(&self) -> bool {
        self.provider == "CodeCommit"
    }

    pub(crate) fn host_kind(&self) -> GitHost {
        match self.provider.as_str() {
            "GitLab" => GitHost::GitLab,
            "Bitbucket" => GitHost::Bitbucket,
            _ => GitHost::GitHub,
        }
    }

    /// Whether it lies at the host that everybody knows under the provider's name.
    pub(crate) fn is_public_host(&self) -> bool {
        ["https://github.com/", "https://gitlab.com/", "https://bitbucket.org/"]
            .iter()
            .any(|host| self.clone_url.starts_with(host))
    }

    /// Whether the connection is one of AWS's.
    pub(crate) fn is_of_aws(&self) -> bool {
        let mut parts = self.connection_arn.split(':');
        let service = parts.nth(2).unwrap_or_default();
        matches!(service, "codestar-connections" | "codeconnections")
    }
}

/// The inputs that are references. Every input is looked at: who made it does not tell.
pub(crate) async fn of_inputs(objects: &Objects, request: &ActionRequest) -> Result<Clones, Fault> {
    let looks = request.action.inputs.iter().map(|input| async move {
        let head = objects.head(&input.bucket, &input.key, None).await?;
        let head = head.ok_or_else(|| Fault::job(format!("the artifact {} is gone", input.name)))?;
        let format = head.metadata().and_then(|metadata| metadata.get(METADATA.0));
        if format.map(String::as_str) != Some(METADATA.1) {
            return Ok::<_, Fault>(None);
        }
        let text = objects.small(&input.bucket, &input.key, MAX_BYTES).await?;
        let read: CloneRef = serde_json::from_slice(&text)
            .map_err(|error| Fault::job(format!("the artifact {} is no reference: {error}", input.name)))?;
        Ok(Some((input.name.to_string(), read)))
    });
    let found = futures::future::try_join_all(looks).await?;
    Ok(found.into_iter().flatten().collect())
}
