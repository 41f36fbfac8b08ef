use std::sync::Arc;

use aws_types::SdkConfig;
use control::ports::ActionRunner as _;

use super::*;
use crate::roles::{RoleError, Roles};
use crate::runner::ProviderRunner;
use crate::testing::{self, ACTION_ID, FakeAws, Fixed, Host};

fn request() -> ActionRequest {
    let settings = [("FunctionName", "notify"), ("UserParameters", "{\"a\":1}")];
    let mut request = testing::request("Invoke", "Lambda", &settings);
    request.action.inputs = vec![testing::artifact("In", "pipe/In/1")];
    request.action.outputs = vec![testing::artifact("Out", "pipe/Out/2")];
    request.input_revisions.insert("In".into(), "abc".into());
    request.encryption_key = Some("arn:aws:kms:us-east-1:1:key/k".into());
    request
}

fn credentials() -> Credentials {
    Credentials::new("AKIA", "secret", Some("session".into()), None, "tests")
}

#[test]
fn the_event_is_the_documented_one() {
    let expected = json!({"CodePipeline.job": {
        "id": ACTION_ID,
        "accountId": "111122223333",
        "data": {
            "actionConfiguration": {"configuration": {"FunctionName": "notify", "UserParameters": "{\"a\":1}"}},
            "inputArtifacts": [{
                "location": {"s3Location": {"bucketName": "store", "objectKey": "pipe/In/1"}, "type": "S3"},
                "revision": "abc",
                "name": "In",
            }],
            "outputArtifacts": [{
                "location": {"s3Location": {"bucketName": "store", "objectKey": "pipe/Out/2"}, "type": "S3"},
                "revision": null,
                "name": "Out",
            }],
            "artifactCredentials": {"accessKeyId": "AKIA", "secretAccessKey": "secret", "sessionToken": "session"},
            "encryptionKey": {"id": "arn:aws:kms:us-east-1:1:key/k", "type": "KMS"},
        },
    }});
    assert_eq!(event(&request(), &credentials(), None), expected);
    let again = ActionRequest { external_id: Some("job-2".into()), ..request() };
    let event = event(&again, &credentials(), Some("token"));
    assert_eq!(event["CodePipeline.job"]["id"], "job-2");
    assert_eq!(event["CodePipeline.job"]["data"]["continuationToken"], "token");
}

#[test]
fn functions_have_plain_names() {
    for name in ["f", "f:live", "arn:aws:lambda:us-east-1:1:function:f", "arn:aws:lambda:us-east-1:1:function:f:live"] {
        assert_eq!(plain_name(name), "f", "{name}");
    }
    assert_eq!(plain_name("123456789012:function:f"), "f");
}

#[test]
fn silence_is_counted_from_the_last_answer() {
    let request = request();
    let news = |heard: Option<&str>| JobNews { heard_at: heard.map(testing::time), continuation_token: None };
    let at = testing::time;
    // Claimed at midnight.
    assert_eq!(judge(&request, &news(None), at("2026-11-24T00:19:59Z")), Ok(None));
    let Err(Fault::Ends { code, message }) = judge(&request, &news(None), at("2026-11-24T00:20:00Z")) else { panic!() };
    assert_eq!(code, "Timeout");
    assert!(message.contains(ACTION_ID), "{message}");
    let heard = news(Some("2026-11-24T00:10:00Z"));
    assert_eq!(judge(&request, &heard, at("2026-11-24T00:29:59Z")), Ok(None));
    assert!(judge(&request, &heard, at("2026-11-24T00:30:00Z")).is_err());
}

#[test]
fn the_next_question_comes_no_later_than_the_end_of_the_silence() {
    let request = request();
    let at = testing::time;
    let next = |now: &str| super::next(&request, &JobNews::default(), at(now));
    assert_eq!(next("2026-11-24T00:00:10Z"), at("2026-11-24T00:00:40Z"));
    assert_eq!(next("2026-11-24T00:16:00Z"), at("2026-11-24T00:20:00Z"));
}

#[tokio::test]
async fn a_function_is_invoked_asynchronously_and_its_answer_awaited() {
    let fake = FakeAws::new(|_| (202, String::new()));
    let runner = fake.runner(Fixed::at("2026-11-24T00:00:00Z"));
    let (started, poll_at) = testing::pending(runner.start(request()).await);
    assert_eq!(started.external_id.as_deref(), Some(ACTION_ID));
    assert_eq!(poll_at, Some(testing::time("2026-11-24T00:00:30Z")));
    let asked = &fake.requests()[0];
    assert!(asked.uri.ends_with("/2015-03-31/functions/notify/invocations"), "{}", asked.uri);
    assert_eq!(asked.header("x-amz-invocation-type"), "Event");
    assert_eq!(asked.json()["CodePipeline.job"]["data"]["artifactCredentials"]["accessKeyId"], "test");
}

