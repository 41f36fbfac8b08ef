//! Sealing by KMS: the key never leaves it, and each call names the place of the secret as its encryption context.

use std::collections::HashMap;

use async_trait::async_trait;
use aws_sdk_kms::Client;
use aws_sdk_kms::error::ProvideErrorMetadata as _;
use aws_sdk_kms::primitives::Blob;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use control::ports::PortError;
use control::sealing::Sealer;

use crate::failure::port_error;

/// What KMS seals in one call, in bytes; longer secrets are sealed in parts.
const PART_BYTES: usize = 4096;
/// What parts are separated by.
const SEPARATOR: &str = ".";
/// How KMS says that something was not sealed by this key for this place.
const NOT_OURS: [&str; 3] = ["IncorrectKeyException", "InvalidCiphertextException", "ValidationException"];

/// Seals with one symmetric key in KMS.
#[derive(Clone, Debug)]
pub struct KmsSealer {
    client: Client,
    key: String,
}

impl KmsSealer {
    /// The key, by id or ARN.
    pub fn new(client: Client, key: impl Into<String>) -> Self {
        Self { client, key: key.into() }
    }
}

/// The context of a part: parts cannot be moved, left out or put into another order.
fn context(place: &str, part: usize, parts: usize) -> HashMap<String, String> {
    let pairs = [("penstock:secret", place.to_owned()), ("penstock:part", format!("{}/{parts}", part + 1))];
    pairs.map(|(key, value)| (key.to_owned(), value)).into()
}

fn corrupt() -> PortError {
    PortError::Corrupt("a sealed secret".into())
}

#[async_trait]
impl Sealer for KmsSealer {
    async fn seal(&self, place: &str, secret: &str) -> Result<String, PortError> {
        let parts: Vec<&[u8]> = secret.as_bytes().chunks(PART_BYTES).collect();
        let mut sealed = Vec::with_capacity(parts.len());
        for (index, part) in parts.iter().enumerate() {
            let request = self.client.encrypt().key_id(&self.key).plaintext(Blob::new(*part));
            let context = context(place, index, parts.len());
            let answer = request.set_encryption_context(Some(context)).send().await;
            let answer = answer.map_err(|error| port_error("the key that seals secrets", &error))?;
            sealed.push(STANDARD.encode(answer.ciphertext_blob.unwrap_or_else(|| Blob::new([]))));
        }
        Ok(sealed.join(SEPARATOR))
    }

    async fn open(&self, place: &str, sealed: &str) -> Result<String, PortError> {
        let parts: Vec<&str> = sealed.split(SEPARATOR).collect();
        let mut secret = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            let part = STANDARD.decode(part).ok().filter(|part| !part.is_empty()).ok_or_else(corrupt)?;
            let request = self.client.decrypt().key_id(&self.key).ciphertext_blob(Blob::new(part));
            let context = context(place, index, parts.len());
            let answer = match request.set_encryption_context(Some(context)).send().await {
                Ok(answer) => answer,
                Err(error) if error.code().is_some_and(|code| NOT_OURS.contains(&code)) => return Err(corrupt()),
                Err(error) => return Err(port_error("the key that seals secrets", &error)),
            };
            secret.extend(answer.plaintext.map(Blob::into_inner).unwrap_or_default());
        }
        String::from_utf8(secret).map_err(|_| corrupt())
    }
}
