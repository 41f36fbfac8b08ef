//! Git hosts and sources that are asked answer in time or count as failed: a silent one must not keep what comes after it.

use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use control::connections::Connection;
use control::intake::ChangedFiles;
use control::ports::PortError;
use control::sources::{BranchHead, ObjectHead, PolledSource, SourceHeads};
use engine::triggers::RepositoryEvent;

/// How long a look at a source may take.
pub const LOOK: Duration = Duration::from_secs(10);
/// How long the answer to which files changed may take.
pub const FILES: Duration = Duration::from_secs(20);

/// Somebody who is asked, and how long the answer may take.
pub struct Limited<T>(pub T, pub Duration);

impl<T> Limited<T> {
    async fn answer<A>(
        &self,
        who: &str,
        asked: impl Future<Output = Result<A, PortError>> + Send,
    ) -> Result<A, PortError> {
        let late = || PortError::Unavailable(format!("{who}, which did not answer within {} s,", self.1.as_secs()));
        tokio::time::timeout(self.1, asked).await.unwrap_or_else(|_| Err(late()))
    }
}

#[async_trait]
impl<T: SourceHeads> SourceHeads for Limited<T> {
    async fn object(&self, source: &PolledSource) -> Result<Option<ObjectHead>, PortError> {
        self.answer(&source.resource.text(), self.0.object(source)).await
    }

    async fn branches(&self, source: &PolledSource, only: Option<&str>) -> Result<Vec<BranchHead>, PortError> {
        self.answer(&source.resource.text(), self.0.branches(source, only)).await
    }
}

#[async_trait]
impl<T: ChangedFiles> ChangedFiles for Limited<T> {
    async fn changed_files(
        &self,
        connection: Option<&Connection>,
        event: &RepositoryEvent,
    ) -> Result<Option<Vec<String>>, PortError> {
        self.answer(&event.repository, self.0.changed_files(connection, event)).await
    }

    async fn full_commit_id(
        &self,
        connection: Option<&Connection>,
        event: &RepositoryEvent,
        short: &str,
    ) -> Result<Option<String>, PortError> {
        self.answer(&event.repository, self.0.full_commit_id(connection, event, short)).await
    }
}
