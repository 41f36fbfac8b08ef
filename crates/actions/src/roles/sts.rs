//! Roles by STS: assumed once, kept until shortly before they expire.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_sdk_sts::types::Tag;
use aws_types::SdkConfig;
use control::ports::Clock;

use crate::fault::why;

use super::{RoleError, Roles, Session, in_region};

/// How long before their end credentials are not used any more.
const MARGIN: Duration = Duration::from_secs(5 * 60);
/// The longest life of a chained role's session.
const LIFE_SECONDS: i32 = 3600;
/// How many credentials are kept.
const KEPT: usize = 200;

/// Roles by STS. What it is given must be allowed to assume the service role.
pub struct StsRoles {
    base: SdkConfig,
    service_role: Option<String>,
    clock: Arc<dyn Clock>,
    kept: Mutex<HashMap<Session, Credentials>>,
}

impl StsRoles {
    /// `base` is the function's own configuration. Roles of actions are assumed from `service_role_arn` (the stack's
    /// service role for pipelines); without one, by the function itself.
    pub fn new(base: SdkConfig, service_role_arn: Option<String>, clock: Arc<dyn Clock>) -> Self {
        Self { base, service_role: service_role_arn, clock, kept: Mutex::default() }
    }

    /// Credentials of the session's role, kept or fresh. They are good in every region.
    async fn credentials(&self, session: &Session) -> Result<Credentials, RoleError> {
        let key = Session { region: String::new(), ..session.clone() };
        if let Some(kept) = self.find(&key) {
            return Ok(kept);
        }
        let fresh = self.assume(session, None).await?;
        self.keep(key, fresh.clone());
        Ok(fresh)
    }

    async fn assume(&self, session: &Session, policy: Option<&str>) -> Result<Credentials, RoleError> {
        match self.through(session) {
            Some(service_role) => {
                // Its session bears the same name and tags, so that the chain can be followed in CloudTrail.
                let first = Session { role_arn: service_role.to_owned(), ..session.clone() };
                let credentials = Box::pin(self.credentials(&first)).await?;
                self.assume_as(Some((service_role, credentials)), session, policy).await
            }
            None => self.assume_as(None, session, policy).await,
        }
    }

    /// The service role, where the session's role is another.
    fn through(&self, session: &Session) -> Option<&str> {
        self.service_role.as_deref().filter(|role| *role != session.role_arn)
    }

    async fn assume_as(
        &self,
        by: Option<(&str, Credentials)>,
        session: &Session,
        policy: Option<&str>,
    ) -> Result<Credentials, RoleError> {
        let mut config = in_region(&self.base, &session.region);
        let name = by.as_ref().map_or("the dispatch function's role", |(role, _)| *role).to_owned();
        if let Some((_, credentials)) = by {
            config = with_credentials(&config, credentials);
        }
        let tags = session.tags.iter().filter_map(|(key, value)| Tag::builder().key(key).value(value).build().ok());
        let assumed = aws_sdk_sts::Client::new(&config)
            .assume_role()
            .role_arn(&session.role_arn)
            .role_session_name(&session.name)
            .external_id(&session.external_id)
            .set_tags(Some(tags.collect()))
            .set_policy(policy.map(Into::into))
            .duration_seconds(LIFE_SECONDS)
            .send()
            .await;
        let assumed = assumed.map_err(|error| fault(&error, session, &name))?;
        let given = assumed.credentials().ok_or_else(|| RoleError::Unavailable("STS gave no credentials".into()))?;
        let until = SystemTime::try_from(*given.expiration()).ok();
        Ok(Credentials::new(
            given.access_key_id(),
            given.secret_access_key(),
            Some(given.session_token().to_owned()),
            until,
            "penstock",
        ))
    }

    fn now(&self) -> SystemTime {
        let millis = u64::try_from(self.clock.now().0).unwrap_or(0);
        SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
    }

    fn find(&self, key: &Session) -> Option<Credentials> {
        let deadline = self.now() + MARGIN;
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(key).filter(|found| is_good(found, deadline)).cloned()
    }

    fn keep(&self, key: Session, credentials: Credentials) {
        let deadline = self.now() + MARGIN;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, found| is_good(found, deadline));
        if kept.len() < KEPT {
            kept.insert(key, credentials);
        }
    }
}

fn is_good(credentials: &Credentials, deadline: SystemTime) -> bool {
    credentials.expiry().is_some_and(|expiry| expiry > deadline)
}

fn with_credentials(config: &SdkConfig, credentials: Credentials) -> SdkConfig {
    config.to_builder().credentials_provider(SharedCredentialsProvider::new(credentials)).build()
}

fn fault(error: &SdkError<AssumeRoleError>, session: &Session, by: &str) -> RoleError {
    let SdkError::ServiceError(answer) = error else {
        return RoleError::Unavailable(format!("STS: {}", why(error)));
    };
    let said = answer.err().message().unwrap_or("no reason given");
    match answer.err().code() {
        Some("AccessDenied" | "AccessDeniedException") => RoleError::Denied {
            role: session.role_arn.clone(),
            by: by.to_owned(),
            external_id: session.external_id.clone(),
        },
        Some(code @ ("ValidationError" | "MalformedPolicyDocument" | "PackedPolicyTooLarge")) => {
            RoleError::Invalid(format!("the role {}: {code}: {said}", session.role_arn))
        }
        code => RoleError::Unavailable(format!("STS: {}: {said}", code.unwrap_or("an error"))),
    }
}

#[async_trait]
impl Roles for StsRoles {
    async fn config(&self, session: &Session) -> Result<SdkConfig, RoleError> {
        let credentials = self.credentials(session).await?;
        Ok(with_credentials(&in_region(&self.base, &session.region), credentials))
    }

    async fn limited(&self, session: &Session, policy: &str) -> Result<Credentials, RoleError> {
        self.assume(session, Some(policy)).await
    }
}
