//! The bus: the contract through a rule and a queue, and what EventBridge does not accept.

use std::time::{Duration, Instant};

use aws::{EventBridgeBus, with_trace};
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::Target;
use control::ports::{Bus, PortError, PublicEvent};
use serde_json::{Value, json};

use crate::front::{Fate, Front, call};
use crate::support::{Emulator, config, unique};

/// A queue; its URL and ARN.
pub async fn queue(url: &str) -> (String, String) {
    let made = call(url, "sqs", "AmazonSQS.CreateQueue", json!({ "QueueName": unique("queue") })).await;
    let queue = made["QueueUrl"].as_str().unwrap().to_owned();
    let asked = json!({ "QueueUrl": queue, "AttributeNames": ["QueueArn"] });
    let attributes = call(url, "sqs", "AmazonSQS.GetQueueAttributes", asked).await;
    (queue, attributes["Attributes"]["QueueArn"].as_str().unwrap().to_owned())
}

/// Takes messages from a queue until there are so many, or for long in vain.
pub async fn receive(url: &str, queue: &str, count: usize) -> Vec<Value> {
    let since = Instant::now();
    let mut found = Vec::new();
    while found.len() < count && since.elapsed() < Duration::from_secs(20) {
        let asked = json!({ "QueueUrl": queue, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 1 });
        let answer = call(url, "sqs", "AmazonSQS.ReceiveMessage", asked).await;
        for message in answer["Messages"].as_array().into_iter().flatten() {
            found.push(serde_json::from_str(message["Body"].as_str().unwrap()).unwrap());
            let taken = json!({ "QueueUrl": queue, "ReceiptHandle": message["ReceiptHandle"] });
            call(url, "sqs", "AmazonSQS.DeleteMessage", taken).await;
        }
    }
    found
}

#[tokio::test]
async fn keeps_the_contract_on_ministack() {
    let Some(url) = Emulator::MiniStack.url() else { return };
    let client = Client::new(&config(&url).await);
    let name = unique("bus");
    let (queue, arn) = queue(&url).await;
    client.create_event_bus().name(&name).send().await.unwrap();
    let pattern = json!({ "source": ["penstock.codepipeline"] }).to_string();
    client.put_rule().name("all").event_bus_name(&name).event_pattern(pattern).send().await.unwrap();
    let target = Target::builder().id("queue").arn(arn).build().unwrap();
    client.put_targets().rule("all").event_bus_name(&name).targets(target).send().await.unwrap();
    let bus = EventBridgeBus::new(client, name);
    testkit::contract::bus(&bus, "penstock.codepipeline", async |count| receive(&url, &queue, count).await).await;
}

fn event(number: usize) -> PublicEvent {
    PublicEvent {
        envelope: json!({
            "version": "0", "id": "i", "source": "s", "detail-type": "t", "account": "123456789012",
            "time": "2026-11-24T10:00:00Z", "region": "us-east-1", "resources": [], "detail": { "number": number },
        }),
    }
}

/// An event that counts exactly so many bytes.
fn sized(bytes: usize) -> PublicEvent {
    let mut event = event(0);
    let fixed = 14 + "s".len() + "t".len() + r#"{"x":""}"#.len();
    event.envelope["detail"] = json!({ "x": "x".repeat(bytes - fixed) });
    event
}

fn answers(accepted: &[bool]) -> Fate {
    let entry = |accepted: &bool| match accepted {
        true => json!({ "EventId": "e" }),
        false => json!({ "ErrorCode": "ThrottlingException", "ErrorMessage": "slow down" }),
    };
    let entries: Vec<_> = accepted.iter().map(entry).collect();
    let failed = accepted.iter().filter(|accepted| !**accepted).count();
    Fate::json(200, json!({ "FailedEntryCount": failed, "Entries": entries }).to_string())
}

/// How many entries each call had.
fn calls(front: &Front) -> Vec<usize> {
    let entries = |request: crate::front::Request| {
        let body: Value = serde_json::from_str(request.text()).unwrap();
        body["Entries"].as_array().unwrap().len()
    };
    front.requests().into_iter().map(entries).collect()
}

