//! `nextToken`: where a listing goes on. Opaque to clients, signed against tampering, good as long as the key is.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use control::hexadecimal::hex;
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::Sha256;

use crate::secret::Secret;

/// How much of the MAC a token bears, in bytes.
const MAC_BYTES: usize = 16;

/// Signs page tokens and what else only this service can have made up.
#[derive(Clone)]
pub struct PageTokens {
    key: Secret,
}

impl PageTokens {
    /// With a key that only this service knows, the same after a restart.
    pub fn new(key: impl Into<String>) -> Self {
        Self { key: Secret::new(key) }
    }

    /// The token of a place in a listing; `of` names the listing.
    pub(crate) fn token(&self, of: &str, place: &impl Serialize) -> Option<String> {
        let json = serde_json::to_vec(place).ok()?;
        let mut token = self.mac(of, &json)?.finalize().into_bytes()[..MAC_BYTES].to_vec();
        token.extend_from_slice(&json);
        Some(URL_SAFE_NO_PAD.encode(token))
    }

    /// The place of a token that this service gave for this listing.
    pub(crate) fn place<T: DeserializeOwned>(&self, of: &str, token: &str) -> Option<T> {
        let token = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (mac, json) = token.split_at_checked(MAC_BYTES)?;
        self.mac(of, json)?.verify_truncated_left(mac).ok()?;
        serde_json::from_slice(json).ok()
    }

    /// What only this service can derive of a name: hexadecimal.
    pub(crate) fn derive(&self, name: &str) -> Option<String> {
        Some(hex(&self.mac("derived", name.as_bytes())?.finalize().into_bytes()))
    }

    /// None cannot happen: HMAC takes keys of every length.
    fn mac(&self, of: &str, json: &[u8]) -> Option<Hmac<Sha256>> {
        let mac = Hmac::<Sha256>::new_from_slice(self.key.expose().as_bytes()).ok()?;
        Some(mac.chain_update(of.as_bytes()).chain_update([0]).chain_update(json))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_hold_for_their_listing_and_key_only() {
        let tokens = PageTokens::new("0123456789abcdef");
        let token = tokens.token("ListPipelines", &("release", 7)).unwrap();
        assert_eq!(tokens.place("ListPipelines", &token), Some(("release".to_owned(), 7)));
        assert_eq!(PageTokens::new("0123456789abcdef").place("ListPipelines", &token), Some(("release".to_owned(), 7)));
        assert_eq!(tokens.place::<(String, u8)>("ListWebhooks", &token), None);
        assert_eq!(PageTokens::new("another").place::<(String, u8)>("ListPipelines", &token), None);
        for place in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            let tampered = String::from_utf8(bytes).unwrap();
            let found = tokens.place::<(String, u8)>("ListPipelines", &tampered);
            // The last character of Base64 may have bits that mean nothing: those are refused when decoded.
            assert_eq!(found, None, "{place}");
        }
        assert_eq!(tokens.place::<(String, u8)>("ListPipelines", ""), None);
    }
}
