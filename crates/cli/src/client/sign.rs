//! Signs requests with AWS Signature Version 4. What is signed is always the same few headers of a POST to the root, so
//! that this takes no SDK; a test has the server's verifier accept it.

use hmac::{Hmac, KeyInit, Mac};
use model::Timestamp;
use sha2::{Digest, Sha256};

use super::credentials::Credentials;

type HmacSha256 = Hmac<Sha256>;

/// A request to sign: a POST of `body` to `path` at `host`.
pub struct Unsigned<'a> {
    /// With its port where it is no default.
    pub host: &'a str,
    /// Begins with a slash.
    pub path: &'a str,
    /// `X-Amz-Target`.
    pub target: &'a str,
    /// The body.
    pub body: &'a [u8],
    /// The region signed for.
    pub region: &'a str,
    /// When.
    pub at: Timestamp,
}

/// The headers that make a request a signed one, the target and content type among them.
pub fn headers(request: &Unsigned<'_>, credentials: &Credentials) -> Vec<(&'static str, String)> {
    let stamp = request.at.to_iso_seconds().replace(['-', ':'], "");
    let date = &stamp[..8];
    let mut headers = vec![
        ("content-type", "application/x-amz-json-1.1".to_owned()),
        ("host", request.host.to_owned()),
        ("x-amz-date", stamp.clone()),
    ];
    if let Some(token) = &credentials.session_token {
        headers.push(("x-amz-security-token", token.clone()));
    }
    headers.push(("x-amz-target", request.target.to_owned()));
    let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
    let canonical = format!("POST\n{}\n\n{lines}\n{names}\n{}", request.path, hex(&Sha256::digest(request.body)));
    let scope = format!("{date}/{}/codepipeline/aws4_request", request.region);
    let to_sign = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}", hex(&Sha256::digest(canonical.as_bytes())));
    let mut key = mac(format!("AWS4{}", credentials.secret_access_key).as_bytes(), date);
    for part in [request.region, "codepipeline", "aws4_request"] {
        key = mac(&key, part);
    }
    let signature = hex(&mac(&key, &to_sign));
    let credential = &credentials.access_key_id;
    headers.push((
        "authorization",
        format!("AWS4-HMAC-SHA256 Credential={credential}/{scope}, SignedHeaders={names}, Signature={signature}"),
    ));
    headers
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    // HMAC takes keys of every length; an empty signature is refused by every server.
    HmacSha256::new_from_slice(key)
        .map(|mac| mac.chain_update(text.as_bytes()).finalize().into_bytes().to_vec())
        .unwrap_or_default()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
