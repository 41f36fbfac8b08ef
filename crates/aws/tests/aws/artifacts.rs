//! Artifacts: the contract, and buckets elsewhere, broken downloads, uploads that fail half-way.

use aws::S3Artifacts;
use aws_sdk_s3::Client;
use control::expiring::ArtifactMarks;
use control::ports::{Artifacts, PortError};

use crate::front::{Fate, Front};
use crate::support::{Emulator, config, unique};

const MIB: usize = 1024 * 1024;

async fn bucket(url: &str) -> String {
    let builder = aws_sdk_s3::config::Builder::from(&config(url).await).force_path_style(true);
    let name = unique("artifacts");
    Client::from_conf(builder.build()).create_bucket().bucket(&name).send().await.unwrap();
    name
}

/// A store whose requests to MiniStack are watched.
struct Fronted {
    bucket: String,
    front: Front,
    store: S3Artifacts,
    scratch: tempfile::TempDir,
}

/// None where MiniStack was not started.
async fn fronted() -> Option<Fronted> {
    let url = Emulator::MiniStack.url()?;
    let bucket = bucket(&url).await;
    let front = Front::before(&url).await;
    let store = S3Artifacts::new(&config(&front.url).await);
    Some(Fronted { bucket, front, store, scratch: tempfile::tempdir().unwrap() })
}

#[tokio::test]
async fn keep_the_contract_on_ministack() {
    let Some(url) = Emulator::MiniStack.url() else { return };
    let bucket = bucket(&url).await;
    let scratch = tempfile::tempdir().unwrap();
    testkit::contract::artifacts(&S3Artifacts::new(&config(&url).await), &bucket, scratch.path()).await;
}

/// What is small goes and comes in one request; what is large in parts, in three requests more than it has parts.
#[tokio::test]
async fn requests_are_few() {
    let Some(Fronted { bucket, front, store, scratch }) = fronted().await else { return };
    for (size, requests) in [(0, 1), (5 * MIB, 1), (8 * MIB, 3), (20 * MIB, 5)] {
        let (from, to) = (scratch.path().join("from"), scratch.path().join(format!("{size}")));
        std::fs::write(&from, vec![7; size]).unwrap();
        store.store(&bucket, "key", &from).await.unwrap();
        assert_eq!(front.requests().len(), requests, "storing {size} bytes");
        store.fetch(&bucket, "key", &to).await.unwrap();
        assert_eq!(front.requests().len(), 1, "fetching {size} bytes");
    }
}

/// S3 refuses an upload whose parts are not named in order, whenever they arrived.
#[tokio::test]
async fn parts_are_named_in_order() {
    let Some(Fronted { bucket, front, store, scratch }) = fronted().await else { return };
    let from = scratch.path().join("from");
    std::fs::write(&from, vec![1; 31 * MIB]).unwrap();
    // The first part to arrive is lost and sent again after the others.
    front.next([Fate::Forward, Fate::Lose]);
    store.store(&bucket, "key", &from).await.unwrap();
    let requests = front.requests();
    assert_eq!(requests.len(), 7);
    let numbers: Vec<_> = requests[6].text().split("<PartNumber>").skip(1).map(|rest| &rest[..2]).collect();
    assert_eq!(numbers, ["1<", "2<", "3<", "4<"]);
}

#[tokio::test]
async fn a_broken_download_is_taken_up_again() {
    let Some(Fronted { bucket, front, store, scratch }) = fronted().await else { return };
    let content: Vec<u8> = (0..3 * MIB).map(|n| (n / 7 % 251) as u8).collect();
    let (from, to) = (scratch.path().join("from"), scratch.path().join("to"));
    std::fs::write(&from, &content).unwrap();
    store.store(&bucket, "key", &from).await.unwrap();
    front.requests();
    front.next([Fate::CutAnswer(2 * MIB), Fate::CutAnswer(1000)]);
    store.fetch(&bucket, "key", &to).await.unwrap();
    assert!(std::fs::read(&to).unwrap() == content);
    let requests = front.requests();
    let ranges: Vec<_> = requests.iter().map(|request| request.header("range")).collect();
    assert_eq!(ranges, [None, Some("bytes=1048576-"), Some("bytes=3144728-")]);
    let matches: Vec<_> = requests.iter().map(|request| request.header("if-match").is_some()).collect();
    assert_eq!(matches, [false, true, true], "the rest must be of the same object");
    // It gives up at last, and leaves nothing.
    std::fs::remove_file(&to).unwrap();
    front.next((1..=9).map(|_| Fate::CutAnswer(1000)));
    let answer = store.fetch(&bucket, "key", &to).await;
    assert!(matches!(answer, Err(PortError::Unavailable(_))), "{answer:?}");
    assert!(!to.exists(), "half an artifact is removed");
}

