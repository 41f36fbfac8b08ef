//! Reads what a request says of its own signature.

use http::request::Parts;
use model::Timestamp;
use percent_encoding::percent_decode_str;

use super::{ALGORITHM, AuthError, MAX_EXPIRES_SECONDS};

/// The most that is read of a signature's description, in bytes.
const MAX_LENGTH: usize = 8192;

/// What a request says of its signature. Nothing of it is believed yet.
#[derive(Debug, PartialEq)]
pub(crate) struct Claim {
    pub(crate) access_key: String,
    /// `YYYYMMDD`.
    pub(crate) date: String,
    pub(crate) region: String,
    pub(crate) service: String,
    /// Lower case, sorted, each once.
    pub(crate) signed_headers: Vec<String>,
    pub(crate) signature: [u8; 32],
    /// `YYYYMMDDTHHMMSSZ`.
    pub(crate) timestamp: String,
    pub(crate) signed_at: Timestamp,
    /// For presigned requests.
    pub(crate) expires_seconds: Option<i64>,
    pub(crate) session_token: Option<String>,
}

impl Claim {
    pub(crate) fn read(parts: &Parts) -> Result<Self, AuthError> {
        let query = parts.uri.query().unwrap_or_default();
        if query.len() > MAX_LENGTH {
            return Err(incomplete("The query is too long."));
        }
        let in_query = query.split('&').any(|pair| pair.starts_with("X-Amz-Signature="));
        let mut headers = parts.headers.get_all("authorization").iter();
        let claim = match (headers.next(), headers.next(), in_query) {
            (None, _, false) => return Err(AuthError::Missing),
            (Some(header), None, false) => Self::in_header(parts, text(header)?)?,
            (None, _, true) => Self::in_query(query)?,
            (Some(_), Some(_), _) | (Some(_), None, true) => {
                return Err(incomplete("The request is signed more than once."));
            }
        };
        claim.check_signed_headers(parts)?;
        Ok(claim)
    }

    fn in_header(parts: &Parts, header: &str) -> Result<Self, AuthError> {
        if header.len() > MAX_LENGTH {
            return Err(incomplete("The Authorization header is too long."));
        }
        let fields = header
            .strip_prefix(ALGORITHM)
            .filter(|rest| rest.starts_with(' '))
            .ok_or_else(|| incomplete(format!("Authorization header must begin with '{ALGORITHM} '.")))?;
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for field in fields.split(',') {
            let (name, value) = field.trim().split_once('=').ok_or_else(|| malformed("Authorization header"))?;
            let slot = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => return Err(malformed("Authorization header")),
            };
            if slot.replace(value).is_some() {
                return Err(malformed("Authorization header"));
            }
        }
        let needed = |field: Option<_>, name: &str| {
            field.ok_or_else(|| incomplete(format!("Authorization header requires '{name}' parameter.")))
        };
        let (timestamp, signed_at) = header_time(parts)?;
        let session_token = only(parts, "x-amz-security-token")?.map(str::to_owned);
        Self::new(
            needed(credential, "Credential")?,
            needed(signed_headers, "SignedHeaders")?,
            needed(signature, "Signature")?,
            (timestamp, signed_at),
        )
        .map(|claim| Self { session_token, ..claim })
    }

    fn in_query(query: &str) -> Result<Self, AuthError> {
        let find = |name: &str| -> Result<Option<String>, AuthError> {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            let mut values = pairs.filter(|(key, _)| *key == name).map(|(_, value)| percent_decode_str(value));
            match (values.next(), values.next()) {
                (None, _) => Ok(None),
                (Some(value), None) => match value.decode_utf8() {
                    Ok(value) => Ok(Some(value.into_owned())),
                    Err(_) => Err(malformed(name)),
                },
                (Some(_), Some(_)) => Err(malformed(name)),
            }
        };
        let needed = |name: &str| {
            find(name)?.ok_or_else(|| incomplete(format!("AWS query-string parameters must include '{name}'.")))
        };
        if needed("X-Amz-Algorithm")? != ALGORITHM {
            return Err(incomplete(format!("X-Amz-Algorithm must be '{ALGORITHM}'.")));
        }
        let expires = needed("X-Amz-Expires")?.parse::<i64>().ok();
        let expires = expires.filter(|seconds| (1..=MAX_EXPIRES_SECONDS).contains(seconds));
        let expires = expires.ok_or_else(|| {
            incomplete(format!("X-Amz-Expires must be a number of seconds from 1 to {MAX_EXPIRES_SECONDS}."))
        })?;
        let timestamp = needed("X-Amz-Date")?;
        let signed_at = parse_basic(&timestamp).ok_or_else(|| malformed("X-Amz-Date"))?;
        let claim = Self::new(
            &needed("X-Amz-Credential")?,
            &needed("X-Amz-SignedHeaders")?,
            &needed("X-Amz-Signature")?,
            (timestamp, signed_at),
        )?;
        Ok(Self { expires_seconds: Some(expires), session_token: find("X-Amz-Security-Token")?, ..claim })
    }

    fn new(
        credential: &str,
        signed_headers: &str,
        signature: &str,
        (timestamp, signed_at): (String, Timestamp),
    ) -> Result<Self, AuthError> {
        let parts: Vec<&str> = credential.split('/').collect();
        let [access_key, date, region, service, "aws4_request"] = parts[..] else {
            return Err(incomplete(
                "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/aws4_request.",
            ));
        };
        let is_word = |text: &str, max| {
            (1..=max).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        if !is_word(access_key, 128) || !is_word(region, 30) || !is_word(service, 30) || !is_word(date, 8) {
            return Err(malformed("Credential"));
        }
        let signed_headers: Vec<String> = signed_headers.split(';').map(str::to_owned).collect();
        if !signed_headers.is_sorted_by(|a, b| a < b) {
            return Err(incomplete("SignedHeaders must be sorted and name each header once."));
        }
        Ok(Self {
            access_key: access_key.into(),
            date: date.into(),
            region: region.into(),
            service: service.into(),
            signed_headers,
            signature: unhex(signature).ok_or_else(|| malformed("Signature"))?,
            timestamp,
            signed_at,
            expires_seconds: None,
            session_token: None,
        })
    }

    /// What decides over the request must be signed, or whoever carries it could change it.
    fn check_signed_headers(&self, parts: &Parts) -> Result<(), AuthError> {
        let is_signed = |name: &str| self.signed_headers.binary_search_by(|signed| signed.as_str().cmp(name)).is_ok();
        if !is_signed("host") {
            return Err(incomplete("'Host' must be a signed header."));
        }
        for name in parts.headers.keys().map(http::HeaderName::as_str) {
            let decides = matches!(
                name,
                "x-amz-target" | "x-amz-date" | "x-amz-content-sha256" | "x-amz-security-token" | "content-encoding"
            );
            if decides && !is_signed(name) {
                return Err(incomplete(format!("'{name}' must be a signed header.")));
            }
        }
        Ok(())
    }
}

