//! The CodeStarSourceConnection source: exactly the pushed commit, by the git host's API.

mod app;
mod bitbucket;
pub(crate) mod branches;
pub(crate) mod changes;
mod github;
mod gitlab;

use std::path::Path;

use async_trait::async_trait;
use control::ports::{ActionReply, ActionRequest};
use engine::{ArtifactLocation, Outcome, SourceRevision};
use model::{StringMap, Timestamp};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

use crate::archive::Archive;
use crate::clone_ref::CloneRef;
use crate::configuration::Settings;
use crate::fault::{Fault, code, scratch};
use crate::git_source::{Format, MAX_ARCHIVE_BYTES, Revision, cut, format, is_full_id, revision};
use crate::objects::{Objects, Storing};
use crate::ports::{Connection, GitHost, Secret};
use crate::registry::Provider;
use crate::roles::Session;
use crate::runner::{Guarantee, ProviderParts, ended};
use crate::s3_source::SUMMARY_CHARACTERS;
use crate::web::{Answer, Web};
use app::Reading;

/// What stands unescaped in a part of a path.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The CodeStarSourceConnection source.
pub(crate) struct ConnectionSource;

/// What a host says of a commit.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
struct Commit {
    id: String,
    message: String,
    /// As the host writes it.
    authored: String,
    committed: Option<String>,
    url: Option<String>,
}

/// A repository at its host.
struct Repository<'a> {
    web: &'a Web,
    connection: &'a Connection,
    /// `owner/name`.
    full_id: &'a str,
    /// What opens it.
    token: Option<Secret>,
}

#[async_trait]
impl Provider for ConnectionSource {
    /// The same commit is put under the claimed key again.
    fn guarantee(&self) -> Guarantee {
        Guarantee::Token
    }

    async fn start(&self, parts: &ProviderParts, request: &ActionRequest) -> Result<ActionReply, Fault> {
        let settings = Settings(request);
        let output = settings.output()?;
        let (full_id, branch) = (full_id(settings)?, settings.required("BranchName")?);
        let (format, revision) = (format(settings)?, revision(request, branch)?);
        let connection = connection(parts, request).await?;
        let repository = Repository::open(&parts.web, &connection, full_id, parts.clock.now()).await?;
        let commit = repository.commit(&revision).await?;
        let directory = tempfile::tempdir().map_err(|error| scratch(&error))?;
        let made = directory.path().join("artifact");
        let mut storing = Storing { kms_key: request.encryption_key.clone(), ..Storing::default() };
        match format {
            Format::Zip => repository.files(&commit, &made).await?,
            Format::CloneRef => {
                let reference = repository.clone_ref(settings.required("ConnectionArn")?, branch, &commit);
                reference.write(&made, &mut storing).await?;
            }
        }
        let config = parts.roles.config(&Session::of(request)).await?;
        let stored = Objects::new(&config, &request.role_arn).store(output, &made, &storing).await?;
        Ok(ended(brought(request, branch, stored, commit)))
    }
}

/// `owner/name`, which may have groups between: a part of the API's paths, and nothing else of them.
fn full_id(settings: Settings<'_>) -> Result<&str, Fault> {
    let id = settings.required("FullRepositoryId")?;
    let wrong = |part: &str| matches!(part, "" | "." | "..");
    if id.split('/').count() < 2 || id.split('/').any(wrong) {
        return Err(settings.fault("FullRepositoryId", &format!("is owner/name, not {id:?}")));
    }
    Ok(id)
}

async fn connection(parts: &ProviderParts, request: &ActionRequest) -> Result<Connection, Fault> {
    let settings = Settings(request);
    let arn = settings.required("ConnectionArn")?;
    let found = parts.connections.connection(request, arn).await?;
    found.ok_or_else(|| {
        let what = format!(
            "{arn} is no connection of this control plane; `penstock connection create` makes one, and \
             `penstock connection create --map {arn}` lets a connection of AWS stand for it"
        );
        settings.fault("ConnectionArn", &what)
    })
}

