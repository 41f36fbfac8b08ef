//! AWS's own chain: environment, profiles with roles, single sign-on and processes, web identities, containers, instances.

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use jiff::Timestamp;
use local::sign::Keys;

use super::Found;
use crate::exit::Unusable;

/// The chain, begun at a profile or at the environment.
pub struct Source(Option<SharedCredentialsProvider>);

impl Source {
    /// Nothing is asked yet.
    pub async fn new(profile: Option<&str>, region: &str) -> Self {
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12()).region(Region::new(region.to_owned()));
        if let Some(profile) = profile {
            // A profile that is named comes before the environment's keys, as with the AWS command line.
            let provider = ProfileFileCredentialsProvider::builder().profile_name(profile).build();
            loader = loader.profile_name(profile).credentials_provider(provider);
        }
        Self(loader.load().await.credentials_provider())
    }

    /// Asks the chain.
    ///
    /// # Errors
    /// No link of it has credentials.
    pub async fn find(&self) -> Result<Found, Unusable> {
        let none = |why: &dyn std::fmt::Display| {
            Unusable::new(format!(
                "no credentials: {why}; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a profile with --profile \
                 or AWS_PROFILE, or log in (aws sso login)"
            ))
        };
        let provider = self.0.as_ref().ok_or_else(|| none(&"nothing provides them"))?;
        let given = provider.provide_credentials().await;
        let given = given.map_err(|error| none(&format_args!("{:#}", anyhow::Error::from(error))))?;
        let expires = given.expiry().and_then(|expiry| Timestamp::try_from(expiry).ok());
        let keys = Keys {
            access_key_id: given.access_key_id().into(),
            secret_access_key: given.secret_access_key().into(),
            session_token: given.session_token().map(str::to_owned),
        };
        Ok(Found { keys, expires })
    }
}
