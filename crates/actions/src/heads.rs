//! Looks at sources: the newest of an S3 object, the branches of a repository behind a connection or in CodeCommit.

use std::sync::Arc;

use async_trait::async_trait;
use control::ports::PortError;
use control::sources::{BranchHead, ObjectHead, PolledSource, Resource, SourceHeads};
use engine::triggers::Commit;
use model::Timestamp;

use crate::codecommit::Repository;
use crate::configuration::partition;
use crate::connection_source::branches;
use crate::fault::Fault;
use crate::objects::Objects;
use crate::ports::Connection;
use crate::roles::{Roles, Session};
use crate::web::Web;

/// Finds connections by their ARN.
#[async_trait]
pub trait ConnectionsByArn: Send + Sync {
    /// The connection of this ARN, with its token; none if there is no such one.
    ///
    /// # Errors
    /// A store that failed.
    async fn by_arn(&self, arn: &str) -> Result<Option<Connection>, PortError>;
}

/// The heads of sources on AWS and at git hosts.
pub struct ProviderHeads {
    /// Under which role sources are looked at.
    pub roles: Arc<dyn Roles>,
    /// Connections to git hosts.
    pub connections: Arc<dyn ConnectionsByArn>,
    /// HTTP to git hosts.
    pub web: Web,
    /// The account, 12 digits.
    pub account: String,
    /// The region of the pipelines.
    pub region: String,
}

impl ProviderHeads {
    /// The session in which a source is looked at: the pipeline's or the action's role, as for the action itself.
    fn session(&self, source: &PolledSource) -> Session {
        let pointer = &source.pointer;
        let tag = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        Session {
            role_arn: pointer.role_arn.clone(),
            region: pointer.region.clone().unwrap_or_else(|| self.region.clone()),
            external_id: format!("arn:aws:codepipeline:{}:{}:{}", self.region, self.account, pointer.pipeline.name),
            name: "penstock-poll-sources".into(),
            tags: vec![tag("pipeline", pointer.pipeline.name.as_str()), tag("action", pointer.action.as_str())],
        }
    }
}

impl ProviderHeads {
    /// The head of the one branch that a CodeCommit source is about. A branch that is not there has none.
    async fn codecommit(
        &self,
        source: &PolledSource,
        name: &str,
        only: Option<&str>,
    ) -> Result<Vec<BranchHead>, PortError> {
        let Some(branch) = only else {
            return Err(PortError::Invalid(format!("a CodeCommit source of {name} that names no branch")));
        };
        let session = self.session(source);
        let config = self.roles.config(&session).await.map_err(|error| port(error.into()))?;
        let arn = format!("arn:{}:codecommit:{}:{}:{name}", partition(&session.region), session.region, self.account);
        let head = Repository::new(&config, name, &session.role_arn, arn).head(branch).await.map_err(port)?;
        let head = head.map(|id| BranchHead { branch: branch.into(), commit: Commit { id, ..Commit::default() } });
        Ok(head.into_iter().collect())
    }
}

fn port(fault: Fault) -> PortError {
    match fault {
        Fault::Ends { code, message } => PortError::Invalid(format!("{code}: {message}")),
        Fault::Later(message) | Fault::Unknown(message) => PortError::Unavailable(message),
    }
}

#[async_trait]
impl SourceHeads for ProviderHeads {
    async fn object(&self, source: &PolledSource) -> Result<Option<ObjectHead>, PortError> {
        let Resource::Object { bucket, key } = &source.resource else {
            return Err(PortError::Invalid("an object was asked for of a source that is none".into()));
        };
        let config = self.roles.config(&self.session(source)).await.map_err(|error| port(error.into()))?;
        let objects = Objects::new(&config, &source.pointer.role_arn);
        let head = objects.head(bucket, key, None).await.map_err(port)?;
        Ok(head.map(|head| ObjectHead {
            // A bucket without versions says so by this word.
            version_id: head.version_id().filter(|id| *id != "null").map(str::to_owned),
            etag: head.e_tag().map(|etag| etag.trim_matches('"').to_owned()),
            modified: head.last_modified().and_then(|at| at.to_millis().ok()).map(Timestamp),
        }))
    }

    async fn branches(&self, source: &PolledSource, only: Option<&str>) -> Result<Vec<BranchHead>, PortError> {
        let (arn, name) = match &source.resource {
            Resource::Repository { connection, name } => (connection, name),
            Resource::CodeCommit { repository } => return self.codecommit(source, repository, only).await,
            Resource::Object { .. } | Resource::Image { .. } => {
                let what = format!("branches were asked for of {}, which has none", source.resource.text());
                return Err(PortError::Invalid(what));
            }
        };
        let connection = self.connections.by_arn(arn).await?;
        let connection = connection.ok_or_else(|| PortError::NotFound(format!("the connection {arn}")))?;
        branches::of(&self.web, &connection, name, only).await.map_err(port)
    }
}

#[cfg(test)]
mod tests;