impl<'a> Repository<'a> {
    async fn open(web: &'a Web, connection: &'a Connection, full_id: &'a str, now: Timestamp) -> Result<Self, Fault> {
        Self::open_to(Reading::Contents, web, connection, full_id, now).await
    }

    async fn open_to(
        reading: Reading,
        web: &'a Web,
        connection: &'a Connection,
        full_id: &'a str,
        now: Timestamp,
    ) -> Result<Self, Fault> {
        let mut repository = Self { web, connection, full_id, token: connection.token.clone() };
        if let (GitHost::GitHub, Some(app_id), Some(key)) = (connection.kind, &connection.app_id, &connection.token) {
            let api = repository.api();
            repository.token = Some(app::token(web, connection, (app_id, key), &api, full_id, now, reading).await?);
        }
        Ok(repository)
    }

    async fn commit(&self, revision: &Revision) -> Result<Commit, Fault> {
        let url = match self.connection.kind {
            GitHost::GitHub => github::commit_url(&self.api(), self.full_id, revision),
            GitHost::GitLab => gitlab::commit_url(&self.api(), self.full_id, revision),
            GitHost::Bitbucket => bitbucket::commit_url(&self.api(), self.full_id, revision),
        };
        let what = match revision {
            Revision::Commit(id) => format!("commit {id}"),
            Revision::Branch(name) => format!("branch {name}"),
        };
        let answer = self.ask(&url, "application/json", &what).await?;
        let body: Value = serde_json::from_str(&answer.text().await?)
            .map_err(|_| Fault::Later(format!("{} answered what is no JSON", self.connection.host)))?;
        let commit = match self.connection.kind {
            GitHost::GitHub => github::commit(&body),
            GitHost::GitLab => gitlab::commit(&body, revision),
            GitHost::Bitbucket => bitbucket::commit(&body, revision),
        };
        let commit = commit.filter(|commit| is_full_id(&commit.id));
        let commit = commit.ok_or_else(|| Fault::Later(format!("{} told nothing of {what}", self.connection.host)))?;
        match revision {
            Revision::Commit(id) if *id != commit.id => {
                Err(Fault::revision(format!("{} answered commit {} for {id}", self.connection.host, commit.id)))
            }
            Revision::Commit(_) | Revision::Branch(_) => Ok(commit),
        }
    }

    /// The commit's files, as an archive.
    async fn files(&self, commit: &Commit, to: &Path) -> Result<(), Fault> {
        let url = match self.connection.kind {
            GitHost::GitHub => github::archive_url(&self.api(), self.full_id, &commit.id),
            GitHost::GitLab => gitlab::archive_url(&self.api(), self.full_id, &commit.id),
            GitHost::Bitbucket => bitbucket::archive_url(self.connection, self.full_id, &commit.id),
        };
        let answer = self.ask(&url, "*/*", &format!("the archive of {}", commit.id)).await?;
        let packed = to.with_extension("packed");
        download(answer, &packed).await?;
        let (to, id, name) = (to.to_path_buf(), commit.id.clone(), format!("the archive of {}", self.full_id));
        let repacked = tokio::task::spawn_blocking(move || {
            let mut archive = Archive::open(&packed, &name)?;
            // git writes the commit's id into its archives.
            let says = archive.comment();
            if is_full_id(&says) && says != id {
                return Err(Fault::revision(format!("{name} is of commit {says}, not of {id}")));
            }
            archive.without_top_folder(&to)
        });
        repacked.await.map_err(|error| Fault::Later(error.to_string()))?
    }

    async fn ask(&self, url: &str, accept: &str, what: &str) -> Result<Answer, Fault> {
        let answer = self.web.get(url, accept, self.token.as_ref()).await?;
        match answer.status {
            200 => Ok(answer),
            status if answer.must_wait && status < 500 => Err(self.refused(429, what)),
            status => Err(self.refused(status, what)),
        }
    }

