//! Verifies AWS Signature Version 4, in the header or in the query.
//!
//! The algorithm is written out here because a server must recompute exactly what the client chose to sign, whereas the
//! SDK's signer chooses its own headers; the cryptography is the `hmac` and `sha2` crates'.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use control::hexadecimal::hex;
use hmac::{Hmac, KeyInit, Mac};
use http::request::Parts;
use model::Timestamp;
use sha2::{Digest, Sha256};

use crate::error::ApiError;
use crate::secret::Secret;

mod canonical;
mod claim;
#[cfg(test)]
mod tests;

pub(crate) use claim::Claim;

/// How far a client's clock may be off, in minutes.
pub const CLOCK_SKEW_MINUTES: i64 = 5;
/// The longest life of a presigned request, in seconds.
pub const MAX_EXPIRES_SECONDS: i64 = 7 * 24 * 60 * 60;
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The most derived keys kept; each is a few hundred bytes.
const MAX_CACHED_KEYS: usize = 256;

type HmacSha256 = Hmac<Sha256>;

/// A key that may sign, and whom it stands for.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The secret key.
    pub secret: Secret,
    /// The session token that must come with each request, for temporary keys.
    pub session_token: Option<Secret>,
    /// The principal's ARN.
    pub principal: String,
}

/// Finds a credential by its access key.
pub trait Credentials: Send + Sync {
    /// The credential of this access key.
    fn find(&self, access_key: &str) -> Option<Arc<Credential>>;
}

/// Who signed, and for where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The access key.
    pub access_key: String,
    /// The principal's ARN.
    pub principal: String,
    /// The region that the request was signed for.
    pub region: String,
}

/// Why a signature does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Not signed at all.
    #[error("Missing Authentication Token")]
    Missing,
    /// Signed, but not in a form that can be read.
    #[error("{0}")]
    Incomplete(String),
    /// Unknown access key or wrong session token.
    #[error("The security token included in the request is invalid.")]
    UnknownKey,
    /// The signature is another one, or is not valid now or here.
    #[error("{0}")]
    Invalid(String),
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        let code = match error {
            AuthError::Missing => "MissingAuthenticationTokenException",
            AuthError::Incomplete(_) => "IncompleteSignatureException",
            AuthError::UnknownKey => "UnrecognizedClientException",
            AuthError::Invalid(_) => "InvalidSignatureException",
        };
        Self::new(code, error.to_string())
    }
}

/// Verifies requests against one set of credentials, for one service.
pub struct Verifier {
    credentials: Arc<dyn Credentials>,
    service: &'static str,
    /// Derived keys by access key and scope; each was derived for a request whose signature held.
    keys: Mutex<HashMap<String, HmacSha256>>,
}

impl Verifier {
    /// A verifier for requests signed for `service`.
    pub fn new(credentials: Arc<dyn Credentials>, service: &'static str) -> Self {
        Self { credentials, service, keys: Mutex::default() }
    }

    /// Who signed this request. Everything that decides what is done must be signed: method, path, query, host, target,
    /// body.
    ///
    /// # Errors
    ///
    /// In AWS's order: missing, unreadable, unknown key, out of time, wrong signature.
    pub fn verify(&self, parts: &Parts, body: &[u8], now: Timestamp) -> Result<Identity, AuthError> {
        let claim = Claim::read(parts)?;
        self.check_scope(&claim)?;
        let credential = self.credentials.find(&claim.access_key).ok_or(AuthError::UnknownKey)?;
        check_session_token(&credential, claim.session_token.as_deref())?;
        check_time(&claim, now)?;
        let payload = hex(&Sha256::digest(body));
        check_payload(parts, &payload)?;
        let canonical = canonical::request(parts, &claim, &payload)?;
        let scope = format!("{}/{}/{}/aws4_request", claim.date, claim.region, claim.service);
        let to_sign =
            format!("{ALGORITHM}\n{}\n{scope}\n{}", claim.timestamp, hex(&Sha256::digest(canonical.as_bytes())));
        self.check_signature(&claim, &credential, &scope, &to_sign)?;
        Ok(Identity { access_key: claim.access_key, principal: credential.principal.clone(), region: claim.region })
    }

