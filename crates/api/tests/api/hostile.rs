//! Arbitrary bytes and near misses of good ones, signed, through everything: each gets an answer, and never one that says
//! that the server broke.

use std::future::Future;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use super::server::{REGION, Server, declaration, server};

/// Has each of many inputs answered by one server.
fn each<S: Strategy, F: Future<Output = u16>>(inputs: &S, answer: impl Fn(std::rc::Rc<Server>, S::Value) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let server = std::rc::Rc::new(server());
    let made = server.call("CreatePipeline", json!({ "pipeline": declaration("release") }));
    runtime.block_on(made).unwrap();
    let mut runner = TestRunner::new(Config { cases: 1000, failure_persistence: None, ..Config::default() });
    let run = runner.run(inputs, |input| {
        let status = runtime.block_on(answer(server.clone(), input));
        prop_assert!(status < 500, "{status}");
        Ok(())
    });
    run.unwrap();
    let listed = runtime.block_on(server.call("ListPipelines", json!({}))).unwrap();
    assert!(listed["pipelines"].as_array().is_some_and(|pipelines| !pipelines.is_empty()), "{listed}");
}

/// Bytes with some changed, left out or put in.
fn near(bytes: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..6);
    changes.prop_map(move |changes| {
        let mut changed = bytes.clone();
        for (place, byte, how) in changes {
            let place = place.index(changed.len().max(1));
            match how {
                0 if place < changed.len() => changed[place] = byte,
                1 if place < changed.len() => drop(changed.remove(place)),
                _ => changed.insert(place.min(changed.len()), byte),
            }
        }
        changed
    })
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..300)
}

fn json_operations() -> impl Strategy<Value = (&'static str, Vec<u8>)> {
    let pipeline = json!({ "pipeline": declaration("other") }).to_string().into_bytes();
    let filter = json!({ "pipelineName": "release", "maxResults": 3, "filter": { "succeededInStage": { "stageName": "Ship" } } });
    prop_oneof![
        near(pipeline).prop_map(|body| ("UpdatePipeline", body)),
        near(filter.to_string().into_bytes()).prop_map(|body| ("ListPipelineExecutions", body)),
        bytes().prop_map(|body| ("PutWebhook", body)),
    ]
}

#[test]
fn bodies_in_json() {
    each(&json_operations(), |server, (operation, body)| async move {
        server.raw(&format!("CodePipeline_20150709.{operation}"), REGION, &body).await.status
    });
}

/// A value in CBOR, as simple as can be.
fn cbor(value: &Value, into: &mut Vec<u8>) {
    let head = |kind: u8, count: usize, into: &mut Vec<u8>| {
        into.push(kind << 5 | 26);
        into.extend_from_slice(&u32::try_from(count).unwrap().to_be_bytes());
    };
    match value {
        Value::Null => into.push(0xf6),
        Value::Bool(value) => into.push(0xf4 + u8::from(*value)),
        Value::Number(number) => head(0, usize::try_from(number.as_u64().unwrap()).unwrap(), into),
        Value::String(text) => {
            head(3, text.len(), into);
            into.extend_from_slice(text.as_bytes());
        }
        Value::Array(items) => {
            head(4, items.len(), into);
            items.iter().for_each(|item| cbor(item, into));
        }
        Value::Object(fields) => {
            head(5, fields.len(), into);
            for (name, value) in fields {
                head(3, name.len(), into);
                into.extend_from_slice(name.as_bytes());
                cbor(value, into);
            }
        }
    }
}

#[test]
fn bodies_in_cbor() {
    let mut pipeline = Vec::new();
    cbor(&json!({ "pipeline": declaration("other") }), &mut pipeline);
    let good = pipeline.clone();
    let inputs = prop_oneof![near(pipeline), bytes(), Just(good)];
    each(&inputs, |server, body| async move { server.cbor("UpdatePipeline", &body).await.0 });
}

#[test]
fn page_tokens() {
    each(&"[ -~]{1,200}|[A-Za-z0-9_-]{1,300}", |server, token: String| async move {
        let refused = server.call("ListPipelines", json!({ "nextToken": token })).await.unwrap_err();
        if refused.0 == "InvalidNextTokenException" { 400 } else { 500 }
    });
}

#[test]
fn deliveries_of_webhooks() {
    let body = json!({ "ref": "refs/heads/main", "after": "8cf40f2", "commits": [{ "added": ["a"] }] }).to_string();
    let inputs =
        (prop_oneof![near(body.into_bytes()), bytes()], "[ -~]{0,80}", "push|pull_request|[ -~]{0,20}", "[!-~]{0,60}");
    each(&inputs, |server, (body, signature, event, path)| async move {
        let hook = json!({ "name": "hook", "targetPipeline": "release", "targetAction": "Fetch",
            "filters": [{ "jsonPath": "$.ref" }], "authentication": "UNAUTHENTICATED", "authenticationConfiguration": {} });
        let put = server.call("PutWebhook", json!({ "webhook": hook })).await.unwrap();
        let good = put["webhook"]["url"].as_str().unwrap().strip_prefix("http://127.0.0.1:7707").unwrap().to_owned();
        let path = if path.len() % 2 == 0 { good } else { format!("/webhooks/{}", path.replace(['#', '?'], "x")) };
        let headers = [
            ("host", "127.0.0.1:7707"),
            ("content-type", "application/json"),
            ("x-hub-signature-256", signature.as_str()),
            ("x-github-event", event.as_str()),
            ("x-gitlab-token", signature.as_str()),
            ("x-event-key", event.as_str()),
        ];
        if http::Uri::try_from(path.as_str()).is_err() {
            return 400;
        }
        server.send("POST", &path, &headers, &body).await.status
    });
}