/// The time that the request was signed at: `X-Amz-Date`, else `Date`, which then must be signed.
fn header_time(parts: &Parts) -> Result<(String, Timestamp), AuthError> {
    let text = only(parts, "x-amz-date")?.map(str::to_owned);
    let text = match text {
        Some(text) => text,
        None => rfc2822(only(parts, "date")?).ok_or_else(|| {
            incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
        })?,
    };
    let signed_at = parse_basic(&text)
        .ok_or_else(|| incomplete("Date must be in ISO-8601 'basic format', as '20150830T123600Z'."))?;
    Ok((text, signed_at))
}

fn rfc2822(date: Option<&str>) -> Option<String> {
    let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date?).ok()?;
    Some(at.strftime("%Y%m%dT%H%M%SZ").to_string())
}

/// `YYYYMMDDTHHMMSSZ`, and nothing else.
fn parse_basic(text: &str) -> Option<Timestamp> {
    let digits = text.len() == 16
        && text.bytes().enumerate().all(|(i, b)| match i {
            8 => b == b'T',
            15 => b == b'Z',
            _ => b.is_ascii_digit(),
        });
    let civil = digits.then(|| jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()).flatten()?;
    let at = jiff::tz::TimeZone::UTC.to_timestamp(civil).ok()?;
    Some(Timestamp(at.as_millisecond()))
}

/// The header's only value.
fn only<'a>(parts: &'a Parts, name: &str) -> Result<Option<&'a str>, AuthError> {
    let mut values = parts.headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => text(value).map(Some),
        (Some(_), Some(_)) => Err(malformed(name)),
    }
}

fn text(value: &http::HeaderValue) -> Result<&str, AuthError> {
    value.to_str().map_err(|_| incomplete("A header that belongs to the signature is not plain ASCII."))
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    let bytes = text.as_bytes();
    if bytes.len() != 64 {
        return None;
    }
    let mut out = [0; 32];
    for (to, pair) in out.iter_mut().zip(bytes.chunks_exact(2)) {
        *to = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(out)
}

fn incomplete(message: impl Into<String>) -> AuthError {
    AuthError::Incomplete(message.into())
}

fn malformed(what: &str) -> AuthError {
    AuthError::Incomplete(format!("{what} is not in the form that it must have."))
}
