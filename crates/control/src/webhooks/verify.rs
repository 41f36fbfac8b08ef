//! Whether a delivery comes from whom it must: over the raw bytes, in constant time, without saying why not.

use std::net::IpAddr;

use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use ipnet::IpNet;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::accept::one_header;

/// GitHub's and Bitbucket's signature: HMAC SHA-256 over the body.
const SIGNATURE_256: &str = "x-hub-signature-256";
/// GitHub's older signature (HMAC SHA-1), and Bitbucket's only one (HMAC SHA-256).
const SIGNATURE: &str = "x-hub-signature";
/// GitLab's secret, as it is.
const GITLAB_TOKEN: &str = "x-gitlab-token";

/// GitHub's signature by SHA-256, and nothing else.
pub(super) fn github(headers: &HeaderMap, body: &[u8], secret: &str) -> bool {
    one_header(headers, SIGNATURE_256).is_some_and(|given| hmac_sha256(given, body, secret))
}

/// `GITHUB_HMAC` of PutWebhook: by SHA-256 whenever that is sent, else by SHA-1, which is all that old senders have. A
/// wrong newer signature is not made good by an older one.
pub(super) fn github_or_older(headers: &HeaderMap, body: &[u8], secret: &str) -> bool {
    if headers.contains_key(SIGNATURE_256) {
        return github(headers, body, secret);
    }
    let given = one_header(headers, SIGNATURE).and_then(|given| unhex(given.strip_prefix("sha1=")?));
    let Ok(mac) = Hmac::<Sha1>::new_from_slice(secret.as_bytes()) else { return false };
    given.is_some_and(|given| mac.chain_update(body).verify_slice(&given).is_ok())
}

/// Bitbucket's signature.
pub(super) fn bitbucket(headers: &HeaderMap, body: &[u8], secret: &str) -> bool {
    one_header(headers, SIGNATURE).is_some_and(|given| hmac_sha256(given, body, secret))
}

/// GitLab's token. Both sides are hashed first, so that not even the secret's length shows.
pub(super) fn gitlab(headers: &HeaderMap, secret: &str) -> bool {
    let hash = |text: &str| Sha256::digest(text.as_bytes());
    one_header(headers, GITLAB_TOKEN).is_some_and(|given| bool::from(hash(given).ct_eq(&hash(secret))))
}

/// Whether an address lies in a range of CIDR notation, or is the one address given.
pub(super) fn in_range(peer: IpAddr, range: &str) -> bool {
    parse_range(range).is_some_and(|range| range.contains(&peer.to_canonical()))
}

/// Reads a range of CIDR notation; one address stands for itself.
pub(super) fn parse_range(range: &str) -> Option<IpNet> {
    range.parse().ok().or_else(|| range.parse::<IpAddr>().ok().map(IpNet::from))
}

fn hmac_sha256(given: &str, body: &[u8], secret: &str) -> bool {
    let given = given.strip_prefix("sha256=").and_then(unhex);
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return false };
    given.is_some_and(|given| mac.chain_update(body).verify_slice(&given).is_ok())
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let is_hex = text.len().is_multiple_of(2) && text.len() <= 128 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let byte = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    if is_hex { (0..text.len()).step_by(2).map(byte).collect() } else { None }
}
