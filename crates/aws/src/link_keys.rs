//! The keys of approval links in KMS: they never leave it.

use api::approval::LinkKeys;
use async_trait::async_trait;
use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::MacAlgorithmSpec;

use crate::failure::reason;

/// HMAC keys in KMS: one that signs, and older ones whose links have not expired yet.
#[derive(Clone, Debug)]
pub struct KmsLinkKeys {
    client: Client,
    current: String,
    older: Vec<String>,
}

impl KmsLinkKeys {
    /// Keys of usage `GENERATE_VERIFY_MAC` by id or ARN. Links name their key by the text given here: a key that is
    /// rotated out is listed among `older` by the same text until its last link expired.
    pub fn new(client: Client, current: impl Into<String>, older: impl IntoIterator<Item = String>) -> Self {
        Self { client, current: current.into(), older: older.into_iter().collect() }
    }

    /// No key that a link names reaches KMS unless it is one of ours.
    fn known(&self, key_id: &str) -> bool {
        !key_id.is_empty() && (self.current == key_id || self.older.iter().any(|older| older == key_id))
    }
}

#[async_trait]
impl LinkKeys for KmsLinkKeys {
    fn current(&self) -> &str {
        &self.current
    }

    async fn mac(&self, key_id: &str, payload: &[u8]) -> Option<[u8; 32]> {
        if !self.known(key_id) {
            return None;
        }
        let request = self.client.generate_mac().key_id(key_id).mac_algorithm(MacAlgorithmSpec::HmacSha256);
        match request.message(Blob::new(payload)).send().await {
            Ok(answer) => answer.mac.and_then(|mac| mac.into_inner().try_into().ok()),
            Err(error) => {
                tracing::error!(key_id, reason = reason(&error), "a link could not be signed");
                None
            }
        }
    }

    async fn verify(&self, key_id: &str, payload: &[u8], mac: &[u8; 32]) -> bool {
        if !self.known(key_id) {
            return false;
        }
        let request = self.client.verify_mac().key_id(key_id).mac_algorithm(MacAlgorithmSpec::HmacSha256);
        match request.message(Blob::new(payload)).mac(Blob::new(mac)).send().await {
            Ok(answer) => answer.mac_valid(),
            Err(error) => {
                if !error.as_service_error().is_some_and(|error| error.is_kms_invalid_mac_exception()) {
                    tracing::error!(key_id, reason = reason(&error), "a link could not be verified");
                }
                false
            }
        }
    }
}
