//! AWS's published vectors, signatures made by botocore at a fixed time, and every way to fail.

use http::Request;
use proptest::prelude::*;

use super::*;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const SESSION: &str = "FwoGZXIvYXdzE//+token==";
/// 2026-11-24T06:00:00Z.
const NOW: Timestamp = Timestamp(1_795_500_000_000);
/// 2015-08-30T12:36:00Z, the time of the published vectors.
const THEN: Timestamp = Timestamp(1_440_938_160_000);

struct Two;

impl Credentials for Two {
    fn find(&self, access_key: &str) -> Option<Arc<Credential>> {
        let session_token = match access_key {
            "AKIDEXAMPLE" => None,
            "AKIDSESSION" => Some(Secret::new(SESSION)),
            _ => return None,
        };
        let principal = "arn:aws:iam::123456789012:user/ada".into();
        Some(Arc::new(Credential { secret: Secret::new(SECRET), session_token, principal }))
    }
}

fn verifier(service: &'static str) -> Verifier {
    Verifier::new(Arc::new(Two), service)
}

fn parts(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn authorization(key: &str, scope: &str, signed: &str, signature: &str) -> String {
    format!("AWS4-HMAC-SHA256 Credential={key}/{scope}/aws4_request, SignedHeaders={signed}, Signature={signature}")
}

/// A vector of AWS's published test suite (service `service`).
fn published(method: &str, uri: &str, headers: &[(&str, &str)], signed: &str, body: &str, signature: &str) {
    let auth = authorization("AKIDEXAMPLE", "20150830/us-east-1/service", signed, signature);
    let mut all = vec![("host", "example.amazonaws.com"), ("x-amz-date", "20150830T123600Z"), ("authorization", &auth)];
    all.extend_from_slice(headers);
    let identity = verifier("service").verify(&parts(method, uri, &all), body.as_bytes(), THEN);
    assert_eq!(identity.map(|identity| identity.region), Ok("us-east-1".into()), "{method} {uri}");
}

#[test]
fn the_published_suite() {
    let plain = "host;x-amz-date";
    published("GET", "/", &[], plain, "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
    published("POST", "/", &[], plain, "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b");
    published(
        "GET",
        "/?Param2=value2&Param1=value1",
        &[],
        plain,
        "",
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    );
    published(
        "POST",
        "/",
        &[("content-type", "application/x-www-form-urlencoded")],
        "content-type;host;x-amz-date",
        "Param1=value1",
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    );
}

#[test]
fn the_published_example_of_the_iam_service() {
    let signature = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7";
    let auth = authorization("AKIDEXAMPLE", "20150830/us-east-1/iam", "content-type;host;x-amz-date", signature);
    let headers = [
        ("host", "iam.amazonaws.com"),
        ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
        ("x-amz-date", "20150830T123600Z"),
        ("authorization", &auth),
    ];
    let parts = parts("GET", "/?Action=ListUsers&Version=2010-05-08", &headers);
    assert!(verifier("iam").verify(&parts, b"", THEN).is_ok());
}

#[test]
fn the_published_signing_key() {
    let key = signing_key(SECRET, "20150830", "us-east-1", "iam").unwrap();
    let published = "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9";
    let bytes: Vec<u8> = (0..32).map(|i| u8::from_str_radix(&published[2 * i..2 * i + 2], 16).unwrap()).collect();
    let same = keyed(&bytes).unwrap();
    assert_eq!(key.chain_update(b"x").finalize().into_bytes(), same.chain_update(b"x").finalize().into_bytes());
}

const TARGET: (&str, &str) = ("x-amz-target", "CodePipeline_20150709.StartPipelineExecution");
const TYPE: (&str, &str) = ("content-type", "application/x-amz-json-1.1");
const HOST: (&str, &str) = ("host", "127.0.0.1:7707");
const DATE: (&str, &str) = ("x-amz-date", "20261124T060000Z");
const SCOPE: &str = "20261124/eu-west-1/codepipeline";
const SIGNED: &str = "content-type;host;x-amz-date;x-amz-target";
const BODY: &[u8] = br#"{"name": "release"}"#;
const SIGNATURE: &str = "0134dc6d1c74d1a9c19208837ed09b0858d8993720e6871f89b710bd19e447e6";

fn botocore() -> String {
    authorization("AKIDEXAMPLE", SCOPE, SIGNED, SIGNATURE)
}

fn verify(auth: &str, body: &[u8], now: Timestamp) -> Result<Identity, AuthError> {
    let headers = [HOST, TARGET, TYPE, DATE, ("authorization", auth)];
    verifier("codepipeline").verify(&parts("POST", "/", &headers), body, now)
}

#[test]
fn a_call_signed_by_botocore() {
    let identity = verify(&botocore(), BODY, NOW).unwrap();
    assert_eq!(
        identity,
        Identity {
            access_key: "AKIDEXAMPLE".into(),
            principal: "arn:aws:iam::123456789012:user/ada".into(),
            region: "eu-west-1".into()
        }
    );
    // Without blanks after the commas, and headers that nobody signed, do no harm.
    assert!(verify(&botocore().replace(", ", ","), BODY, NOW).is_ok());
}

#[test]
fn a_call_signed_with_a_session_token_by_botocore() {
    let signed = "content-type;host;x-amz-date;x-amz-security-token;x-amz-target";
    let signature = "3a3dffd75c35a8d17502d92b76b7450e80d875ef28c658447b0ad383d1284d4e";
    let auth = authorization("AKIDSESSION", SCOPE, signed, signature);
    let body = "{\"name\": \"sch\u{f6}n\"}".as_bytes();
    let call = |token| {
        let headers = [HOST, TARGET, TYPE, DATE, ("x-amz-security-token", token), ("authorization", auth.as_str())];
        verifier("codepipeline").verify(&parts("POST", "/", &headers), body, NOW).map(|identity| identity.access_key)
    };
    assert_eq!(call(SESSION), Ok("AKIDSESSION".into()));
    assert_eq!(call("another"), Err(AuthError::UnknownKey));
    let without = parts("POST", "/", &[HOST, TARGET, TYPE, DATE, ("authorization", &auth)]);
    assert_eq!(verifier("codepipeline").verify(&without, body, NOW), Err(AuthError::UnknownKey));
}

#[test]
fn calls_presigned_by_botocore() {
    let query = "Action=x%20y%20z%2F%C3%A4&b=&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20261124\
                 %2Feu-west-1%2Fcodepipeline%2Faws4_request&X-Amz-Date=20261124T060000Z&X-Amz-Expires=60&\
                 X-Amz-SignedHeaders=host";
    let signature = "0f4c787a22af89406ba17f04a3df8a3373cd6932c7a760d1ef597b581e9df631";
    let get = |query: &str, now| {
        let uri = format!("/?{query}&X-Amz-Signature={signature}");
        verifier("codepipeline").verify(&parts("GET", &uri, &[HOST]), b"", now).map(|identity| identity.region)
    };
    assert_eq!(get(query, NOW), Ok("eu-west-1".into()));
    assert!(get(query, NOW.plus_millis(60_000)).is_ok());
    assert!(matches!(get(query, NOW.plus_millis(60_001)), Err(AuthError::Invalid(_))));
    assert_eq!(get(&query.replace("b=", "b=1"), NOW), Err(mismatch()));
    assert_eq!(get(&query.replace("Expires=60", "Expires=61"), NOW), Err(mismatch()));
    for wrong in ["Expires=0", "Expires=604801", "Expires=x", "Expires=-1", "X=1"] {
        assert!(matches!(get(&query.replace("Expires=60", wrong), NOW), Err(AuthError::Incomplete(_))), "{wrong}");
    }

    let with_session = "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDSESSION%2F20261124%2Feu-west-1%2F\
                        codepipeline%2Faws4_request&X-Amz-Date=20261124T060000Z&X-Amz-Expires=3600&X-Amz-SignedHeaders=\
                        content-type%3Bhost%3Bx-amz-target&X-Amz-Security-Token=FwoGZXIvYXdzE%2F%2F%2Btoken%3D%3D&\
                        X-Amz-Signature=abb18462908b6b1c70dc730eac30d41cf22bad1762885e7c249794dbd6530bf4";
    let post = |uri: &str, body: &[u8]| {
        verifier("codepipeline").verify(&parts("POST", uri, &[HOST, TARGET, TYPE]), body, NOW).map(|id| id.access_key)
    };
    // botocore moves the body of a presigned request into the query: what is signed has none.
    assert_eq!(post(with_session, b""), Ok("AKIDSESSION".into()));
    assert_eq!(post(with_session, b"{}"), Err(mismatch()));
    let twice = with_session.replace("/?", "/?X-Amz-Signature=00&");
    assert!(matches!(post(&twice, b""), Err(AuthError::Incomplete(_))));
}

#[test]
fn paths_queries_and_blanks_as_botocore_reads_them() {
    let signature = "eb1033c286c571aa25b4f7608b0ca3d2c03340ec1947e9226294b8cce0012343";
    let auth = authorization("AKIDEXAMPLE", SCOPE, "host;x-amz-custom;x-amz-date", signature);
    let headers = [HOST, DATE, ("x-amz-custom", "  a   b  "), ("authorization", &auth)];
    let parts = parts("GET", "/a%20b/../c/%C3%BC?z=1&a=%2F&a=", &headers);
    let claim = Claim::read(&parts).unwrap();
    let canonical = canonical::request(&parts, &claim, "hash").unwrap();
    // botocore encodes a raw path once and this server sees it encoded already: the path is checked by text.
    assert_eq!(
        canonical,
        "GET\n/c/%25C3%25BC\na=&a=%2F&z=1\nhost:127.0.0.1:7707\nx-amz-custom:a b\nx-amz-date:20261124T060000Z\n\n\
         host;x-amz-custom;x-amz-date\nhash"
    );
}

#[test]
fn canonical_paths() {
    let cases = [
        ("/", "/"),
        ("//", "/"),
        ("/./", "/"),
        ("/..", "/"),
        ("/a//b/", "/a/b/"),
        ("/a/./b", "/a/b"),
        ("/a/b/..", "/a/"),
        ("/-._~0", "/-._~0"),
        ("/a%20b", "/a%2520b"),
    ];
    for (path, expected) in cases {
        let parts = parts("GET", path, &[HOST, DATE]);
        let claim = Claim::read(&signed(&parts)).unwrap();
        let canonical = canonical::request(&parts, &claim, "").unwrap();
        assert_eq!(canonical.lines().nth(1), Some(expected), "{path}");
    }
}

fn signed(parts: &Parts) -> Parts {
    let mut parts = parts.clone();
    let auth = authorization("AKIDEXAMPLE", SCOPE, "host;x-amz-date", SIGNATURE);
    parts.headers.insert("authorization", auth.parse().unwrap());
    parts
}

#[test]
fn repeated_headers_are_joined() {
    let mut parts = parts("GET", "/", &[HOST, DATE, ("x-many", "b"), ("x-many", "a")]);
    let auth = authorization("AKIDEXAMPLE", SCOPE, "host;x-amz-date;x-many", SIGNATURE);
    parts.headers.insert("authorization", auth.parse().unwrap());
    let canonical = canonical::request(&parts, &Claim::read(&parts).unwrap(), "").unwrap();
    assert!(canonical.contains("\nx-many:b,a\n"), "{canonical}");
}

#[test]
fn whatever_was_signed_cannot_be_changed() {
    assert_eq!(verify(&botocore(), b"{}", NOW), Err(mismatch()));
    let changed = |headers: &[(&str, &str)], method: &str, uri: &str| {
        let auth = botocore();
        let mut all = headers.to_vec();
        all.push(("authorization", &auth));
        verifier("codepipeline").verify(&parts(method, uri, &all), BODY, NOW)
    };
    assert!(changed(&[HOST, TARGET, TYPE, DATE], "POST", "/").is_ok());
    assert_eq!(changed(&[HOST, TARGET, TYPE, DATE], "PUT", "/"), Err(mismatch()));
    assert_eq!(changed(&[HOST, TARGET, TYPE, DATE], "POST", "/x"), Err(mismatch()));
    assert_eq!(changed(&[HOST, TARGET, TYPE, DATE], "POST", "/?a=1"), Err(mismatch()));
    assert_eq!(changed(&[("host", "evil"), TARGET, TYPE, DATE], "POST", "/"), Err(mismatch()));
    let other = ("x-amz-target", "CodePipeline_20150709.DeletePipeline");
    assert_eq!(changed(&[HOST, other, TYPE, DATE], "POST", "/"), Err(mismatch()));
    assert_eq!(changed(&[HOST, TARGET, TARGET, TYPE, DATE], "POST", "/"), Err(mismatch()));
    let missing = changed(&[HOST, TARGET, DATE], "POST", "/");
    assert!(matches!(missing, Err(AuthError::Incomplete(_))), "{missing:?}");
    // Each half of the signature counts.
    for at in [0, 31, 63] {
        let mut wrong = SIGNATURE.to_owned();
        wrong.replace_range(at..=at, if &wrong[at..=at] == "0" { "1" } else { "0" });
        assert_eq!(verify(&authorization("AKIDEXAMPLE", SCOPE, SIGNED, &wrong), BODY, NOW), Err(mismatch()));
    }
}

#[test]
fn what_decides_must_be_signed() {
    for left_out in ["host", "x-amz-date", "x-amz-target"] {
        let signed: Vec<&str> = SIGNED.split(';').filter(|name| *name != left_out).collect();
        let error = verify(&authorization("AKIDEXAMPLE", SCOPE, &signed.join(";"), SIGNATURE), BODY, NOW).unwrap_err();
        assert!(error.to_string().to_lowercase().contains(&format!("'{left_out}' must be a signed header")), "{error}");
    }
}

#[test]
fn a_stated_hash_must_be_the_bodys() {
    let headers = [HOST, TARGET, TYPE, DATE, ("x-amz-content-sha256", "UNSIGNED-PAYLOAD")];
    let signed = "content-type;host;x-amz-content-sha256;x-amz-date;x-amz-target";
    let auth = authorization("AKIDEXAMPLE", SCOPE, signed, SIGNATURE);
    let mut all = headers.to_vec();
    all.push(("authorization", &auth));
    let error = verifier("codepipeline").verify(&parts("POST", "/", &all), BODY, NOW).unwrap_err();
    assert!(error.to_string().contains("not the hash of the body"), "{error}");
}

#[test]
fn clocks_may_differ_by_five_minutes() {
    for millis in [-300_000, 0, 300_000] {
        assert!(verify(&botocore(), BODY, NOW.plus_millis(millis)).is_ok(), "{millis}");
    }
    let early = verify(&botocore(), BODY, NOW.plus_millis(-300_001)).unwrap_err().to_string();
    assert!(early.starts_with("Signature not yet current: 20261124T060000Z is still later than 2026112"), "{early}");
    let late = verify(&botocore(), BODY, NOW.plus_millis(300_001)).unwrap_err().to_string();
    assert!(late.starts_with("Signature expired: 20261124T060000Z is now earlier than 20261124T06"), "{late}");
}

#[test]
fn scopes_are_checked() {
    let call = |scope: &str| verify(&authorization("AKIDEXAMPLE", scope, SIGNED, SIGNATURE), BODY, NOW).unwrap_err();
    assert!(call("20261124/eu-west-1/s3").to_string().contains("correct service: 'codepipeline'"));
    assert!(call("20261123/eu-west-1/codepipeline").to_string().contains("Date in Credential scope"));
    assert_eq!(call("20261124/eu-west-2/codepipeline"), mismatch());
    for wrong in ["20261124/codepipeline", "20261124//codepipeline", "20261124/eu west/codepipeline", "/a/b/c/d"] {
        assert!(matches!(call(wrong), AuthError::Incomplete(_)), "{wrong}");
    }
}

#[test]
fn missing_unknown_and_unreadable_signatures_have_their_own_names() {
    let code = |auth: Option<&str>| {
        let mut headers = vec![HOST, TARGET, TYPE, DATE];
        headers.extend(auth.map(|auth| ("authorization", auth)));
        let error = verifier("codepipeline").verify(&parts("POST", "/", &headers), BODY, NOW).unwrap_err();
        ApiError::from(error).code
    };
    assert_eq!(code(None), "MissingAuthenticationTokenException");
    assert_eq!(code(Some("Basic eA==")), "IncompleteSignatureException");
    assert_eq!(code(Some("AWS4-HMAC-SHA256")), "IncompleteSignatureException");
    assert_eq!(code(Some("AWS4-HMAC-SHA256 Credential=a")), "IncompleteSignatureException");
    assert_eq!(code(Some(&format!("{}, Signature=00", botocore()))), "IncompleteSignatureException");
    assert_eq!(code(Some(&botocore().replace(SIGNATURE, &SIGNATURE.to_uppercase()))), "IncompleteSignatureException");
    assert_eq!(
        code(Some(&botocore().replace(";host", "").replace("type;", "type;host;host;"))),
        "IncompleteSignatureException"
    );
    let unknown = authorization("AKIDOTHER", SCOPE, SIGNED, SIGNATURE);
    assert_eq!(code(Some(&unknown)), "UnrecognizedClientException");
    assert_eq!(code(Some(&botocore().replace("0134dc", "1134dc"))), "InvalidSignatureException");
}

#[test]
fn two_signatures_are_none() {
    let auth = botocore();
    let headers = [HOST, TARGET, TYPE, DATE, ("authorization", &auth), ("authorization", &auth)];
    let result = verifier("codepipeline").verify(&parts("POST", "/", &headers), BODY, NOW);
    assert!(matches!(result, Err(AuthError::Incomplete(_))));
    let headers = [HOST, TARGET, TYPE, DATE, ("authorization", &auth)];
    let result = verifier("codepipeline").verify(&parts("POST", "/?X-Amz-Signature=00", &headers), BODY, NOW);
    assert!(matches!(result, Err(AuthError::Incomplete(_))));
}

#[test]
fn only_keys_of_signatures_that_held_are_cached() {
    let verifier = verifier("codepipeline");
    let check = |auth: &str| {
        let headers = [HOST, TARGET, TYPE, DATE, ("authorization", auth)];
        verifier.verify(&parts("POST", "/", &headers), BODY, NOW).is_ok()
    };
    assert!(!check(&botocore().replace("0134dc", "1134dc")));
    assert_eq!(verifier.keys.lock().unwrap().len(), 0);
    assert!(check(&botocore()) && check(&botocore()));
    assert_eq!(verifier.keys.lock().unwrap().len(), 1);
    assert!(!check(&botocore().replace("0134dc", "1134dc")));
}

#[test]
fn a_date_header_stands_in_if_it_is_rfc_2822() {
    let auth = authorization("AKIDEXAMPLE", SCOPE, "date;host", SIGNATURE);
    let claim = |date| Claim::read(&parts("GET", "/", &[HOST, ("date", date), ("authorization", &auth)]));
    assert_eq!(claim("Tue, 24 Nov 2026 06:00:00 GMT").unwrap().timestamp, "20261124T060000Z");
    assert!(claim("yesterday").is_err());
}

#[test]
fn secrets_are_not_shown() {
    let shown = format!("{:?}", Two.find("AKIDSESSION").unwrap());
    assert!(!shown.contains(SECRET) && !shown.contains(SESSION), "{shown}");
}

proptest! {
    #[test]
    fn no_header_panics(auth in "\\PC*", date in "\\PC{0,20}", uri in "/[ -~]{0,60}") {
        let request = Request::builder().uri(uri).header("host", "h")
            .header("authorization", auth.as_bytes()).header("x-amz-date", date.as_bytes());
        if let Ok(request) = request.body(()) {
            let result = verifier("codepipeline").verify(&request.into_parts().0, b"", NOW);
            prop_assert!(result.is_err());
        }
    }

    #[test]
    fn nothing_near_a_signature_panics_or_passes(field in 0..5_usize, text in "[ -~]{0,80}") {
        let mut fields = ["AKIDEXAMPLE", SCOPE, SIGNED, SIGNATURE, "20261124T060000Z"].map(str::to_owned);
        let before = fields[field].clone();
        fields[field] = text;
        let auth = authorization(&fields[0], &fields[1], &fields[2], &fields[3]);
        let request = Request::builder().method("POST").uri("/").header("host", HOST.1).header(TARGET.0, TARGET.1)
            .header(TYPE.0, TYPE.1).header("authorization", auth).header("x-amz-date", &fields[4]);
        let result = verifier("codepipeline").verify(&request.body(()).unwrap().into_parts().0, BODY, NOW);
        prop_assert_eq!(result.is_ok(), before == fields[field]);
    }
}