    fn check_scope(&self, claim: &Claim) -> Result<(), AuthError> {
        if claim.service != self.service {
            let message = format!("Credential should be scoped to correct service: '{}'.", self.service);
            return Err(AuthError::Invalid(message));
        }
        if !claim.timestamp.starts_with(&claim.date) {
            let message = format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}' != '{}'.",
                claim.date,
                claim.timestamp.get(..8).unwrap_or_default()
            );
            return Err(AuthError::Invalid(message));
        }
        Ok(())
    }

    fn check_signature(
        &self,
        claim: &Claim,
        credential: &Credential,
        scope: &str,
        to_sign: &str,
    ) -> Result<(), AuthError> {
        let cache_key = format!("{}/{scope}", claim.access_key);
        let known = self.keys.lock().unwrap_or_else(PoisonError::into_inner).get(&cache_key).cloned();
        let is_new = known.is_none();
        let key = match known {
            Some(key) => key,
            None => signing_key(credential.secret.expose(), &claim.date, &claim.region, &claim.service)?,
        };
        let mac = key.clone().chain_update(to_sign.as_bytes());
        // Compares in constant time.
        mac.verify_slice(&claim.signature).map_err(|_| mismatch())?;
        if is_new {
            let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
            if keys.len() >= MAX_CACHED_KEYS {
                keys.clear();
            }
            keys.insert(cache_key, key);
        }
        Ok(())
    }
}

fn mismatch() -> AuthError {
    AuthError::Invalid(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access \
         Key and signing method. Consult the service documentation for details."
            .into(),
    )
}

/// The key for one day, region and service, ready to sign with.
fn signing_key(secret: &str, date: &str, region: &str, service: &str) -> Result<HmacSha256, AuthError> {
    let mut key = keyed(format!("AWS4{secret}").as_bytes())?;
    for part in [date, region, service, "aws4_request"] {
        key = keyed(&key.chain_update(part.as_bytes()).finalize().into_bytes())?;
    }
    Ok(key)
}

/// HMAC takes keys of every length: the error cannot happen, and is no success if it does.
fn keyed(key: &[u8]) -> Result<HmacSha256, AuthError> {
    HmacSha256::new_from_slice(key).map_err(|_| mismatch())
}

fn check_session_token(credential: &Credential, given: Option<&str>) -> Result<(), AuthError> {
    match (&credential.session_token, given) {
        (None, None) => Ok(()),
        (Some(token), Some(given)) if token.is(given) => Ok(()),
        (Some(_), _) | (None, Some(_)) => Err(AuthError::UnknownKey),
    }
}

fn check_time(claim: &Claim, now: Timestamp) -> Result<(), AuthError> {
    let skew = CLOCK_SKEW_MINUTES * 60_000;
    let age = now.0.saturating_sub(claim.signed_at.0);
    let life = claim.expires_seconds.map_or(skew, |seconds| seconds.saturating_mul(1000));
    let stamp = |at: Timestamp| at.to_iso_seconds().replace(['-', ':'], "");
    if age < -skew {
        return Err(AuthError::Invalid(format!(
            "Signature not yet current: {} is still later than {} ({} + {CLOCK_SKEW_MINUTES} min.)",
            claim.timestamp,
            stamp(now.plus_millis(skew)),
            stamp(now)
        )));
    }
    if age > life {
        return Err(AuthError::Invalid(format!(
            "Signature expired: {} is now earlier than {} ({} - {} s)",
            claim.timestamp,
            stamp(now.plus_millis(-life)),
            stamp(now),
            life / 1000
        )));
    }
    Ok(())
}

/// A hash that the client states must be that of the body.
fn check_payload(parts: &Parts, payload: &str) -> Result<(), AuthError> {
    match parts.headers.get("x-amz-content-sha256") {
        Some(stated) if stated.as_bytes() != payload.as_bytes() => {
            Err(AuthError::Invalid("The value of the X-Amz-Content-Sha256 header is not the hash of the body.".into()))
        }
        Some(_) | None => Ok(()),
    }
}
