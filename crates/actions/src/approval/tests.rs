use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use control::ports::ActionRunner as _;
use engine::Approval;

use super::*;
use crate::runner::ProviderRunner;
use crate::testing::{self, FakeAws, Fixed, Host};

const TOPIC: &str = "arn:aws:sns:eu-west-1:1:topic";

fn request() -> ActionRequest {
    let settings = [
        ("NotificationArn", TOPIC),
        ("CustomData", "look at <it>"),
        ("ExternalEntityLink", "https://example.com/review"),
    ];
    let mut request = testing::request("Approval", "Manual", &settings);
    request.action.approval = Some(Approval { token: "tok".into(), required: 1, decisions: Vec::new() });
    request.action.deadline = Some(testing::time("2026-12-01T07:05:59Z"));
    request
}

fn link() -> ApprovalLink {
    ApprovalLink { review: Some("https://approve.example/x".into()), console: Some("https://console.example".into()) }
}

#[test]
fn the_body_is_the_documented_one() {
    let expected = json!({
        "region": "us-east-1",
        "consoleLink": "https://console.example",
        "approval": {
            "pipelineName": "pipe",
            "stageName": "Stage",
            "actionName": "Act",
            "token": "tok",
            "expires": "2026-12-01T07:05Z",
            "externalEntityLink": "https://example.com/review",
            "approvalReviewLink": "https://approve.example/x",
            "customData": "look at <it>",
        },
    });
    assert_eq!(body(&request(), &link()), expected);
}

#[test]
fn a_subject_is_no_longer_than_sns_takes() {
    let mut request = request();
    assert_eq!(subject(&request), "APPROVAL NEEDED: pipe for action Act");
    request.pipeline = "p".repeat(100).as_str().into();
    assert_eq!(subject(&request).len(), 100);
}

#[tokio::test]
async fn people_are_told_in_the_topics_region_and_the_decision_awaited() {
    let fake = FakeAws::new(|_| {
        (200, "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>".into())
    });
    let host = Arc::new(Host::default());
    *host.link.lock().unwrap() = link();
    let runner = ProviderRunner::impatient(fake.parts(Fixed::at("2026-11-24T00:00:00Z"), host));
    let (started, poll_at) = testing::pending(runner.start(request()).await);
    assert_eq!((started.summary.as_deref(), poll_at), (Some(format!("asked {TOPIC}").as_str()), None));
    assert_eq!(started.external_id, None);
    let asked = &fake.requests()[0];
    assert!(asked.uri.contains("eu-west-1"), "{}", asked.uri);
    assert_eq!(asked.form("TopicArn"), TOPIC);
    assert!(asked.form("Message").contains("\"approvalReviewLink\":\"https://approve.example/x\""));
}

#[tokio::test]
async fn an_approval_stands_although_nobody_could_be_told() {
    let fake = FakeAws::new(|_| {
        (
            403,
            "<ErrorResponse><Error><Code>AuthorizationError</Code><Message>no</Message></Error></ErrorResponse>".into(),
        )
    });
    let runner = fake.runner(Fixed::at("2026-11-24T00:00:00Z"));
    let (started, _) = testing::pending(runner.start(request()).await);
    let summary = started.summary.unwrap();
    assert!(summary.starts_with("nobody was notified: the role "), "{summary}");
    assert!(summary.contains("may not sns:Publish on arn:aws:sns:eu-west-1:1:topic;"), "{summary}");
}

#[tokio::test]
async fn who_could_not_be_told_yet_is_told_later() {
    let up = Arc::new(AtomicBool::new(false));
    let state = up.clone();
    let fake = FakeAws::with(move |_| {
        let throttled = "<ErrorResponse><Error><Code>Throttling</Code><Message>no</Message></Error></ErrorResponse>";
        let told = "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>";
        let (status, body) = if state.load(Ordering::Relaxed) { (200, told) } else { (400, throttled) };
        Some((status, Vec::new(), body.into()))
    });
    let runner = fake.runner(Fixed::at("2026-11-24T00:00:00Z"));
    let (started, poll_at) = testing::pending(runner.start(request()).await);
    let summary = started.summary.unwrap();
    assert!(summary.starts_with("not started yet: sns:Publish: Throttling"), "{summary}");
    assert_eq!(poll_at, Some(testing::time("2026-11-24T00:00:30Z")));
    up.store(true, Ordering::Relaxed);
    let again = ActionRequest { external_id: started.external_id, ..request() };
    let (started, poll_at) = testing::pending(runner.poll(again).await);
    assert_eq!((started.summary, poll_at), (Some(format!("asked {TOPIC}")), None));
}

#[tokio::test]
async fn without_a_topic_nobody_is_told() {
    let fake = FakeAws::with(|_| None);
    let runner = fake.runner(Fixed::at("2026-11-24T00:00:00Z"));
    let (started, poll_at) = testing::pending(runner.start(testing::request("Approval", "Manual", &[])).await);
    assert_eq!((started, poll_at), (Started::default(), None));
    assert!(fake.requests().is_empty());
}