#[tokio::test]
async fn an_upload_that_fails_is_aborted() {
    let Some(Fronted { bucket, front, store, scratch }) = fronted().await else { return };
    let from = scratch.path().join("from");
    std::fs::write(&from, vec![1; 9 * MIB]).unwrap();
    let denied =
        || Fate::Answer(403, Vec::new(), "<Error><Code>AccessDenied</Code><Message>no</Message></Error>".into());
    front.next([Fate::Forward, denied(), denied()]);
    let answer = store.store(&bucket, "key", &from).await;
    assert!(matches!(&answer, Err(PortError::Unavailable(text)) if text.contains("AccessDenied: no")), "{answer:?}");
    let last = front.requests().pop().unwrap();
    assert!(last.line.starts_with("DELETE ") && last.line.contains("uploadId="), "{}", last.line);
    let answer = store.fetch(&bucket, "key", &scratch.path().join("to")).await;
    assert!(matches!(answer, Err(PortError::NotFound(_))), "{answer:?}");
}

/// A bucket's region is learned from its first answer, for every way to use it.
#[tokio::test]
async fn buckets_elsewhere_are_found() {
    let front = Front::instead(Fate::Answer(200, vec![("etag", "\"1\"".into())], "content".into())).await;
    let scratch = tempfile::tempdir().unwrap();
    let region = |request: &crate::front::Request| {
        let authorization = request.header("authorization").unwrap();
        authorization.split('/').nth(2).unwrap().to_owned()
    };
    let moved = || {
        let body = "<Error><Code>PermanentRedirect</Code><Message>elsewhere</Message></Error>";
        Fate::Answer(301, vec![("x-amz-bucket-region", "eu-west-1".into())], body.into())
    };
    let store = S3Artifacts::new(&config(&front.url).await);
    front.next([moved()]);
    store.fetch("there", "key", &scratch.path().join("1")).await.unwrap();
    store.fetch("there", "key", &scratch.path().join("2")).await.unwrap();
    store.encrypted_with(Some("key-1".into())).store("there", "key", &scratch.path().join("1")).await.unwrap();
    store.fetch("here", "key", &scratch.path().join("3")).await.unwrap();
    let requests = front.requests();
    let regions: Vec<_> = requests.iter().map(region).collect();
    assert_eq!(regions, ["us-east-1", "eu-west-1", "eu-west-1", "eu-west-1", "us-east-1"]);
    let stored = &requests[3];
    assert_eq!(stored.header("x-amz-server-side-encryption"), Some("aws:kms"));
    assert_eq!(stored.header("x-amz-server-side-encryption-aws-kms-key-id"), Some("key-1"));
    // A bucket that says it is where we asked is not asked for ever.
    let here = Fate::Answer(301, vec![("x-amz-bucket-region", "us-east-1".into())], String::new());
    front.next([here]);
    let answer = store.fetch("odd", "key", &scratch.path().join("4")).await;
    assert!(matches!(answer, Err(PortError::Unavailable(_))), "{answer:?}");
    assert_eq!(front.requests().len(), 1);
}

/// What expires is tagged beside what others tagged, and untagged again; what is not there is no error.
#[tokio::test]
async fn marks_stand_beside_other_tags() {
    let Some(url) = Emulator::MiniStack.url() else { return };
    let bucket = bucket(&url).await;
    let client =
        Client::from_conf(aws_sdk_s3::config::Builder::from(&config(&url).await).force_path_style(true).build());
    client.put_object().bucket(&bucket).key("a/b/c").tagging("scan=clean").send().await.unwrap();
    let tags = async || {
        let found = client.get_object_tagging().bucket(&bucket).key("a/b/c").send().await.unwrap();
        let mut tags: Vec<_> = found.tag_set.into_iter().map(|tag| format!("{}={}", tag.key, tag.value)).collect();
        tags.sort();
        tags
    };
    let store = S3Artifacts::new(&config(&url).await);
    for (expires, wanted) in [
        (true, vec!["penstock-expires=true", "scan=clean"]),
        (true, vec!["penstock-expires=true", "scan=clean"]),
        (false, vec!["scan=clean"]),
    ] {
        store.mark(&bucket, "a/b/c", expires).await.unwrap();
        assert_eq!(tags().await, wanted);
    }
    store.mark(&bucket, "a/b/none", true).await.unwrap();
}
