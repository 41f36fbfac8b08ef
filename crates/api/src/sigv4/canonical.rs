//! The canonical request: the one text that both sides can make of a request.

use http::request::Parts;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, percent_decode_str, percent_encode};

use super::{AuthError, Claim};

/// All but RFC 3986's unreserved characters.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The canonical request of what the client says it signed.
pub(super) fn request(parts: &Parts, claim: &Claim, payload_hash: &str) -> Result<String, AuthError> {
    let mut out = String::with_capacity(1024);
    out.push_str(parts.method.as_str());
    out.push('\n');
    push_path(&mut out, parts.uri.path());
    out.push('\n');
    push_query(&mut out, parts.uri.query().unwrap_or_default());
    out.push('\n');
    for name in &claim.signed_headers {
        push_header(&mut out, parts, name)?;
    }
    out.push('\n');
    out.push_str(&claim.signed_headers.join(";"));
    out.push('\n');
    out.push_str(payload_hash);
    Ok(out)
}

/// The path without dot segments and doubled slashes, encoded once more than it was sent.
fn push_path(out: &mut String, path: &str) {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            _ => segments.push(segment),
        }
    }
    for segment in &segments {
        out.push('/');
        out.extend(escape(segment.as_bytes()));
    }
    let is_directory = path.ends_with('/') || path.ends_with("/.") || path.ends_with("/..");
    if segments.is_empty() || is_directory {
        out.push('/');
    }
}

fn push_query(out: &mut String, query: &str) {
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .filter(|(name, _)| *name != "X-Amz-Signature")
        .map(|(name, value)| (reescape(name), reescape(value)))
        .collect();
    pairs.sort();
    for (index, (name, value)) in pairs.iter().enumerate() {
        if index > 0 {
            out.push('&');
        }
        out.push_str(name);
        out.push('=');
        out.push_str(value);
    }
}

/// All values of a header, each trimmed, runs of blanks as one, with commas between.
fn push_header(out: &mut String, parts: &Parts, name: &str) -> Result<(), AuthError> {
    out.push_str(name);
    out.push(':');
    let mut found = false;
    for value in parts.headers.get_all(name) {
        if found {
            out.push(',');
        }
        found = true;
        let text = std::str::from_utf8(value.as_bytes())
            .map_err(|_| AuthError::Incomplete(format!("The signed header '{name}' is not UTF-8.")))?;
        for (index, word) in text.split_ascii_whitespace().enumerate() {
            if index > 0 {
                out.push(' ');
            }
            out.push_str(word);
        }
    }
    if !found {
        return Err(AuthError::Incomplete(format!("The request has no header '{name}', which it says is signed.")));
    }
    out.push('\n');
    Ok(())
}

fn escape(bytes: &[u8]) -> PercentEncode<'_> {
    percent_encode(bytes, ESCAPED)
}

/// A plus sign in a query stands for itself here, as it does for AWS.
fn reescape(text: &str) -> String {
    let decoded: Vec<u8> = percent_decode_str(text).collect();
    escape(&decoded).to_string()
}
