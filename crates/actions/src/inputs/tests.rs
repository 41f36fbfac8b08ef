use std::sync::{Arc, Mutex};

use control::ports::ActionRunner as _;
use serde_json::json;

use super::*;
use crate::testing::{self, Asked, FakeAws, Fixed};

const NOW: &str = "2026-11-24T00:00:30Z";

/// An action in `eu-west-1` with two inputs: one that was made in `us-east-1`, one that was made there.
fn request(category: &str, provider: &str, settings: &[(&str, &str)]) -> ActionRequest {
    let mut request = testing::request(category, provider, settings);
    request.declaration.region = Some("eu-west-1".into());
    request.near_bucket = Some("store-eu".into());
    request.encryption_key = Some("key-eu".into());
    let far = testing::artifact("Far", "pipe/Far/1");
    let near = ArtifactLocation { bucket: "store-eu".into(), ..testing::artifact("Near", "pipe/Near/2") };
    request.action.inputs = vec![far, near];
    request
}

/// S3 and Lambda; the first copies break off.
fn aws(broken: usize) -> FakeAws {
    let left = Arc::new(Mutex::new(broken));
    FakeAws::with(move |asked: &Asked| match asked.method.as_str() {
        "HEAD" => Some((200, vec![("etag".into(), "\"e\"".into())], Vec::new())),
        "PUT" => {
            let mut left = left.lock().unwrap();
            if *left > 0 {
                *left -= 1;
                return None;
            }
            Some((200, Vec::new(), b"<CopyObjectResult><ETag>e</ETag></CopyObjectResult>".to_vec()))
        }
        _ if asked.operation() == "StartBuild" => {
            Some((200, Vec::new(), json!({"build": {"id": "proj:1"}}).to_string().into()))
        }
        _ => Some((202, Vec::new(), Vec::new())),
    })
}

fn copies(fake: &FakeAws) -> Vec<Asked> {
    fake.requests().into_iter().filter(|asked| asked.method == "PUT").collect()
}

#[tokio::test]
async fn what_was_made_in_another_region_is_copied_before_a_build_reads_it() {
    let fake = aws(0);
    let settings = [("ProjectName", "proj"), ("PrimarySource", "Far")];
    testing::pending(fake.runner(Fixed::at(NOW)).start(request("Build", "CodeBuild", &settings)).await);
    let copies = copies(&fake);
    assert_eq!(copies.len(), 1, "what lies there already stays");
    let to = "https://store-eu.s3.eu-west-1.amazonaws.com/pipe/Far/1";
    assert!(copies[0].uri.starts_with(to), "{}", copies[0].uri);
    assert_eq!(copies[0].header("x-amz-copy-source"), "store/pipe/Far/1");
    assert_eq!(copies[0].header("x-amz-server-side-encryption-aws-kms-key-id"), "key-eu");
    let last = fake.requests().pop().unwrap().json();
    assert_eq!(last["sourceLocationOverride"], "store-eu/pipe/Far/1");
    assert_eq!(last["secondarySourcesOverride"][0]["location"], "store-eu/pipe/Near/2");
}

#[tokio::test]
async fn a_copy_that_breaks_off_is_made_again_and_the_function_invoked_once() {
    let fake = aws(1);
    let request = request("Invoke", "Lambda", &[("FunctionName", "f")]);
    testing::pending(fake.runner(Fixed::at(NOW)).start(request.clone()).await);
    let copies = copies(&fake);
    assert_eq!((copies.len(), &copies[0].uri), (2, &copies[1].uri));
    let invoked: Vec<_> = fake.requests().into_iter().filter(|asked| asked.uri.contains("invocations")).collect();
    assert_eq!(invoked.len(), 1);
    let inputs = &invoked[0].json()["CodePipeline.job"]["data"]["inputArtifacts"];
    assert_eq!(inputs[0]["location"]["s3Location"], json!({"bucketName": "store-eu", "objectKey": "pipe/Far/1"}));
}

#[tokio::test]
async fn a_pipeline_with_one_store_copies_nothing() {
    let fake = aws(0);
    let request = ActionRequest { near_bucket: None, ..request("Invoke", "Lambda", &[("FunctionName", "f")]) };
    assert!(matches!(near(&request), Cow::Borrowed(_)));
    testing::pending(fake.runner(Fixed::at(NOW)).start(request).await);
    assert!(copies(&fake).is_empty());
}
