use std::sync::{Arc, Mutex};

use control::ports::ActionRunner as _;
use engine::SourceOverride;

use super::*;
use crate::testing::{self, Asked, FakeAws, Fixed};

const SETTINGS: [(&str, &str); 2] = [("S3Bucket", "src"), ("S3ObjectKey", "app.zip")];

fn request() -> ActionRequest {
    let mut request = testing::request("Source", "S3", &SETTINGS);
    request.action.outputs = vec![testing::artifact("Out", "pipe/Out/abcdefg")];
    request
}

fn asked_for(kind: SourceRevisionType, value: &str) -> Option<SourceOverride> {
    Some(SourceOverride { action: "Act".into(), kind, value: value.into() })
}

#[test]
fn what_is_wanted_is_told_by_override_event_or_configuration() {
    let mut request = request();
    let plain = Wanted { bucket: "src".into(), key: "app.zip".into(), version: None };
    assert_eq!(wanted(&request), Ok(plain.clone()));
    request.pushed_commit = Some("v-event".into());
    assert_eq!(wanted(&request), Ok(Wanted { version: Some("v-event".into()), ..plain.clone() }));
    request.source_override = asked_for(SourceRevisionType::S3ObjectVersionId, "v-asked");
    assert_eq!(wanted(&request), Ok(Wanted { version: Some("v-asked".into()), ..plain.clone() }));
    request.source_override = asked_for(SourceRevisionType::S3ObjectKey, "other.zip");
    let Err(Fault::Ends { code, message }) = wanted(&request) else { panic!() };
    assert_eq!(code, "ConfigurationError");
    assert!(message.contains("configuration.AllowOverrideForS3ObjectKey"), "{message}");
    request.declaration.configuration.insert("AllowOverrideForS3ObjectKey".into(), "true".into());
    assert_eq!(wanted(&request), Ok(Wanted { key: "other.zip".into(), ..plain }));
    request.source_override = asked_for(SourceRevisionType::CommitId, "abc");
    assert!(wanted(&request).is_err());
}

/// S3 with one object.
fn s3(version: Option<&'static str>, copied: &'static str) -> FakeAws {
    FakeAws::with(move |asked: &Asked| {
        let mut headers = vec![
            ("etag".to_owned(), "\"e1\"".to_owned()),
            ("content-length".to_owned(), "178".to_owned()),
            ("last-modified".to_owned(), "Tue, 24 Nov 2026 00:00:00 GMT".to_owned()),
            ("x-amz-meta-codepipeline-artifact-revision-summary".to_owned(), "the summary".to_owned()),
        ];
        headers.extend(version.map(|id| ("x-amz-version-id".to_owned(), id.to_owned())));
        match asked.method.as_str() {
            "HEAD" => Some((200, headers, Vec::new())),
            _ => Some((200, Vec::new(), copied.as_bytes().to_vec())),
        }
    })
}

#[tokio::test]
async fn the_version_that_is_there_is_brought() {
    let copied = "<CopyObjectResult><ETag>e</ETag><ChecksumSHA256>/////w==</ChecksumSHA256></CopyObjectResult>";
    let fake = s3(Some("v 1"), copied);
    let request = ActionRequest { encryption_key: Some("key-1".into()), ..request() };
    let outcome = testing::outcome(fake.runner(Fixed::at("2026-11-24T00:00:00Z")).start(request).await);
    assert_eq!(outcome.error, None);
    let variables = [("BucketName", "src"), ("ETag", "e1"), ("ObjectKey", "app.zip"), ("VersionId", "v 1")];
    let variables: StringMap = variables.map(|(key, value)| (key.into(), value.into())).into();
    assert_eq!(outcome.variables, variables);
    let revision = outcome.revision.unwrap();
    assert_eq!((revision.revision_id.as_str(), revision.summary.as_deref()), ("v 1", Some("the summary")));
    assert_eq!(revision.created, Some(testing::time("2026-11-24T00:00:00Z")));
    let output = &outcome.outputs[0];
    assert_eq!((output.digest.as_deref(), output.size), (Some("ffffffff"), Some(178)));
    let put = &fake.requests()[1];
    assert_eq!(put.header("x-amz-copy-source"), "src/app.zip?versionId=v 1");
    assert_eq!(put.header("x-amz-copy-source-if-match"), "\"e1\"");
    assert_eq!(put.header("x-amz-server-side-encryption-aws-kms-key-id"), "key-1");
    assert!(put.uri.contains("pipe/Out/abcdefg"), "{}", put.uri);
}

