//! The CodeCommit source: exactly the pushed commit, by CodeCommit's own API; and the heads of its branches, for polls.

mod files;

use async_trait::async_trait;
use aws_sdk_codecommit::Client;
use aws_sdk_codecommit::error::ProvideErrorMetadata;
use aws_sdk_codecommit::types::{Commit, UserInfo};
use aws_types::SdkConfig;
use control::ports::{ActionReply, ActionRequest};
use engine::{ArtifactLocation, Outcome, SourceRevision};
use model::{StringMap, Timestamp};

use crate::clone_ref::CloneRef;
use crate::configuration::{Settings, arn, console, domain, region};
use crate::fault::{Access, Fault, scratch};
use crate::git_source::{Format, Revision, cut, format, revision};
use crate::objects::{Objects, Storing};
use crate::registry::Provider;
use crate::roles::Session;
use crate::runner::{Guarantee, ProviderParts, ended};
use crate::s3_source::SUMMARY_CHARACTERS;

/// The CodeCommit source.
pub(crate) struct CodeCommit;

/// A repository as one role sees it.
pub(crate) struct Repository<'a> {
    client: Client,
    name: &'a str,
    role: &'a str,
    arn: String,
}

#[async_trait]
impl Provider for CodeCommit {
    /// The same commit is put under the claimed key again.
    fn guarantee(&self) -> Guarantee {
        Guarantee::Token
    }

    async fn start(&self, parts: &ProviderParts, request: &ActionRequest) -> Result<ActionReply, Fault> {
        let settings = Settings(request);
        let output = settings.output()?;
        let (name, branch) = (settings.required("RepositoryName")?, settings.required("BranchName")?);
        let (format, revision) = (format(settings)?, revision(request, branch)?);
        let config = parts.roles.config(&Session::of(request)).await?;
        let repository = Repository::new(&config, name, &request.role_arn, arn(request, "codecommit", name));
        let id = match revision {
            Revision::Commit(id) => id,
            Revision::Branch(branch) => repository
                .head(&branch)
                .await?
                .ok_or_else(|| Fault::revision(format!("the CodeCommit repository {name} has no branch `{branch}`")))?,
        };
        let commit = repository.commit(&id).await?;
        let directory = tempfile::tempdir().map_err(|error| scratch(&error))?;
        let made = directory.path().join("artifact");
        let mut storing = Storing { kms_key: request.encryption_key.clone(), ..Storing::default() };
        match format {
            Format::Zip => files::archive(&repository, &id, &made).await?,
            Format::CloneRef => clone_ref(request, name, branch, &id).write(&made, &mut storing).await?,
        }
        let stored = Objects::new(&config, &request.role_arn).store(output, &made, &storing).await?;
        Ok(ended(brought(request, (name, branch, &id), stored, &commit)))
    }
}

impl<'a> Repository<'a> {
    /// `arn` is the repository's.
    pub(crate) fn new(config: &SdkConfig, name: &'a str, role: &'a str, arn: String) -> Self {
        Self { client: Client::new(config), name, role, arn }
    }

    fn access(&self, verb: &'static str) -> Access {
        Access::new(self.role, verb, &self.arn)
    }

    /// The newest commit of a branch; none if there is no such branch.
    pub(crate) async fn head(&self, branch: &str) -> Result<Option<String>, Fault> {
        match self.client.get_branch().repository_name(self.name).branch_name(branch).send().await {
            Ok(found) => Ok(found.branch().and_then(|branch| branch.commit_id()).map(Into::into)),
            Err(error) if error.code() == Some("BranchDoesNotExistException") => Ok(None),
            Err(error) => Err(self.access("codecommit:GetBranch").fault(&error)),
        }
    }

    async fn commit(&self, id: &str) -> Result<Commit, Fault> {
        match self.client.get_commit().repository_name(self.name).commit_id(id).send().await {
            Ok(found) => found.commit.ok_or_else(|| Fault::Later(format!("CodeCommit told nothing of {id}"))),
            Err(error) if error.code() == Some("CommitIdDoesNotExistException") => {
                Err(Fault::revision(format!("the CodeCommit repository {} has no commit {id}", self.name)))
            }
            Err(error) => Err(self.access("codecommit:GetCommit").fault(&error)),
        }
    }
}

fn clone_ref(request: &ActionRequest, name: &str, branch: &str, id: &str) -> CloneRef {
    let region = region(request);
    CloneRef {
        v: 1,
        provider: "CodeCommit".into(),
        clone_url: format!("https://git-codecommit.{region}.{}/v1/repos/{name}", domain(region)),
        connection_arn: String::new(),
        full_repository_id: name.into(),
        branch_name: branch.into(),
        commit_id: id.into(),
    }
}

/// When somebody did something: git writes seconds and an offset, as `1484167798 -0800`.
fn at(who: Option<&UserInfo>) -> Option<Timestamp> {
    let seconds: i64 = who?.date()?.split_whitespace().next()?.parse().ok()?;
    Some(Timestamp(seconds.checked_mul(1000)?))
}

fn brought(
    request: &ActionRequest,
    (name, branch, id): (&str, &str, &str),
    stored: ArtifactLocation,
    commit: &Commit,
) -> Outcome {
    let message = commit.message().unwrap_or_default();
    let summary: String = message.chars().take(SUMMARY_CHARACTERS).collect();
    let page = format!("codesuite/codecommit/repositories/{name}/commit/{id}?region={}", region(request));
    let url = console(region(request), &page);
    let (authored, committed) = (at(commit.author()), at(commit.committer()));
    let date = |at: Option<Timestamp>| at.map(Timestamp::to_iso_seconds).unwrap_or_default();
    let variable = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    Outcome {
        external_id: Some(id.to_owned()),
        external_url: Some(url.clone()),
        summary: Some(summary.clone()),
        revision: Some(SourceRevision {
            action: request.declaration.name.clone(),
            artifact: Some(stored.name.clone()),
            revision_id: id.to_owned(),
            summary: Some(summary).filter(|text| !text.is_empty()),
            url: Some(url),
            created: committed,
        }),
        outputs: vec![ArtifactLocation { revision: Some(id.to_owned()), ..stored }],
        variables: StringMap::from([
            variable("AuthorDate", &date(authored)),
            variable("BranchName", branch),
            variable("CommitId", id),
            variable("CommitMessage", cut(message)),
            variable("CommitterDate", &date(committed)),
            variable("RepositoryName", name),
        ]),
        ..Outcome::default()
    }
}

#[cfg(test)]
mod tests;
