use std::io::{Cursor, Write as _};

use control::ports::ActionRunner as _;

use super::*;
use crate::testing::{self, Asked, FakeAws, Fixed};

fn request(settings: &[(&str, &str)]) -> ActionRequest {
    let mut request = testing::request("Deploy", "S3", settings);
    request.action.inputs = vec![testing::artifact("In", "pipe/In/1")];
    request
}

#[test]
fn settings_are_understood() {
    let request = request(&[
        ("BucketName", "site"),
        ("Extract", "true"),
        ("ObjectKey", "/v/{uuid}/{datetime}/"),
        ("KMSEncryptionKeyARN", "key"),
        ("CannedACL", "public-read"),
        ("CacheControl", "public, max-age=0"),
    ]);
    let expected = Deploy {
        bucket: "site".into(),
        extract: true,
        key: format!("v/{}/2026-11-24_00-00-00", testing::ACTION_ID),
        storing: Storing {
            kms_key: Some("key".into()),
            canned_acl: Some("public-read".into()),
            cache_control: Some("public, max-age=0".into()),
            ..Storing::default()
        },
    };
    assert_eq!(deploy(&request), Ok(expected));
}

#[test]
fn settings_that_make_no_sense_name_the_key() {
    for (key, settings) in [
        ("BucketName", vec![("Extract", "true")]),
        ("Extract", vec![("BucketName", "b")]),
        ("Extract", vec![("BucketName", "b"), ("Extract", "yes")]),
        ("ObjectKey", vec![("BucketName", "b"), ("Extract", "false")]),
        ("ObjectKey", vec![("BucketName", "b"), ("Extract", "true"), ("ObjectKey", "a/../../b")]),
        ("ObjectKey", vec![("BucketName", "b"), ("Extract", "false"), ("ObjectKey", "/")]),
        ("CannedACL", vec![("BucketName", "b"), ("Extract", "true"), ("CannedACL", "everybody")]),
    ] {
        let Err(Fault::Ends { code, message }) = deploy(&request(&settings)) else { panic!("{settings:?}") };
        assert_eq!(code, "ConfigurationError");
        assert!(message.starts_with(&format!("action Act: configuration.{key}: ")), "{message}");
    }
}

fn zip(files: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(content.as_bytes()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// S3 with this artifact.
fn s3(artifact: Vec<u8>) -> FakeAws {
    FakeAws::with(move |asked: &Asked| match asked.method.as_str() {
        "GET" => Some((200, Vec::new(), artifact.clone())),
        "HEAD" => {
            let headers = [("etag", "\"e\""), ("content-length", "9"), ("x-amz-version-id", "v1")];
            Some((200, headers.map(|(key, value)| (key.into(), value.into())).into(), Vec::new()))
        }
        _ => Some((200, Vec::new(), b"<CopyObjectResult><ETag>e</ETag></CopyObjectResult>".to_vec())),
    })
}

fn put(fake: &FakeAws) -> Vec<Asked> {
    let mut put: Vec<Asked> = fake.requests().into_iter().filter(|asked| asked.method == "PUT").collect();
    put.sort_by(|one, other| one.uri.cmp(&other.uri));
    put
}

const NOW: &str = "2026-11-24T00:00:10Z";

#[tokio::test]
async fn each_file_becomes_an_object_of_its_type() {
    let fake = s3(zip(&[("index.html", "<p>"), ("css/a.css", "p{}"), ("data", "?")]));
    let settings = [
        ("BucketName", "site"),
        ("Extract", "true"),
        ("ObjectKey", "web"),
        ("CacheControl", "no-store"),
        ("CannedACL", "private"),
    ];
    let outcome = testing::outcome(fake.runner(Fixed::at(NOW)).start(request(&settings)).await);
    assert_eq!(outcome.error, None);
    assert_eq!(outcome.summary.as_deref(), Some("3 files to s3://site/web"));
    let put = put(&fake);
    let seen: Vec<_> = put.iter().map(|asked| (asked.uri.as_str(), asked.header("content-type"))).collect();
    assert_eq!(
        seen,
        [
            ("https://site.s3.us-east-1.amazonaws.com/web/css/a.css?x-id=PutObject", "text/css"),
            ("https://site.s3.us-east-1.amazonaws.com/web/data?x-id=PutObject", "application/octet-stream"),
            ("https://site.s3.us-east-1.amazonaws.com/web/index.html?x-id=PutObject", "text/html"),
        ]
    );
    assert_eq!((put[0].header("cache-control"), put[0].header("x-amz-acl")), ("no-store", "private"));
}

#[tokio::test]
async fn an_artifact_that_leads_out_changes_nothing() {
    let fake = s3(zip(&[("fine.html", "1"), ("../../secret", "2")]));
    let settings = [("BucketName", "site"), ("Extract", "true")];
    let (code, message) = testing::error(fake.runner(Fixed::at(NOW)).start(request(&settings)).await);
    assert_eq!(code, "JobFailed");
    assert!(message.contains("`../../secret` has `..` in its path"), "{message}");
    assert!(put(&fake).is_empty());
}

#[tokio::test]
async fn an_artifact_is_copied_as_it_is() {
    let fake = s3(Vec::new());
    let settings = [
        ("BucketName", "site"),
        ("Extract", "false"),
        ("ObjectKey", "releases/app-{datetime}.zip"),
        ("KMSEncryptionKeyARN", "key-2"),
    ];
    let outcome = testing::outcome(fake.runner(Fixed::at(NOW)).start(request(&settings)).await);
    assert_eq!(outcome.error, None);
    let put = put(&fake);
    assert!(put[0].uri.contains("/releases/app-2026-11-24_00-00-00.zip"), "{}", put[0].uri);
    assert_eq!(put[0].header("x-amz-copy-source"), "store/pipe/In/1?versionId=v1");
    assert_eq!(put[0].header("content-type"), "application/zip");
    assert_eq!(put[0].header("x-amz-server-side-encryption-aws-kms-key-id"), "key-2");
}

#[tokio::test]
async fn a_second_driver_puts_the_same_objects() {
    let fake = s3(zip(&[("a", "1")]));
    let runner = fake.runner(Fixed::at(NOW));
    let settings = [("BucketName", "site"), ("Extract", "true"), ("ObjectKey", "{datetime}-{uuid}")];
    let mut request = request(&settings);
    testing::outcome(runner.start(request.clone()).await);
    request.action.drive = 2;
    testing::outcome(runner.start(request).await);
    let put = put(&fake);
    assert_eq!((put.len(), &put[0].uri), (2, &put[1].uri));
}
