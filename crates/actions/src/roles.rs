//! Under which role a provider is called: the action's, assumed from the stack's service role, with the pipeline's ARN as
//! external id and session tags that name pipeline, stage and action.

mod artifacts;
mod sts;

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_types::SdkConfig;
use control::ports::ActionRequest;
use serde_json::json;

use crate::configuration::{pipeline_arn, region};

pub use artifacts::artifact_credentials;
pub use sts::StsRoles;

/// As whom, for whom and where calls are made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Session {
    /// The action's role, or the pipeline's.
    pub role_arn: String,
    /// The region of the calls.
    pub region: String,
    /// The pipeline's ARN: a role's trust may insist on it (`sts:ExternalId`).
    pub external_id: String,
    /// The session's name: it shows which execution did something.
    pub name: String,
    /// Session tags (`aws:PrincipalTag/…`).
    pub tags: Vec<(String, String)>,
}

impl Session {
    /// The session of an action.
    pub fn of(request: &ActionRequest) -> Self {
        let tag = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        Self {
            role_arn: request.role_arn.clone(),
            region: region(request).to_owned(),
            external_id: pipeline_arn(request),
            // At most 64 characters: this has 45.
            name: format!("penstock-{}", request.execution),
            tags: vec![
                tag("pipeline", request.pipeline.as_str()),
                tag("stage", request.action.key.stage.as_str()),
                tag("action", request.action.key.name.as_str()),
            ],
        }
    }
}

/// Why there are no credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoleError {
    /// The role may not be assumed.
    #[error(
        "the role {role} cannot be assumed by {by}; allow `sts:AssumeRole` and `sts:TagSession` on it in the policies of \
         {by}, and add to the trust policy of {role}: {}",
        trust(by, external_id)
    )]
    Denied {
        /// The role.
        role: String,
        /// Who tried.
        by: String,
        /// The external id given.
        external_id: String,
    },
    /// STS did not answer, or not in time.
    #[error("{0}")]
    Unavailable(String),
    /// It is no role.
    #[error("{0}")]
    Invalid(String),
}

fn trust(by: &str, external_id: &str) -> String {
    json!({
        "Effect": "Allow",
        "Principal": {"AWS": by},
        "Action": ["sts:AssumeRole", "sts:TagSession"],
        "Condition": {"StringEquals": {"sts:ExternalId": external_id}},
    })
    .to_string()
}

/// Gives providers the configuration of their calls.
#[async_trait]
pub trait Roles: Send + Sync {
    /// The SDK configuration for calls of this session.
    ///
    /// # Errors
    /// A role that cannot be assumed.
    async fn config(&self, session: &Session) -> Result<SdkConfig, RoleError>;

    /// Credentials of the session's role that allow no more than `policy` (JSON), to give away: good for an hour at most.
    ///
    /// # Errors
    /// A role that cannot be assumed.
    async fn limited(&self, session: &Session, policy: &str) -> Result<Credentials, RoleError>;
}

/// No roles: every call is made as whoever the configuration says. For tests and stand-ins that know no STS.
#[derive(Clone, Debug)]
pub struct SameRole(pub SdkConfig);

#[async_trait]
impl Roles for SameRole {
    async fn config(&self, session: &Session) -> Result<SdkConfig, RoleError> {
        Ok(in_region(&self.0, &session.region))
    }

    async fn limited(&self, _session: &Session, _policy: &str) -> Result<Credentials, RoleError> {
        use aws_credential_types::provider::ProvideCredentials;
        let provider = self.0.credentials_provider().ok_or_else(|| RoleError::Unavailable("no credentials".into()))?;
        provider.provide_credentials().await.map_err(|error| RoleError::Unavailable(error.to_string()))
    }
}

fn in_region(config: &SdkConfig, region: &str) -> SdkConfig {
    config.to_builder().region(aws_types::region::Region::new(region.to_owned())).build()
}

#[cfg(test)]
mod tests;