#[tokio::test]
async fn a_function_with_a_continuation_token_is_invoked_once_more() {
    let fake = FakeAws::new(|_| (202, String::new()));
    let host = Arc::new(Host::default());
    *host.news.lock().unwrap() =
        JobNews { heard_at: Some(testing::time("2026-11-24T00:01:00Z")), continuation_token: Some("go-on".into()) };
    let runner = ProviderRunner::impatient(fake.parts(Fixed::at("2026-11-24T00:01:30Z"), host.clone()));
    let request = ActionRequest { external_id: Some("job-2".into()), ..request() };
    for _ in 0..2 {
        testing::pending(runner.poll(request.clone()).await);
    }
    let asked = fake.requests();
    assert_eq!(asked.len(), 1, "a token is used once");
    assert_eq!(asked[0].json()["CodePipeline.job"]["data"]["continuationToken"], "go-on");
    assert_eq!(*host.taken.lock().unwrap(), ["job-2"]);
}

/// A question about a function that wants to be invoked again, answered in this way each time.
async fn continued(answers: &'static [u16]) -> (ActionReply, FakeAws) {
    let mut left = answers.iter();
    let fake = FakeAws::with(move |_| {
        let status = *left.next()?;
        let kind = ("x-amzn-errortype".to_owned(), "TooManyRequestsException".to_owned());
        Some((status, if status == 429 { vec![kind] } else { Vec::new() }, b"{}".to_vec()))
    });
    let host = Arc::new(Host::default());
    host.news.lock().unwrap().continuation_token = Some("go-on".into());
    let runner = ProviderRunner::impatient(fake.parts(Fixed::at("2026-11-24T00:01:30Z"), host));
    let request = ActionRequest { external_id: Some("job-2".into()), ..request() };
    (runner.poll(request).await, fake)
}

#[tokio::test(start_paused = true)]
async fn a_continuation_that_was_refused_for_now_is_tried_again() {
    let (reply, fake) = continued(&[429, 429, 202]).await;
    testing::pending(reply);
    assert_eq!(fake.requests().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_continuation_of_which_nobody_knows_ends_the_action() {
    let (reply, fake) = continued(&[]).await;
    assert_eq!(testing::error(reply).0, "JobFailed");
    assert_eq!(fake.requests().len(), 1);
}

/// A role that cannot be assumed just now.
struct Busy;

#[async_trait]
impl Roles for Busy {
    async fn config(&self, _session: &Session) -> Result<SdkConfig, RoleError> {
        Err(RoleError::Unavailable("STS: Throttling".into()))
    }

    async fn limited(&self, _session: &Session, _policy: &str) -> Result<Credentials, RoleError> {
        Err(RoleError::Unavailable("STS: Throttling".into()))
    }
}

#[tokio::test]
async fn a_continuation_waits_for_its_role() {
    let (fake, host) = (FakeAws::with(|_| None), Arc::new(Host::default()));
    host.news.lock().unwrap().continuation_token = Some("go-on".into());
    let mut parts = fake.parts(Fixed::at("2026-11-24T00:01:30Z"), host.clone());
    parts.roles = Arc::new(Busy);
    let request = ActionRequest { external_id: Some("job-2".into()), ..request() };
    testing::pending(ProviderRunner::impatient(parts).poll(request).await);
    assert!(host.taken.lock().unwrap().is_empty(), "the token is there for the next question");
}

#[tokio::test]
async fn a_function_that_may_not_be_invoked_says_so() {
    let fake = FakeAws::with(|_| {
        let kind = ("x-amzn-errortype".to_owned(), "AccessDeniedException".to_owned());
        Some((403, vec![kind], b"{\"Message\":\"no\"}".to_vec()))
    });
    let (code, message) = testing::error(fake.runner(Fixed::at("2026-11-24T00:00:00Z")).start(request()).await);
    assert_eq!(code, "PermissionError");
    let resource = "may not lambda:InvokeFunction on arn:aws:lambda:us-east-1:111122223333:function:notify;";
    assert!(message.contains(resource), "{message}");
}
