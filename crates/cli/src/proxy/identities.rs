//! Which keys sign for the stack, and which may sign here: the same.

#[cfg(feature = "aws")]
mod chain;

use std::sync::{Arc, Mutex, PoisonError};

use api::secret::Secret;
use api::sigv4::{Credential, Credentials};
use jiff::{SignedDuration, Timestamp};
use local::sign::Keys;

use crate::exit::Unusable;

#[cfg(feature = "aws")]
use self::chain::Source;
#[cfg(not(feature = "aws"))]
use self::plain::Source;

/// How long before their end keys are replaced. Clients replace theirs no earlier than that.
const EARLY: SignedDuration = SignedDuration::from_mins(5);
/// How long keys that never end are believed to be the ones that files and environment name.
const FRESH: SignedDuration = SignedDuration::from_secs(60);
/// How often, at most, a key that is not known makes us look for new ones.
const LOOK: SignedDuration = SignedDuration::from_secs(5);
/// How many keys clients may still sign with after they were replaced.
const REMEMBERED: usize = 8;

/// Keys, and when they end.
#[derive(Clone, Debug)]
pub struct Found {
    /// The keys.
    pub keys: Keys,
    /// When they end, where they do.
    pub expires: Option<Timestamp>,
}

/// The keys of one person or role, as they come and go.
pub struct Identities {
    source: Source,
    known: Mutex<Vec<(Found, Timestamp)>>,
}

impl Identities {
    /// Those of a profile, or of the environment.
    pub async fn new(profile: Option<&str>, region: &str) -> Self {
        Self { source: Source::new(profile, region).await, known: Mutex::default() }
    }

    /// The keys to sign with.
    ///
    /// # Errors
    /// There are none, with what was looked at.
    pub async fn current(&self) -> Result<Found, Unusable> {
        let now = Timestamp::now();
        let Some((old, since)) = self.newest() else { return self.look(now).await };
        if now < old.expires.map_or(since + FRESH, |expires| expires - EARLY) {
            return Ok(old);
        }
        match self.look(now).await {
            // Whoever gives them may be away for a moment: these still hold.
            Err(error) if old.expires.is_some_and(|expires| now < expires) => {
                tracing::warn!(%error, "the credentials could not be replaced yet");
                Ok(old)
            }
            looked => looked,
        }
    }

    /// Looks again, as a client signed with keys that are not known; not more often than is good for who gives them.
    pub async fn refresh(&self) {
        let now = Timestamp::now();
        if self.newest().is_none_or(|(_, since)| now.duration_since(since) >= LOOK)
            && let Err(error) = self.look(now).await
        {
            tracing::warn!(%error, "the credentials could not be read again");
        }
    }

    fn newest(&self) -> Option<(Found, Timestamp)> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).last().cloned()
    }

    async fn look(&self, now: Timestamp) -> Result<Found, Unusable> {
        let found = self.source.find().await?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(old, _)| old.keys != found.keys && old.expires.is_none_or(|expires| expires > now));
        if known.len() >= REMEMBERED {
            known.remove(0);
        }
        known.push((found.clone(), now));
        Ok(found)
    }
}

impl Credentials for Identities {
    fn find(&self, access_key: &str) -> Option<Arc<Credential>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (found, _) = known.iter().rev().find(|(found, _)| found.keys.access_key_id == access_key)?;
        Some(Arc::new(Credential {
            secret: Secret::new(found.keys.secret_access_key.clone()),
            session_token: found.keys.session_token.clone().map(Secret::new),
            principal: access_key.into(),
        }))
    }
}

#[cfg(not(feature = "aws"))]
mod plain {
    //! Environment and files only, for builds without the SDK.

    use super::Found;
    use crate::client::find_for_aws;
    use crate::exit::Unusable;

    /// A profile, or the environment.
    pub struct Source(Option<String>);

    impl Source {
        /// Those of a profile, or of the environment.
        pub async fn new(profile: Option<&str>, _: &str) -> Self {
            Self(profile.map(str::to_owned))
        }

        /// Reads them.
        ///
        /// # Errors
        /// There are none.
        pub async fn find(&self) -> Result<Found, Unusable> {
            let keys = find_for_aws(self.0.as_deref()).map_err(|error| Unusable::new(format!("{error:#}")))?;
            Ok(Found { keys, expires: None })
        }
    }
}
