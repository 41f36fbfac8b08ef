//! What looks at sources: the newest of objects and branches.

use async_trait::async_trait;
use engine::triggers::Commit;
use model::Timestamp;

use super::PolledSource;
use crate::ports::PortError;

/// The newest of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectHead {
    /// Its version, in a versioned bucket.
    pub version_id: Option<String>,
    /// Its entity tag.
    pub etag: Option<String>,
    /// When it was written.
    pub modified: Option<Timestamp>,
}

/// The newest of a branch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BranchHead {
    /// The branch.
    pub branch: String,
    /// Its commit; the id is enough.
    pub commit: Commit,
}

/// Looks at sources.
#[async_trait]
pub trait SourceHeads: Send + Sync {
    /// The newest of the object of an S3 source, looked at with its role; none if it is not there.
    async fn object(&self, source: &PolledSource) -> Result<Option<ObjectHead>, PortError>;

    /// The branches of a CodeCommit source or of a repository behind a connection. `only` is the one that is wanted.
    async fn branches(&self, source: &PolledSource, only: Option<&str>) -> Result<Vec<BranchHead>, PortError>;
}
