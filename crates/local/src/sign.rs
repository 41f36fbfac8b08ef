//! AWS Signature Version 4, for what this machine sends: clients of a server, and functions at an endpoint. What is signed
//! is always a POST without a query, so that this takes no SDK; a test has the server's verifier accept it.

use hmac::{Hmac, KeyInit, Mac};
use model::Timestamp;
use sha2::{Digest, Sha256};

type HmacSha256 = Hmac<Sha256>;

/// A pair of keys, perhaps with a session token. Its `Debug` does not show the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// The public half.
    pub access_key_id: String,
    /// The secret half.
    pub secret_access_key: String,
    /// For temporary keys.
    pub session_token: Option<String>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({}, ****)", self.access_key_id)
    }
}

/// A request to sign: a POST.
#[derive(Clone, Copy, Debug)]
pub struct Unsigned<'a> {
    /// The service signed for, as `codepipeline`.
    pub service: &'a str,
    /// The region signed for.
    pub region: &'a str,
    /// With its port where it is no default.
    pub host: &'a str,
    /// As it stands in the request; begins with a slash.
    pub path: &'a str,
    /// What is signed besides: names in lower case.
    pub headers: &'a [(&'static str, &'a str)],
    /// The body.
    pub body: &'a [u8],
    /// When.
    pub at: Timestamp,
}

/// All headers that make a request a signed one, those given among them.
pub fn headers(request: &Unsigned<'_>, keys: &Keys) -> Vec<(&'static str, String)> {
    let stamp = request.at.to_iso_seconds().replace(['-', ':'], "");
    let date = stamp.get(..8).unwrap_or_default();
    let mut headers = vec![("host", request.host.to_owned()), ("x-amz-date", stamp.clone())];
    headers.extend(keys.session_token.clone().map(|token| ("x-amz-security-token", token)));
    headers.extend(request.headers.iter().map(|(name, value)| (*name, (*value).to_owned())));
    headers.sort();
    let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
    // Of all that a path may hold, only the sign of what is encoded already is encoded once more.
    let path = request.path.replace('%', "%25");
    let canonical =
        format!("POST\n{path}\n\n{lines}\n{names}\n{}", control::hexadecimal::hex(&Sha256::digest(request.body)));
    let scope = format!("{date}/{}/{}/aws4_request", request.region, request.service);
    let digest = control::hexadecimal::hex(&Sha256::digest(canonical.as_bytes()));
    let to_sign = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}");
    let mut key = mac(format!("AWS4{}", keys.secret_access_key).as_bytes(), date);
    for part in [request.region, request.service, "aws4_request"] {
        key = mac(&key, part);
    }
    let signature = control::hexadecimal::hex(&mac(&key, &to_sign));
    let credential = &keys.access_key_id;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// AWS's published test vector `post-header-key-sort` for Signature Version 4.
    #[test]
    fn the_published_vector_is_met() {
        let keys = Keys {
            access_key_id: "AKIDEXAMPLE".into(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
            session_token: None,
        };
        assert!(!format!("{keys:?}").contains("wJal"));
        let at = "2015-08-30T12:36:00Z".parse::<jiff::Timestamp>().unwrap().as_millisecond();
        let request = Unsigned {
            service: "service",
            region: "us-east-1",
            host: "example.amazonaws.com",
            path: "/",
            headers: &[("my-header1", "value1")],
            body: b"",
            at: Timestamp(at),
        };
        let signed = headers(&request, &keys);
        let (_, authorization) = signed.last().unwrap();
        assert_eq!(
            authorization,
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;my-header1;x-amz-date, \
             Signature=c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"
        );
    }
}