    fn refused(&self, status: u16, what: &str) -> Fault {
        let (host, id) = (&self.connection.host, self.full_id);
        match status {
            401 | 403 => Fault::Ends {
                code: code::PERMISSION,
                message: format!("{host} refuses the connection's token ({status}) for {what} of {id}: renew it"),
            },
            // A private repository is as good as absent to whoever may not read it.
            404 | 422 => Fault::revision(format!("{host} has no {what} in {id}, or the connection may not read it")),
            429 => Fault::Later(format!("{host} asks to wait before {what} of {id}")),
            status if status >= 500 => Fault::Unknown(format!("{host} failed ({status}) at {what} of {id}")),
            status => Fault::job(format!("{host} answered {status} for {what} of {id}")),
        }
    }

    /// Where the host's API lies.
    fn api(&self) -> String {
        let Connection { kind, host, base_url, .. } = self.connection;
        base_url.clone().unwrap_or_else(|| match kind {
            GitHost::GitHub if host == "github.com" => "https://api.github.com".into(),
            GitHost::GitHub => format!("https://{host}/api/v3"),
            GitHost::GitLab => format!("https://{host}/api/v4"),
            GitHost::Bitbucket => format!("https://api.{host}/2.0"),
        })
    }

    fn clone_ref(&self, connection_arn: &str, branch: &str, commit: &Commit) -> CloneRef {
        let provider = match self.connection.kind {
            GitHost::GitHub => "GitHub",
            GitHost::GitLab => "GitLab",
            GitHost::Bitbucket => "Bitbucket",
        };
        CloneRef {
            v: 1,
            provider: provider.into(),
            clone_url: format!("https://{}/{}.git", self.connection.host, self.full_id),
            connection_arn: connection_arn.into(),
            full_repository_id: self.full_id.into(),
            branch_name: branch.into(),
            commit_id: commit.id.clone(),
        }
    }
}

async fn download(mut answer: Answer, to: &Path) -> Result<(), Fault> {
    let mut file = tokio::fs::File::create(to).await.map_err(|error| scratch(&error))?;
    let mut size = 0_u64;
    while let Some(part) = answer.part().await? {
        size = size.saturating_add(u64::try_from(part.len()).unwrap_or(u64::MAX));
        if size > MAX_ARCHIVE_BYTES {
            return Err(Fault::job("the repository's archive has more than 1 GB"));
        }
        file.write_all(&part).await.map_err(|error| scratch(&error))?;
    }
    file.flush().await.map_err(|error| scratch(&error))
}

fn brought(request: &ActionRequest, branch: &str, stored: ArtifactLocation, commit: Commit) -> Outcome {
    let settings = Settings(request);
    let summary: String = commit.message.chars().take(SUMMARY_CHARACTERS).collect();
    let variable = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let created = commit.committed.as_deref().and_then(|at| at.parse::<jiff::Timestamp>().ok());
    Outcome {
        external_id: Some(commit.id.clone()),
        external_url: commit.url.clone(),
        summary: Some(summary.clone()),
        revision: Some(SourceRevision {
            action: request.declaration.name.clone(),
            artifact: Some(stored.name.clone()),
            revision_id: commit.id.clone(),
            summary: Some(summary).filter(|text| !text.is_empty()),
            url: commit.url,
            created: created.map(|at| Timestamp(at.as_millisecond())),
        }),
        outputs: vec![ArtifactLocation { revision: Some(commit.id.clone()), ..stored }],
        variables: StringMap::from([
            variable("AuthorDate", &commit.authored),
            variable("BranchName", branch),
            variable("CommitId", &commit.id),
            variable("CommitMessage", cut(&commit.message)),
            variable("ConnectionArn", settings.optional("ConnectionArn").unwrap_or_default()),
            variable("FullRepositoryName", settings.optional("FullRepositoryId").unwrap_or_default()),
        ]),
        ..Outcome::default()
    }
}

/// A text as one part of a path.
fn escaped(part: &str) -> String {
    utf8_percent_encode(part, PLAIN).to_string()
}

/// `owner/name` as parts of a path.
fn escaped_path(path: &str) -> String {
    path.split('/').map(escaped).collect::<Vec<_>>().join("/")
}

/// A text in a JSON answer.
fn text(body: &Value, at: &str) -> Option<String> {
    body.pointer(at).and_then(Value::as_str).map(Into::into)
}

#[cfg(test)]
mod tests;
