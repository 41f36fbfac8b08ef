//! Sealing on one machine: by a key that lies among the secrets, made with the first seal.

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use control::connections::Vault;
use control::ports::PortError;
use control::sealing::Sealer;
use tokio::sync::OnceCell;

use super::FileVault;

/// The key's name among the secrets.
const KEY: &str = "sealing/key";
/// The bytes of a nonce: so many that random ones never meet.
const NONCE_BYTES: usize = 24;

/// Seals with XChaCha20-Poly1305. It has no `Debug`: it holds the key.
pub struct KeySealer {
    vault: FileVault,
    cipher: OnceCell<XChaCha20Poly1305>,
}

impl KeySealer {
    /// With the key that lies in this vault.
    pub fn new(vault: FileVault) -> Self {
        Self { vault, cipher: OnceCell::new() }
    }

    /// The cipher of the key. Without a key one is made only to seal: nothing that lies there would open by a new one.
    async fn cipher(&self, make: bool) -> Result<&XChaCha20Poly1305, PortError> {
        let load = || async {
            let text = match self.vault.get(KEY).await? {
                Some(text) => text,
                None if make => {
                    let text = STANDARD.encode(random::<32>()?);
                    self.vault.put(KEY, &text).await?;
                    text
                }
                None => return Err(PortError::Corrupt("the key that seals secrets is gone: a sealed secret".into())),
            };
            let bytes = STANDARD.decode(text.trim()).unwrap_or_default();
            XChaCha20Poly1305::new_from_slice(&bytes)
                .map_err(|_| PortError::Corrupt(format!("the key that seals secrets ({KEY}; it must have 32 bytes)")))
        };
        self.cipher.get_or_try_init(load).await
    }
}

fn random<const N: usize>() -> Result<[u8; N], PortError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| PortError::Unavailable("the system's random numbers".into()))?;
    Ok(bytes)
}

fn corrupt() -> PortError {
    PortError::Corrupt("a sealed secret".into())
}

#[async_trait]
impl Sealer for KeySealer {
    async fn seal(&self, place: &str, secret: &str) -> Result<String, PortError> {
        let cipher = self.cipher(true).await?;
        let mut sealed = random::<NONCE_BYTES>()?.to_vec();
        let nonce = XNonce::try_from(&sealed[..]).map_err(|_| corrupt())?;
        let payload = Payload { msg: secret.as_bytes(), aad: place.as_bytes() };
        sealed.extend(cipher.encrypt(&nonce, payload).map_err(|_| corrupt())?);
        Ok(STANDARD.encode(sealed))
    }

    async fn open(&self, place: &str, sealed: &str) -> Result<String, PortError> {
        let sealed = STANDARD.decode(sealed).map_err(|_| corrupt())?;
        let (nonce, msg) = sealed.split_at_checked(NONCE_BYTES).ok_or_else(corrupt)?;
        let nonce = XNonce::try_from(nonce).map_err(|_| corrupt())?;
        let payload = Payload { msg, aad: place.as_bytes() };
        let secret = self.cipher(false).await?.decrypt(&nonce, payload).map_err(|_| corrupt())?;
        String::from_utf8(secret).map_err(|_| corrupt())
    }
}
