//! S3: an object is brought, its files are deployed.

use std::io::{Cursor, Write as _};

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};

use crate::setup::{artifact, config, request, run, runner, s3, unique};

fn zip(files: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(content.as_bytes()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

async fn bucket(s3: &Client) -> String {
    let name = unique("b");
    s3.create_bucket().bucket(&name).send().await.unwrap();
    name
}

async fn text(s3: &Client, bucket: &str, key: &str) -> String {
    let got = s3.get_object().bucket(bucket).key(key).send().await.unwrap();
    String::from_utf8(got.body.collect().await.unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn the_version_of_the_event_is_brought_although_a_newer_one_is_there() {
    let Some(config) = config() else { return };
    let s3 = s3(&config);
    let (source, store) = (bucket(&s3).await, bucket(&s3).await);
    let versioned = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    s3.put_bucket_versioning().bucket(&source).versioning_configuration(versioned).send().await.unwrap();
    let key = "a dir/ü+1.zip";
    let mut versions = Vec::new();
    for content in ["one", "two"] {
        let put = s3.put_object().bucket(&source).key(key).body(ByteStream::from_static(content.as_bytes()));
        versions.push(put.send().await.unwrap().version_id().unwrap().to_owned());
    }
    for (pushed, expected) in [(Some(versions[0].clone()), "one"), (None, "two")] {
        let mut request = request("Source", "S3", &[("S3Bucket", &source), ("S3ObjectKey", key)]);
        request.action.outputs = vec![artifact(&store, "Out")];
        request.pushed_commit = pushed;
        let outcome = run(&runner(&config), request).await;
        assert_eq!(outcome.error, None);
        let made = &outcome.outputs[0];
        assert_eq!(text(&s3, &made.bucket, &made.key).await, expected);
        assert!(versions.contains(&outcome.variables["VersionId"]));
    }
    let settings = [("S3Bucket", source.as_str()), ("S3ObjectKey", "missing.zip")];
    let mut request = request("Source", "S3", &settings);
    request.action.outputs = vec![artifact(&store, "Out")];
    assert_eq!(run(&runner(&config), request).await.error.unwrap().code, "RevisionUnavailable");
}

#[tokio::test]
async fn files_are_deployed_with_their_types() {
    let Some(config) = config() else { return };
    let s3 = s3(&config);
    let (store, site) = (bucket(&s3).await, bucket(&s3).await);
    let input = artifact(&store, "In");
    let large = "x".repeat(9 * 1024 * 1024);
    let packed = zip(&[("index.html", "<p>"), ("css/a.css", "p{}"), ("large.bin", &large)]);
    s3.put_object().bucket(&store).key(&input.key).body(packed.clone().into()).send().await.unwrap();
    let settings =
        [("BucketName", site.as_str()), ("Extract", "true"), ("ObjectKey", "v1"), ("CacheControl", "no-store")];
    let mut deploy = request("Deploy", "S3", &settings);
    deploy.action.inputs = vec![input.clone()];
    assert_eq!(run(&runner(&config), deploy).await.error, None);
    assert_eq!(text(&s3, &site, "v1/index.html").await, "<p>");
    let head = s3.head_object().bucket(&site).key("v1/css/a.css").send().await.unwrap();
    assert_eq!((head.content_type(), head.cache_control()), (Some("text/css"), Some("no-store")));
    assert_eq!(text(&s3, &site, "v1/large.bin").await.len(), large.len());

    let settings = [("BucketName", site.as_str()), ("Extract", "false"), ("ObjectKey", "app.zip")];
    let mut deploy = request("Deploy", "S3", &settings);
    deploy.action.inputs = vec![input];
    assert_eq!(run(&runner(&config), deploy).await.error, None);
    let copied = s3.get_object().bucket(&site).key("app.zip").send().await.unwrap();
    assert_eq!(copied.body.collect().await.unwrap().to_vec(), packed);
}
