//! Changes of sources, told the same way whoever told of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::item::{Origin, short_hash};

/// What a git provider tells of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryEvent {
    /// As events write it: `GitHub`, `GitHubEnterpriseServer`, `GitLab`, `GitLabSelfManaged`, `Bitbucket`.
    pub provider: String,
    /// The connection's ARN.
    pub connection: String,
    /// `owner/name`.
    pub repository: String,
    /// What names this delivery: the same when it comes again.
    pub delivery: Option<String>,
    /// What happened.
    pub change: RepositoryChange,
}

/// What happened to a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RepositoryChange {
    /// A branch or tag was moved.
    Push(Push),
    /// A pull request was opened, updated or closed.
    PullRequest(PullRequest),
}

/// A commit, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Its id.
    pub id: String,
    /// Its message.
    pub message: Option<String>,
    /// Its author's name.
    pub author_name: Option<String>,
    /// Its author's e-mail address.
    pub author_email: Option<String>,
    /// Its author's name at the provider.
    pub author_id: Option<String>,
    /// When it was made, as the provider writes it.
    pub author_date: Option<String>,
}

/// A branch or tag that was moved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Push {
    /// In full: `refs/heads/main`, `refs/tags/v1`.
    pub git_ref: String,
    /// Where it pointed before; none for a new one.
    pub before: Option<String>,
    /// Where it points now; none for a deleted one.
    pub after: Option<String>,
    /// The commit to run: for an annotated tag not where the ref points.
    pub commit: Option<Commit>,
    /// Whether commits were taken away.
    pub forced: bool,
    /// Changed files, in the provider's order; none where the provider does not say.
    pub files: Option<Vec<String>>,
}

impl Push {
    /// Whether the ref is new.
    pub fn created(&self) -> bool {
        self.before.is_none()
    }

    /// Whether the ref is gone.
    pub fn deleted(&self) -> bool {
        self.after.is_none()
    }

    /// The branch's name, if it is one.
    pub fn branch(&self) -> Option<&str> {
        self.git_ref.strip_prefix("refs/heads/").filter(|name| !name.is_empty())
    }

    /// The tag's name, if it is one.
    pub fn tag(&self) -> Option<&str> {
        self.git_ref.strip_prefix("refs/tags/").filter(|name| !name.is_empty())
    }

    /// Where the ref was before, as git says it: zeros for a new one, so that its first push is noted too.
    fn place_before(&self) -> String {
        self.before.clone().unwrap_or_else(|| NO_COMMIT.to_owned())
    }

    /// The id of the commit to run.
    pub fn commit_id(&self) -> Option<&str> {
        self.commit.as_ref().map(|commit| commit.id.as_str()).or(self.after.as_deref())
    }
}

/// What happened to a pull request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PullRequestEvent {
    /// `OPEN`.
    Open,
    /// `UPDATED`.
    Updated,
    /// `CLOSED`.
    Closed,
}

impl PullRequestEvent {
    /// The word in filters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::Updated => "UPDATED",
            Self::Closed => "CLOSED",
        }
    }
}

/// A pull request that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequest {
    /// Its number.
    pub number: u64,
    /// What happened.
    pub event: PullRequestEvent,
    /// Its title.
    pub title: Option<String>,
    /// The branch it would bring.
    pub source_branch: String,
    /// The branch it would change.
    pub target_branch: String,
    /// The newest commit of its source branch: what runs.
    pub head: Commit,
    /// Whether its source branch lies in another repository: anybody may have written it.
    pub from_fork: bool,
    /// Changed files; none where the provider does not say.
    pub files: Option<Vec<String>>,
}

/// An object that was written to a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectChange {
    /// The bucket.
    pub bucket: String,
    /// The object's key.
    pub key: String,
    /// Its version, in a versioned bucket.
    pub version_id: Option<String>,
    /// Its entity tag, without quotes.
    pub etag: Option<String>,
    /// Its place in the order of writes to this key.
    pub sequencer: Option<String>,
}

impl ObjectChange {
    /// What tells this write from others: two writes of the same bytes to an unversioned bucket are one.
    pub fn revision(&self) -> Option<&str> {
        self.version_id.as_deref().or(self.etag.as_deref())
    }
}

