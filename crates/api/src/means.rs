//! What operations need beside a control plane.

use std::sync::Arc;

use async_trait::async_trait;
use control::ports::ActionRequest;

use crate::error::ApiError;
use crate::page_tokens::PageTokens;
use crate::secret::Secret;

/// Credentials for a job's artifacts (`AWSSessionCredentials`).
#[derive(Clone, Debug)]
pub struct SessionCredentials {
    /// The access key.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: Secret,
    /// The token that goes with both.
    pub session_token: Secret,
}

/// Mints credentials for the artifacts of jobs.
#[async_trait]
pub trait ArtifactCredentials: Send + Sync {
    /// Fresh credentials that reach the request's input artifacts, and the keys of its outputs, and nothing else. None
    /// where artifacts are not in S3.
    async fn mint(&self, request: &ActionRequest) -> Result<Option<SessionCredentials>, ApiError>;
}

/// Artifacts are not in S3: job workers reach them as files.
pub struct NoArtifactCredentials;

#[async_trait]
impl ArtifactCredentials for NoArtifactCredentials {
    async fn mint(&self, _: &ActionRequest) -> Result<Option<SessionCredentials>, ApiError> {
        Ok(None)
    }
}

/// What operations need beside a control plane.
pub struct Means {
    /// Signs page tokens and derives client tokens.
    pub page_tokens: PageTokens,
    /// Lets job workers reach artifacts.
    pub artifact_credentials: Arc<dyn ArtifactCredentials>,
    /// Whether the creation of a pipeline starts its first execution, as CodePipeline's does (user guide, "Start a
    /// pipeline").
    pub starts_created: bool,
}

impl Means {
    /// With a key that only this service knows, and artifacts that are not in S3.
    pub fn new(key: impl Into<String>) -> Self {
        Self {
            page_tokens: PageTokens::new(key),
            artifact_credentials: Arc::new(NoArtifactCredentials),
            starts_created: false,
        }
    }
}
