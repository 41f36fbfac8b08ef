//! Signatures: a request signed by botocore, in the header or in the query, is changed as the input says. If it still
//! passes, then nothing was changed that decides what is done.
//!
//! The first byte chooses the request; then come lines: `=URI` another target, `-NAME` a header taken away, `NAME: VALUE`
//! one put in, `+NAME: VALUE` one added; behind an empty line the body.
#![no_main]

use std::sync::{Arc, LazyLock};

use api::protocol::Protocol;
use api::secret::Secret;
use api::sigv4::{Credential, Credentials, Verifier};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, Uri};
use model::Timestamp;
use percent_encoding::percent_decode_str;

/// 2026-11-24T06:00:00Z.
const NOW: Timestamp = Timestamp(1_795_500_000_000);
const HOST: &str = "127.0.0.1:7707";
const TARGET: &str = "CodePipeline_20150709.StartPipelineExecution";
const TYPE: &str = "application/x-amz-json-1.1";
const DATE: &str = "20261124T060000Z";
const BODY: &[u8] = br#"{"name": "release"}"#;
const AUTHORIZATION: &str = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261124/eu-west-1/codepipeline/aws4_request, \
    SignedHeaders=content-type;host;x-amz-date;x-amz-target, \
    Signature=0134dc6d1c74d1a9c19208837ed09b0858d8993720e6871f89b710bd19e447e6";
const PRESIGNED: &str = "/?Action=x%20y%20z%2F%C3%A4&b=&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE\
    %2F20261124%2Feu-west-1%2Fcodepipeline%2Faws4_request&X-Amz-Date=20261124T060000Z&X-Amz-Expires=60&\
    X-Amz-SignedHeaders=host&X-Amz-Signature=0f4c787a22af89406ba17f04a3df8a3373cd6932c7a760d1ef597b581e9df631";

struct OneUser;

impl Credentials for OneUser {
    fn find(&self, access_key: &str) -> Option<Arc<Credential>> {
        (access_key == "AKIDEXAMPLE").then(|| {
            Arc::new(Credential {
                secret: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
                session_token: None,
                principal: "arn:aws:iam::123456789012:user/ada".into(),
            })
        })
    }
}

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| Verifier::new(Arc::new(OneUser), api::handle::SERVICE));

/// A signed request, and its body.
fn signed(in_query: bool) -> (Parts, &'static [u8]) {
    let request = if in_query {
        Request::get(PRESIGNED).header("host", HOST)
    } else {
        let request = Request::post("/").header("host", HOST).header("x-amz-target", TARGET);
        request.header("content-type", TYPE).header("x-amz-date", DATE).header("authorization", AUTHORIZATION)
    };
    (request.body(()).expect("a request").into_parts().0, if in_query { b"" } else { BODY })
}

/// Changes the request as a line says.
fn change(parts: &mut Parts, line: &[u8]) -> Option<()> {
    let (first, rest) = line.split_first()?;
    match first {
        b'=' => parts.uri = Uri::try_from(rest).ok()?,
        b'-' => drop(parts.headers.remove(HeaderName::from_bytes(rest).ok()?)),
        _ => {
            let adds = *first == b'+';
            let line = if adds { rest } else { line };
            let colon = line.iter().position(|byte| *byte == b':')?;
            let name = HeaderName::from_bytes(&line[..colon]).ok()?;
            let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
            if adds {
                parts.headers.append(name, value);
            } else {
                parts.headers.insert(name, value);
            }
        }
    }
    Some(())
}

/// What decides what is done, as a server looks at it. A path or a query may be written in several ways that mean the
/// same, and so may blanks in a header.
fn decides(parts: &Parts, body: &[u8], in_query: bool) -> Vec<Vec<u8>> {
    let names: &[&str] = if in_query { &["host"] } else { &["host", "x-amz-target", "content-type", "x-amz-date"] };
    let words = |name: &&str| {
        let values = parts.headers.get_all(*name).iter().map(HeaderValue::as_bytes);
        let words = values.map(|value| value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()));
        words.map(|words| words.collect::<Vec<_>>().join(&b' ')).collect::<Vec<_>>().join(&b'\n')
    };
    let pairs = parts.uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let decoded = |text| percent_decode_str(text).collect::<Vec<u8>>();
    let mut pairs: Vec<_> = pairs.map(|(name, value)| [decoded(name), decoded(value)].join(&b'=')).collect();
    pairs.sort();
    let mut all: Vec<Vec<u8>> = names.iter().map(words).collect();
    all.extend([parts.method.as_str().into(), body.to_vec(), pairs.join(&b'&')]);
    // Elsewhere nothing is done.
    all.push(Protocol::of(parts.uri.path()).map_or_else(|| b"/".to_vec(), |_| parts.uri.path().into()));
    all
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((choice, data)) = data.split_first() else { return };
    let in_query = choice & 1 != 0;
    let (mut parts, mut body) = signed(in_query);
    let before = decides(&parts, body, in_query);
    let (head, behind) = match data.windows(2).position(|pair| pair == b"\n\n") {
        Some(at) => (&data[..at], Some(&data[at + 2..])),
        None => (data, None),
    };
    for line in head.split(|byte| *byte == b'\n') {
        let _ = change(&mut parts, line);
    }
    body = behind.unwrap_or(body);
    if VERIFIER.verify(&parts, body, NOW).is_ok() {
        assert_eq!(decides(&parts, body, in_query), before, "a changed request passed: {parts:?}");
    }
});
