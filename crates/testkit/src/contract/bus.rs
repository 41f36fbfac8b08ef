//! What every bus must do.

#![expect(clippy::unwrap_used, reason = "a contract suite is a test: a panic is its verdict")]

use control::ports::{Bus, PublicEvent};
use serde_json::{Value, json};

/// The fields of an envelope that reach outsiders as they were given. A bus may set the others; some emulators set the
/// time, too.
const KEPT: [&str; 4] = ["detail-type", "source", "resources", "detail"];

/// Runs the whole suite. `received` answers what arrived since it was asked last, waiting until so many events did.
///
/// # Panics
/// Where the bus breaks the contract.
pub async fn bus(bus: &impl Bus, source: &str, received: impl AsyncFn(usize) -> Vec<Value>) {
    assert_eq!(bus.publish(&[]).await.unwrap(), Vec::<usize>::new(), "nothing is published at once");
    for details in [details().len(), 1, 10] {
        let events: Vec<_> = (0..details).map(|number| event(source, number)).collect();
        assert_eq!(bus.publish(&events).await.unwrap(), Vec::<usize>::new(), "every event is accepted");
        let mut arrived = received(details).await;
        assert_eq!(arrived.len(), details, "each event arrives once: {arrived:?}");
        // The order is nobody's promise.
        arrived.sort_by_key(|event| event["detail"]["number"].as_u64());
        for (sent, arrived) in events.iter().zip(&arrived) {
            for field in KEPT {
                assert_eq!(arrived[field], sent.envelope[field], "{field}");
            }
        }
    }
}

fn details() -> [Value; 6] {
    [
        json!({ "state": "STARTED", "version": 3.0 }),
        json!({ "text": "é, \u{1F600}, \"quoted\", \\, \u{7f}, <b>, line\nbreak" }),
        json!({ "nested": { "list": [1, null, true, [], {}], "empty": "" } }),
        json!({ "large": 9_007_199_254_740_991_i64, "negative": -1, "fraction": 0.25 }),
        json!({ "long": "x".repeat(20_000) }),
        json!({}),
    ]
}

fn event(source: &str, number: usize) -> PublicEvent {
    let all = details();
    let mut detail = all[number % all.len()].clone();
    detail["number"] = json!(number);
    let resources: Vec<_> =
        (0..number % 3).map(|n| format!("arn:aws:codepipeline:us-east-1:123456789012:p{n}")).collect();
    PublicEvent {
        envelope: json!({
            "version": "0", "id": format!("00000000-0000-0000-0000-{number:012}"), "source": source,
            "detail-type": "CodePipeline Stage Execution State Change", "account": "123456789012",
            "time": format!("2026-11-24T10:00:{:02}Z", number % 60), "region": "us-east-1", "resources": resources,
            "detail": detail,
        }),
    }
}
