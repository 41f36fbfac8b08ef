//! What git hosts tell of a change beyond its event: the changed files, the full id of a commit.

use std::sync::Arc;

use async_trait::async_trait;
use control::intake::ChangedFiles;
use control::ports::PortError;
use engine::triggers::RepositoryEvent;

use crate::connection_source::changes;
use crate::fault::Fault;
use crate::heads::ConnectionsByArn;
use crate::ports::Connection;
use crate::web::Web;

/// Asks git hosts, through the connection that an event came by.
pub struct ProviderFiles {
    /// Connections to git hosts.
    pub connections: Arc<dyn ConnectionsByArn>,
    /// HTTP to git hosts.
    pub web: Web,
}

impl ProviderFiles {
    async fn connection(&self, event: &RepositoryEvent) -> Result<Option<Connection>, PortError> {
        self.connections.by_arn(&event.connection).await
    }
}

/// What a host refuses stays unknown, and says so in the log; what may come later is asked again.
fn known<T>(event: &RepositoryEvent, told: Result<Option<T>, Fault>) -> Result<Option<T>, PortError> {
    match told {
        Ok(told) => Ok(told),
        Err(Fault::Ends { message, .. }) => {
            tracing::warn!(repository = event.repository, message, "a git host does not tell of a change");
            Ok(None)
        }
        Err(Fault::Later(message) | Fault::Unknown(message)) => Err(PortError::Unavailable(message)),
    }
}

#[async_trait]
impl ChangedFiles for ProviderFiles {
    async fn changed_files(
        &self,
        _: Option<&control::connections::Connection>,
        event: &RepositoryEvent,
    ) -> Result<Option<Vec<String>>, PortError> {
        let Some(connection) = self.connection(event).await? else { return Ok(None) };
        known(event, changes::files(&self.web, &connection, event).await)
    }

    async fn full_commit_id(
        &self,
        _: Option<&control::connections::Connection>,
        event: &RepositoryEvent,
        short: &str,
    ) -> Result<Option<String>, PortError> {
        let Some(connection) = self.connection(event).await? else { return Ok(None) };
        known(event, changes::full_id(&self.web, &connection, event, short).await)
    }
}