#[tokio::test]
async fn a_bucket_without_versions_is_pinned_by_the_etag() {
    let fake = s3(None, "<CopyObjectResult><ETag>e</ETag></CopyObjectResult>");
    let outcome = testing::outcome(fake.runner(Fixed::at("2026-11-24T00:00:00Z")).start(request()).await);
    assert_eq!(outcome.external_id.as_deref(), Some("e1"));
    assert_eq!(outcome.variables["VersionId"], "null");
    assert_eq!(outcome.outputs[0].digest, None);
}

#[tokio::test]
async fn an_object_in_another_region_is_looked_at_there_and_copied_from_here() {
    let fake = FakeAws::with(|asked: &Asked| match (asked.method.as_str(), asked.uri.contains("eu-west-1")) {
        ("HEAD", false) => Some((301, vec![("x-amz-bucket-region".into(), "eu-west-1".into())], Vec::new())),
        ("HEAD", true) => Some((200, vec![("x-amz-version-id".into(), "v1".into())], Vec::new())),
        _ => Some((200, Vec::new(), b"<CopyObjectResult><ETag>e</ETag></CopyObjectResult>".to_vec())),
    });
    let outcome = testing::outcome(fake.runner(Fixed::at("2026-11-24T00:00:00Z")).start(request()).await);
    assert_eq!((outcome.error, outcome.external_id.as_deref()), (None, Some("v1")));
    let asked = fake.requests();
    assert!(asked[2].uri.starts_with("https://store.s3.us-east-1.amazonaws.com/"), "{}", asked[2].uri);
}

#[tokio::test]
async fn a_copy_that_is_denied_names_the_store() {
    let fake = FakeAws::with(|asked: &Asked| match asked.method.as_str() {
        "HEAD" => Some((200, Vec::new(), Vec::new())),
        _ => Some((
            403,
            Vec::new(),
            b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>".to_vec(),
        )),
    });
    let (code, message) = testing::error(fake.runner(Fixed::at("2026-11-24T00:00:00Z")).start(request()).await);
    assert_eq!(code, "PermissionError");
    assert!(message.ends_with("\"Resource\":\"arn:aws:s3:::store/pipe/Out/abcdefg\"}"), "{message}");
}

#[tokio::test]
async fn a_second_driver_brings_the_same_object_to_the_same_key() {
    let fake = s3(Some("v1"), "<CopyObjectResult><ETag>e</ETag></CopyObjectResult>");
    let runner = fake.runner(Fixed::at("2026-11-24T00:00:00Z"));
    let mut request = request();
    let first = testing::outcome(runner.start(request.clone()).await);
    request.action.drive = 2;
    assert_eq!(testing::outcome(runner.start(request).await), first);
    let places: Vec<String> = fake.requests().into_iter().filter(|a| a.method == "PUT").map(|a| a.uri).collect();
    assert_eq!(places[0], places[1]);
}

#[tokio::test]
async fn what_is_gone_is_a_revision_that_is_not_available() {
    let asked = Arc::new(Mutex::new(0));
    let counted = asked.clone();
    let fake = FakeAws::new(move |_| {
        *counted.lock().unwrap() += 1;
        (404, String::new())
    });
    let request = ActionRequest { pushed_commit: Some("v9".into()), ..request() };
    let (code, message) = testing::error(fake.runner(Fixed::at("2026-11-24T00:00:00Z")).start(request).await);
    assert_eq!(
        (code.as_str(), message.as_str()),
        ("RevisionUnavailable", "s3://src/app.zip has no version v9 (any more)")
    );
    assert_eq!(*asked.lock().unwrap(), 1);
}

#[tokio::test]
async fn a_source_that_may_not_be_read_says_so() {
    let fake = FakeAws::new(|_| (403, String::new()));
    let (code, message) = testing::error(fake.runner(Fixed::at("2026-11-24T00:00:00Z")).start(request()).await);
    assert_eq!(code, "PermissionError");
    assert!(message.contains("may not s3:GetObject on arn:aws:s3:::src/app.zip;"), "{message}");
}