async fn fake(otherwise: Fate) -> (Front, EventBridgeBus) {
    let front = Front::instead(otherwise).await;
    let bus = EventBridgeBus::new(Client::new(&config(&front.url).await), "bus");
    (front, bus)
}

#[tokio::test]
async fn entries_that_are_not_accepted_are_named() {
    let (front, bus) = fake(Fate::error(500, "InternalException")).await;
    let events: Vec<_> = (0..4).map(event).collect();
    front.next([answers(&[true, false, true, false])]);
    assert_eq!(bus.publish(&events).await.unwrap(), [1, 3]);
    assert_eq!(calls(&front), [4]);
    front.next([answers(&[true, true])]);
    assert_eq!(bus.publish(&events).await.unwrap(), [2, 3], "what has no result counts as not accepted");
}

#[tokio::test]
async fn calls_stay_within_entries_and_bytes() {
    const MOST: usize = 256 * 1024;
    let (front, bus) = fake(answers(&[true; 10])).await;
    let many: Vec<_> = (0..23).map(event).collect();
    assert!(bus.publish(&many).await.unwrap().is_empty());
    assert_eq!(calls(&front), [10, 10, 3]);
    assert!(bus.publish(&[sized(MOST / 2), sized(MOST / 2), sized(100)]).await.unwrap().is_empty());
    assert_eq!(calls(&front), [2, 1]);
    assert!(bus.publish(&[sized(MOST / 2), sized(MOST / 2 + 1), sized(100)]).await.unwrap().is_empty());
    assert_eq!(calls(&front), [1, 2]);
    assert!(bus.publish(&[sized(MOST)]).await.unwrap().is_empty());
    assert_eq!(calls(&front), [1]);
    // What is too large alone, or no event at all, keeps nothing else from going.
    let mut odd = event(3);
    odd.envelope["time"] = json!("yesterday");
    assert_eq!(bus.publish(&[event(0), sized(MOST + 1), event(2), odd]).await.unwrap(), [1, 3]);
    assert_eq!(calls(&front), [2]);
    assert_eq!(bus.publish(&[sized(MOST + 1)]).await.unwrap(), [0]);
    assert_eq!(calls(&front), Vec::<usize>::new());
}

#[tokio::test]
async fn a_call_that_fails_is_an_error_unless_another_one_brought_something() {
    let (front, bus) = fake(answers(&[true; 10])).await;
    let events: Vec<_> = (0..12).map(event).collect();
    let throttled = || Fate::error(400, "ThrottlingException");
    front.next([throttled(), throttled(), throttled()]);
    assert!(matches!(bus.publish(&events[..3]).await, Err(PortError::Throttled)));
    assert_eq!(calls(&front), [3, 3, 3], "the SDK repeats what is throttled");
    front.next([Fate::Lose, Fate::error(500, "InternalException")]);
    assert!(bus.publish(&events[..3]).await.unwrap().is_empty());
    assert_eq!(calls(&front), [3, 3, 3]);
    front.next([answers(&[true; 10]), throttled(), throttled(), throttled()]);
    assert_eq!(bus.publish(&events).await.unwrap(), [10, 11], "what the first call brought is not sent again");
}

#[tokio::test]
async fn envelopes_become_entries() {
    let (front, bus) = fake(answers(&[true])).await;
    let mut event = event(7);
    event.envelope["resources"] = json!(["arn:a", "arn:b"]);
    with_trace(Some("Root=1-abc".into()), bus.publish(std::slice::from_ref(&event))).await.unwrap();
    bus.publish(&[event]).await.unwrap();
    let bodies: Vec<Value> =
        front.requests().iter().map(|request| serde_json::from_str(request.text()).unwrap()).collect();
    let mut expected = json!({
        "Source": "s", "DetailType": "t", "Detail": "{\"number\":7}", "Resources": ["arn:a", "arn:b"],
        "Time": 1_795_514_400, "EventBusName": "bus", "TraceHeader": "Root=1-abc",
    });
    assert_eq!(bodies[0]["Entries"][0], expected);
    expected.as_object_mut().unwrap().remove("TraceHeader");
    assert_eq!(bodies[1]["Entries"][0], expected, "without an invocation there is no trace");
}
