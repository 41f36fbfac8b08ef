//! Signed links: `base64url(payload) "." base64url(MAC)`.

use std::path::Path;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use control::hexadecimal::hex;
use engine::{ActionExecution, ActionKey, Slot};
use hmac::{Hmac, KeyInit, Mac};
use model::{ActionExecutionId, ActionName, ExecutionId, PipelineId, StageName, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use uuid::Uuid;

use crate::credentials::{CredentialsError, read_or_make_private};
use crate::secret::{Secret, random};

/// The longest link that is looked at, in bytes.
pub const MAX_TOKEN_BYTES: usize = 4096;
/// The longest recipient, in bytes.
pub const MAX_RECIPIENT_BYTES: usize = 256;
const MAC_BYTES: usize = 32;

/// What a link says. Nothing of it is believed before its MAC holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// This link.
    #[serde(rename = "l")]
    pub id: Uuid,
    /// Whom it was made for; not an identity.
    #[serde(rename = "to")]
    pub recipient: String,
    /// The pipeline's region.
    #[serde(rename = "r")]
    pub region: String,
    /// The pipeline.
    #[serde(rename = "p")]
    pub pipeline_id: PipelineId,
    /// The execution.
    #[serde(rename = "e")]
    pub execution: ExecutionId,
    /// The stage.
    #[serde(rename = "s")]
    pub stage: StageName,
    /// The action.
    #[serde(rename = "a")]
    pub action: ActionName,
    /// The action's run order, which is part of where it lies.
    #[serde(rename = "o")]
    pub run_order: u16,
    /// The action's attempt, which is part of where it lies.
    #[serde(rename = "n")]
    pub attempt: u32,
    /// The action execution.
    #[serde(rename = "x")]
    pub action_execution_id: ActionExecutionId,
    /// The approval's token.
    #[serde(rename = "t")]
    pub token: String,
    /// When it expires.
    #[serde(rename = "exp")]
    pub expires: Timestamp,
    /// The key it is signed with.
    #[serde(rename = "k")]
    pub key_id: String,
}

/// How long a link is good where its approval has no deadline, in minutes.
const LINK_MINUTES: u32 = 7 * 24 * 60;

impl Link {
    /// A new link to an approval: it expires with it, or some time after `since` where the approval has no deadline. None
    /// for an action that is no approval.
    pub fn to(
        action: &ActionExecution,
        pipeline_id: PipelineId,
        region: &str,
        recipient: String,
        since: Timestamp,
        key_id: &str,
    ) -> Option<Self> {
        let (Some(approval), Slot::RunOrder(run_order)) = (&action.approval, action.key.slot) else { return None };
        Some(Self {
            id: Uuid::new_v4(),
            recipient,
            region: region.into(),
            pipeline_id,
            execution: action.key.execution,
            stage: action.key.stage.clone(),
            action: action.key.name.clone(),
            run_order,
            attempt: action.key.attempt,
            action_execution_id: action.id,
            token: approval.token.clone(),
            expires: action.deadline.unwrap_or_else(|| since.plus_minutes(LINK_MINUTES)),
            key_id: key_id.into(),
        })
    }

    /// The action attempt it is for.
    pub fn action_key(&self) -> ActionKey {
        ActionKey {
            execution: self.execution,
            stage: self.stage.clone(),
            slot: Slot::RunOrder(self.run_order),
            name: self.action.clone(),
            attempt: self.attempt,
        }
    }
}

/// A link that has the right size and shape; its MAC is not checked yet.
#[derive(Debug, PartialEq, Eq)]
pub struct Unverified {
    /// What it says.
    pub link: Link,
    payload: Vec<u8>,
    mac: [u8; MAC_BYTES],
}

/// Reads a token by size and shape; none for what no link looks like.
pub fn parse(token: &str) -> Option<Unverified> {
    if token.len() > MAX_TOKEN_BYTES {
        return None;
    }
    let (payload, mac) = token.split_once('.')?;
    let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
    let mac = URL_SAFE_NO_PAD.decode(mac).ok()?.try_into().ok()?;
    let link = serde_json::from_slice(&payload).ok()?;
    Some(Unverified { link, payload, mac })
}

/// What keys can do, wherever they lie.
#[async_trait]
pub trait LinkKeys: Send + Sync {
    /// The key that new links are signed with.
    fn current(&self) -> &str;

    /// The MAC of a payload under a key; none for a key that is unknown or retired.
    async fn mac(&self, key_id: &str, payload: &[u8]) -> Option<[u8; MAC_BYTES]>;

    /// Whether this is the payload's MAC; compared in constant time.
    async fn verify(&self, key_id: &str, payload: &[u8], mac: &[u8; MAC_BYTES]) -> bool;
}

/// The token of a link; none if its key is gone.
pub async fn sign(keys: &dyn LinkKeys, link: &Link) -> Option<String> {
    let payload = serde_json::to_vec(link).ok()?;
    let mac = keys.mac(&link.key_id, &payload).await?;
    Some(format!("{}.{}", URL_SAFE_NO_PAD.encode(&payload), URL_SAFE_NO_PAD.encode(mac)))
}

/// Whether a link was signed by one of our keys and not changed since.
pub async fn verify(keys: &dyn LinkKeys, unverified: &Unverified) -> bool {
    keys.verify(&unverified.link.key_id, &unverified.payload, &unverified.mac).await
}

/// Keys in a private file: a line `ID KEY` each, the current one first; older ones stay until their links have expired.
#[derive(Debug)]
pub struct KeyFile {
    keys: Vec<(String, Secret)>,
}

impl KeyFile {
    /// Reads the file; makes one with a random key if it is not there.
    ///
    /// # Errors
    ///
    /// It cannot be read or made, others may read it, or a line is no key.
    pub fn load_or_make(path: &Path) -> Result<Self, CredentialsError> {
        let text = read_or_make_private(path, new_key)?;
        let wrong = |line| CredentialsError::Content {
            path: path.into(),
            line,
            message: "must be ID KEY, where KEY is 64 hexadecimal digits".into(),
        };
        let mut keys = Vec::new();
        for (line, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty()) {
            let (id, key) = text.trim().split_once(' ').ok_or_else(|| wrong(line))?;
            let is_key = key.len() == 64 && key.bytes().all(|b| b.is_ascii_hexdigit());
            if !is_key || id.is_empty() || id.len() > 64 {
                return Err(wrong(line));
            }
            keys.push((id.to_owned(), Secret::new(key)));
        }
        if keys.is_empty() { Err(wrong(1)) } else { Ok(Self { keys }) }
    }

    fn keyed(&self, key_id: &str, payload: &[u8]) -> Option<Hmac<Sha256>> {
        let (_, key) = self.keys.iter().find(|(id, _)| id == key_id)?;
        let mac = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes()).ok()?;
        Some(mac.chain_update(payload))
    }
}

#[async_trait]
impl LinkKeys for KeyFile {
    fn current(&self) -> &str {
        self.keys.first().map_or("", |(id, _)| id)
    }

    async fn mac(&self, key_id: &str, payload: &[u8]) -> Option<[u8; MAC_BYTES]> {
        Some(self.keyed(key_id, payload)?.finalize().into_bytes().into())
    }

    async fn verify(&self, key_id: &str, payload: &[u8], mac: &[u8; MAC_BYTES]) -> bool {
        self.keyed(key_id, payload).is_some_and(|keyed| keyed.verify_slice(mac).is_ok())
    }
}

fn new_key() -> Result<String, std::io::Error> {
    Ok(format!("{} {}\n", hex(&random::<4>()?), hex(&random::<32>()?)))
}