/// A reference of a CodeCommit repository that was moved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReferenceChange {
    /// The repository.
    pub repository: String,
    /// What moved.
    pub push: Push,
}

/// An image that was pushed to a registry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageChange {
    /// The repository.
    pub repository: String,
    /// The tag.
    pub tag: String,
    /// The image's digest.
    pub digest: String,
}

/// What git writes where a ref is not there.
pub(super) const NO_COMMIT: &str = "0000000000000000000000000000000000000000";

/// The ref that the order of an S3 source's writes is kept under, with a hash of the object's key, which may be longer than a
/// ref.
const OBJECT_REF: &str = "s3-object";

impl RepositoryEvent {
    /// Where an execution that this event starts comes from.
    pub fn origin(&self) -> Origin {
        let mut origin = Origin {
            provider: Some(self.provider.clone()),
            repository: Some(self.repository.clone()),
            trigger: self.trigger(),
            ..Origin::default()
        };
        match &self.change {
            RepositoryChange::Push(push) => {
                origin.git_ref = Some(push.git_ref.clone());
                origin.before = Some(push.place_before());
                origin.after = push.commit_id().map(str::to_owned);
            }
            RepositoryChange::PullRequest(request) => {
                origin.git_ref = Some(format!("refs/pull/{}/head", request.number));
                origin.after = Some(request.head.id.clone());
            }
        }
        origin
    }

    /// The git fields of `execution-trigger` (`events_samples.json`).
    fn trigger(&self) -> BTreeMap<String, String> {
        let mut fields = BTreeMap::new();
        let mut put = |key: &str, value: Option<&str>| {
            if let Some(value) = value {
                fields.insert(key.to_owned(), value.to_owned());
            }
        };
        put("provider-type", Some(&self.provider));
        put("full-repository-name", Some(&self.repository));
        put("connection-arn", Some(&self.connection));
        let commit = match &self.change {
            RepositoryChange::Push(push) => {
                put("branch-name", push.branch());
                put("tag-name", push.tag());
                put("commit-id", push.commit_id());
                push.commit.as_ref()
            }
            RepositoryChange::PullRequest(request) => {
                put("branch-name", Some(&request.source_branch));
                put("destination-branch-name", Some(&request.target_branch));
                put("pull-request-id", Some(&request.number.to_string()));
                put("pull-request-title", request.title.as_deref());
                put("pull-request-event", Some(request.event.as_str()));
                put("commit-id", Some(&request.head.id));
                Some(&request.head)
            }
        };
        if let Some(commit) = commit {
            put("commit-message", commit.message.as_deref());
            put("author-display-name", commit.author_name.as_deref());
            put("author-email", commit.author_email.as_deref());
            put("author-id", commit.author_id.as_deref());
            put("author-date", commit.author_date.as_deref());
        }
        fields
    }
}

impl ObjectChange {
    /// Where an execution that this change starts comes from.
    pub fn origin(&self) -> Origin {
        Origin {
            provider: Some("S3".into()),
            repository: Some(self.bucket.clone()),
            git_ref: Some(format!("{OBJECT_REF}/{}", short_hash(&self.key))),
            after: self.version_id.clone(),
            sequencer: self.sequencer.clone(),
            ..Origin::default()
        }
    }
}

impl ReferenceChange {
    /// Where an execution that this change starts comes from.
    pub fn origin(&self) -> Origin {
        Origin {
            provider: Some("CodeCommit".into()),
            repository: Some(self.repository.clone()),
            git_ref: Some(self.push.git_ref.clone()),
            before: Some(self.push.place_before()),
            after: self.push.commit_id().map(str::to_owned),
            ..Origin::default()
        }
    }
}

impl ImageChange {
    /// Where an execution that this change starts comes from.
    pub fn origin(&self) -> Origin {
        Origin {
            provider: Some("ECR".into()),
            repository: Some(self.repository.clone()),
            git_ref: Some(self.tag.clone()),
            after: Some(self.digest.clone()),
            ..Origin::default()
        }
    }
}
