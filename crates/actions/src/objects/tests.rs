use super::*;
use crate::testing::{Asked, FakeAws, Reply};

const MIB: u64 = 1024 * 1024;

fn version(size: u64) -> Version {
    Version { bucket: "b".into(), key: "a dir/ü+1.zip".into(), version: Some("v.1".into()), etag: None, size }
}

fn objects(config: &SdkConfig) -> Objects {
    Objects::new(config, "arn:aws:iam::1:role/r")
}

/// A file that takes no place.
fn file(size: u64) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(size).unwrap();
    file
}

/// What of an upload in parts, or of another call, a request is.
fn step(asked: &Asked) -> &'static str {
    let (has, method) = (|part: &str| asked.uri.contains(part), asked.method.as_str());
    match (method, has("uploads"), has("partNumber="), has("uploadId=")) {
        ("POST", true, ..) => "create",
        ("PUT", _, true, _) => "part",
        ("POST", _, _, true) => "complete",
        ("DELETE", ..) => "abort",
        ("PUT", ..) => "put",
        _ => "other",
    }
}

/// What S3 answers to it.
fn answer(asked: &Asked) -> Option<Reply> {
    let is_copy = !asked.header("x-amz-copy-source").is_empty();
    let body = match step(asked) {
        "create" => "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>",
        "part" if is_copy => "<CopyPartResult><ETag>e</ETag></CopyPartResult>",
        "complete" => "<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>",
        "put" if is_copy => "<CopyObjectResult><ETag>e</ETag></CopyObjectResult>",
        _ => "",
    };
    Some((200, vec![("etag".into(), "e".into())], body.into()))
}

fn steps(fake: &FakeAws) -> Vec<&'static str> {
    fake.requests().iter().map(step).collect()
}

#[test]
fn copies_name_their_source_escaped() {
    let mut from = version(1);
    assert_eq!(source(&from), "b/a%20dir/%C3%BC%2B1.zip?versionId=v.1");
    from.version = None;
    assert_eq!(source(&from), "b/a%20dir/%C3%BC%2B1.zip");
}

#[tokio::test(start_paused = true)]
async fn what_moves_a_lot_may_take_longer_than_other_calls() {
    let fake = FakeAws::with(answer).after(|asked: &Asked| match step(asked) {
        "create" => Duration::ZERO,
        _ => Duration::from_secs(100),
    });
    // As of a function.
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(5)).build();
    let config = fake.retrying_config().into_builder().timeout_config(timeouts).build();
    let (objects, storing) = (objects(&config), Storing::default());
    assert_eq!(objects.copy(&version(MIB), "to", "k", &storing).await, Ok(None));
    assert_eq!(objects.put("to", "k", ByteStream::from_static(b"1"), &storing).await, Ok(()));
    assert_eq!(objects.put_file("to", "k", file(MIB).path(), &storing).await, Ok(()));
    assert_eq!(steps(&fake), ["put"; 3], "no attempt is given up");
    assert_eq!(objects.put_file("to", "k", file(65 * MIB).path(), &storing).await, Ok(()));
    assert_eq!(steps(&fake)[3..], ["create", "part", "part", "complete"]);
    assert_eq!(objects.copy(&version(MAX_COPY_BYTES + 1), "to", "k", &storing).await, Ok(None));
    assert_eq!(fake.requests().len(), 7 + 83);
    // What only asks is not waited for so long.
    assert!(matches!(objects.head("to", "k", None).await, Err(Fault::Unknown(_))));
}

#[tokio::test]
async fn a_large_file_is_sent_in_parts() {
    let fake = FakeAws::with(answer);
    let storing =
        Storing { metadata: vec![("k".into(), "v".into())], kms_key: Some("key".into()), ..Storing::default() };
    let sent = objects(&fake.config()).put_file("to", "k", file(65 * MIB).path(), &storing).await;
    assert_eq!((sent, steps(&fake)), (Ok(()), vec!["create", "part", "part", "complete"]));
    let asked = fake.requests();
    assert_eq!(asked[0].header("x-amz-meta-k"), "v");
    assert_eq!(asked[0].header("x-amz-server-side-encryption-aws-kms-key-id"), "key");
    let lengths: Vec<_> = asked[1..3].iter().map(|part| part.header("x-amz-decoded-content-length")).collect();
    assert_eq!(lengths, ["67108864", "1048576"]);
    let parts = "<Part><ETag>e</ETag><PartNumber>2</PartNumber></Part></CompleteMultipartUpload>";
    assert!(asked[3].body.ends_with(parts), "{}", asked[3].body);
}

#[tokio::test]
async fn the_largest_objects_are_copied_in_parts() {
    let fake = FakeAws::with(answer);
    let from = version(MAX_COPY_BYTES + 1);
    assert_eq!(objects(&fake.config()).copy(&from, "to", "k", &Storing::default()).await, Ok(None));
    let steps = steps(&fake);
    assert_eq!((steps.len(), steps[0], steps[81], steps[82]), (83, "create", "part", "complete"));
    assert_eq!(fake.requests()[1].header("x-amz-copy-source-range"), "bytes=0-67108863");
}

#[tokio::test]
async fn parts_of_an_object_that_fails_are_given_up() {
    let fake = FakeAws::with(|asked: &Asked| match step(asked) {
        "create" | "abort" => answer(asked),
        _ => Some((403, Vec::new(), b"<Error><Code>AccessDenied</Code></Error>".to_vec())),
    });
    let sent = objects(&fake.config()).put_file("to", "k", file(65 * MIB).path(), &Storing::default()).await;
    assert!(matches!(sent, Err(Fault::Ends { code: "PermissionError", .. })), "{sent:?}");
    assert_eq!(steps(&fake).last(), Some(&"abort"));
}

#[tokio::test]
async fn a_bucket_is_written_to_in_its_own_region() {
    let there = |asked: &Asked| asked.uri.contains("eu-west-1");
    let fake = FakeAws::with(move |asked: &Asked| match there(asked) {
        false => Some((301, vec![("x-amz-bucket-region".into(), "eu-west-1".into())], Vec::new())),
        true => answer(asked),
    });
    let (objects, storing) = (objects(&fake.config()), Storing::default());
    assert_eq!(objects.copy(&version(MIB), "to", "k", &storing).await, Ok(None));
    assert_eq!(objects.put("to", "k", ByteStream::from_static(b"1"), &storing).await, Ok(()));
    assert_eq!(objects.put_file("to", "k", file(65 * MIB).path(), &storing).await, Ok(()));
    let seen: Vec<_> = fake.requests().iter().map(|asked| (there(asked), step(asked))).collect();
    let expected = [
        (false, "put"),
        (true, "put"),
        (false, "put"),
        (true, "put"),
        (false, "create"),
        (true, "create"),
        (true, "part"),
        (true, "part"),
        (true, "complete"),
    ];
    assert_eq!(seen, expected);
    assert_eq!(fake.requests()[3].body, fake.requests()[2].body);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_does_not_fit_into_the_temporary_storage_is_not_fetched_again() {
    let fake = FakeAws::with(|_| Some((200, Vec::new(), b"1".to_vec())));
    let artifact = crate::testing::artifact("In", "k");
    let fetched = objects(&fake.config()).fetch(&artifact, Path::new("/dev/full")).await;
    let Err(Fault::Ends { code, message }) = fetched else { panic!("{fetched:?}") };
    assert_eq!(code, "JobFailed");
    assert!(message.contains("does not fit into the function's temporary storage"), "{message}");
}
