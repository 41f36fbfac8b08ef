//! Webhooks and connections: their operations, and deliveries over HTTP.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use testkit::detection::MemoryHeads;

use super::server::{Answer, Server, code, declaration, server};

const HOOK_SECRET: &str = "the secret of the hook";

fn webhook(name: &str) -> Value {
    json!({ "name": name, "targetPipeline": "release", "targetAction": "Fetch",
        "filters": [{ "jsonPath": "$.ref", "matchEquals": "refs/heads/{S3ObjectKey}" }, { "jsonPath": "$.after" }],
        "authentication": "GITHUB_HMAC", "authenticationConfiguration": { "SecretToken": HOOK_SECRET } })
}

async fn created() -> Server {
    let server = server();
    server.call("CreatePipeline", json!({ "pipeline": declaration("release") })).await.unwrap();
    server
}

impl Server {
    async fn put(&self, webhook: Value) -> Result<Value, (String, String)> {
        self.call("PutWebhook", json!({ "webhook": webhook })).await
    }

    async fn deliver(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let headers = [&[("host", "127.0.0.1:7707")], headers].concat();
        self.send("POST", path, &headers, body.as_bytes()).await
    }

    async fn webhook_count(&self) -> usize {
        let listed = self.call("ListWebhooks", json!({})).await.unwrap();
        listed["webhooks"].as_array().unwrap().len()
    }
}

type Change = fn(&mut Value);

fn path(item: &Value) -> String {
    item["url"].as_str().unwrap().strip_prefix("http://127.0.0.1:7707").unwrap().to_owned()
}

fn signature(body: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(HOOK_SECRET.as_bytes()).unwrap().chain_update(body).finalize();
    let hex: String = mac.into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

#[tokio::test]
async fn a_webhook_is_put_listed_delivered_to_and_deleted() {
    let server = created().await;
    let tags = json!([{ "key": "team", "value": "a" }]);
    let put = server.call("PutWebhook", json!({ "webhook": webhook("hook"), "tags": tags })).await.unwrap();
    let item = &put["webhook"];
    assert_eq!(item["arn"], "arn:aws:codepipeline:eu-west-1:123456789012:webhook:hook");
    assert_eq!(item["definition"]["authenticationConfiguration"], json!({}), "the secret is not given back");
    assert_eq!((item["tags"].clone(), item.get("lastTriggered")), (tags, None));
    let body = r#"{"ref":"refs/heads/a.zip","after":"1"}"#;
    let good = [("x-hub-signature-256", signature(body))];
    let good: Vec<(&str, &str)> = good.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = server.deliver(&path(item), &good, body).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "accepted"));
    assert_eq!(server.deliver(&path(item), &good, body).await.body, "accepted before");
    let forged = server.deliver(&path(item), &good, &body.replace('1', "2")).await;
    assert_eq!((forged.status, forged.body.as_str()), (401, "unauthorized"));
    server.run().await;
    let executions = server.call("ListPipelineExecutions", json!({ "pipelineName": "release" })).await.unwrap();
    let executions = executions["pipelineExecutionSummaries"].as_array().unwrap();
    assert_eq!(executions.len(), 1);
    let trigger = json!({ "triggerType": "Webhook", "triggerDetail": item["arn"] });
    assert_eq!(executions[0]["trigger"], trigger);
    let listed = server.call("ListWebhooks", json!({})).await.unwrap();
    assert!(listed["webhooks"][0]["lastTriggered"].is_number());
    assert_eq!(server.call("DeleteWebhook", json!({ "name": "hook" })).await, Ok(json!({})));
    assert_eq!(server.call("DeleteWebhook", json!({ "name": "hook" })).await, Ok(json!({})));
    assert_eq!(server.deliver(&path(item), &good, body).await.status, 404);
    assert_eq!(server.webhook_count().await, 0);
}

#[tokio::test]
async fn webhooks_are_refused_by_name() {
    let server = created().await;
    let changed = |change: Change| {
        let mut webhook = webhook("hook");
        change(&mut webhook);
        server.put(webhook)
    };
    let rows: [(Change, &str); 6] = [
        (|w| w["targetPipeline"] = json!("other"), "PipelineNotFoundException"),
        (|w| w["targetAction"] = json!("Upload"), "ValidationException"),
        (|w| w["filters"][0]["jsonPath"] = json!("ref"), "InvalidWebhookFilterPatternException"),
        (|w| w["filters"][0]["matchEquals"] = json!("{Branch}"), "InvalidWebhookFilterPatternException"),
        (|w| w["authentication"] = json!("IP"), "InvalidWebhookAuthenticationParametersException"),
        (|w| w["authentication"] = json!("NONE"), "ValidationException"),
    ];
    for (change, expected) in rows {
        assert_eq!(code(changed(change).await), expected);
    }
    let tag = json!([{ "key": "aws:x", "value": "" }]);
    let tagged = server.call("PutWebhook", json!({ "webhook": webhook("hook"), "tags": tag })).await;
    assert_eq!(code(tagged), "InvalidTagsException");
    assert_eq!(server.webhook_count().await, 0);
    for operation in ["RegisterWebhookWithThirdParty", "DeregisterWebhookWithThirdParty"] {
        let missing = server.call(operation, json!({ "webhookName": "none" })).await;
        assert_eq!(code(missing), "WebhookNotFoundException");
        assert_eq!(code(server.call(operation, json!({})).await), "ValidationException");
    }
}

#[tokio::test]
async fn webhooks_come_in_pages_and_have_their_tags_with_them() {
    let server = created().await;
    for name in ["a", "b", "c"] {
        server.put(webhook(name)).await.unwrap();
    }
    let first = server.call("ListWebhooks", json!({ "MaxResults": 2 })).await.unwrap();
    assert_eq!(first["webhooks"].as_array().unwrap().len(), 2);
    let second =
        server.call("ListWebhooks", json!({ "MaxResults": 2, "NextToken": first["NextToken"] })).await.unwrap();
    assert_eq!((second["webhooks"][0]["definition"]["name"].as_str(), second.get("NextToken")), (Some("c"), None));
    assert_eq!(code(server.call("ListWebhooks", json!({ "NextToken": "x" })).await), "InvalidNextTokenException");
    let arn = second["webhooks"][0]["arn"].clone();
    let tags = json!([{ "key": "k", "value": "v" }]);
    server.call("TagResource", json!({ "resourceArn": arn, "tags": tags })).await.unwrap();
    server.put(webhook("c")).await.unwrap();
    let listed = server.call("ListWebhooks", json!({})).await.unwrap();
    assert_eq!(listed["webhooks"][2]["tags"], tags, "a change keeps them");
}

/// Nobody can register a webhook without a token: its listing says what to do.
#[tokio::test]
async fn registration_is_left_to_a_person() {
    let server = server();
    let mut declared = declaration("release");
    let source = &mut declared["stages"][0]["actions"][0];
    source["actionTypeId"] =
        json!({ "category": "Source", "owner": "ThirdParty", "provider": "GitHub", "version": "1" });
    source["configuration"] = json!({ "Owner": "o", "Repo": "r", "Branch": "main", "OAuthToken": "t" });
    server.call("CreatePipeline", json!({ "pipeline": declared })).await.unwrap();
    let mut github = webhook("hook");
    github["filters"][0]["matchEquals"] = json!("refs/heads/{Branch}");
    server.put(github).await.unwrap();
    let name = json!({ "webhookName": "hook" });
    assert_eq!(server.call("RegisterWebhookWithThirdParty", name.clone()).await, Ok(json!({})));
    let listed = server.call("ListWebhooks", json!({})).await.unwrap();
    assert!(listed["webhooks"][0]["errorMessage"].as_str().unwrap().contains("by hand"));
    assert_eq!(server.call("DeregisterWebhookWithThirdParty", name).await, Ok(json!({})));
    let listed = server.call("ListWebhooks", json!({})).await.unwrap();
    assert_eq!(listed["webhooks"][0].get("errorMessage"), None);
}

#[tokio::test]
async fn the_route_of_deliveries() {
    let server = created().await;
    let mut open = webhook("open");
    open["authentication"] = json!("UNAUTHENTICATED");
    open["authenticationConfiguration"] = json!({});
    open["filters"] = json!([]);
    let path = path(&server.put(open).await.unwrap()["webhook"]);
    let get = server.send("GET", &path, &[("host", "127.0.0.1:7707")], b"").await;
    assert_eq!((get.status, get.headers["allow"].to_str().unwrap()), (405, "POST"));
    assert_eq!(server.deliver("/webhooks/", &[], "{}").await.status, 404);
    assert_eq!(server.deliver("/webhooks/0123456789abcdef0123456789abcdef", &[], "{}").await.status, 404);
    assert_eq!(server.deliver(&path, &[], "no json").await.status, 400);
    let page = server.deliver(&path, &[("origin", "https://evil.example")], "{}").await;
    assert_eq!(page.status, 403, "a web page delivers nothing");
    let foreign = server.send("POST", &path, &[("host", "evil.example")], b"{}").await;
    assert_eq!(foreign.status, 403);
    assert_eq!(server.deliver(&path, &[], "{}").await.status, 200);
}

#[tokio::test]
async fn a_pipeline_tells_since_when_its_source_is_polled_no_more() {
    let server = server();
    let mut polled = declaration("release");
    polled["stages"][0]["actions"][0]["configuration"]["PollForSourceChanges"] = json!("true");
    server.call("CreatePipeline", json!({ "pipeline": polled })).await.unwrap();
    let heads = MemoryHeads::default();
    let told = async || {
        server.control.poll_sources(&heads).await.unwrap();
        server.call("GetPipeline", json!({ "name": "release" })).await.unwrap()["metadata"]["pollingDisabledAt"].take()
    };
    assert_eq!(told().await, Value::Null);
    server.later(31 * 24 * 3_600_000);
    assert!(told().await.is_number());
}

#[tokio::test]
async fn connections_are_made_listed_delivered_to_and_deleted() {
    let server = server();
    let input = json!({ "connectionName": "main", "providerType": "GitHub", "token": "ghp_secret", "webhookSecret": HOOK_SECRET });
    let made = server.extension("CreateConnection", input).await.unwrap();
    assert_eq!(made["webhookSecret"], HOOK_SECRET);
    let arn = made["connection"]["connectionArn"].as_str().unwrap().to_owned();
    let listed = server.extension("ListConnections", json!({})).await.unwrap();
    assert_eq!(listed["connections"], json!([made["connection"]]));
    assert!(!listed.to_string().contains("ghp_secret") && !listed.to_string().contains(HOOK_SECRET));
    let mut declared = declaration("release");
    let source = &mut declared["stages"][0]["actions"][0];
    source["actionTypeId"]["provider"] = json!("CodeStarSourceConnection");
    source["configuration"] = json!({ "ConnectionArn": arn, "FullRepositoryId": "o/r", "BranchName": "main" });
    server.call("CreatePipeline", json!({ "pipeline": declared })).await.unwrap();
    let body = json!({ "ref": "refs/heads/main", "before": "a1", "after": "b1", "commits": [], "forced": false,
        "repository": { "full_name": "o/r" }, "head_commit": { "id": "b1", "message": "Do it" } })
    .to_string();
    let url = made["connection"]["webhookUrl"].as_str().unwrap();
    let path = url.strip_prefix("http://127.0.0.1:7707").unwrap();
    let headers = [("x-github-event", "push"), ("x-hub-signature-256", &signature(&body))];
    assert_eq!(server.deliver(path, &headers, &body).await.status, 200);
    server.run().await;
    let executions = server.call("ListPipelineExecutions", json!({ "pipelineName": "release" })).await.unwrap();
    assert_eq!(
        executions["pipelineExecutionSummaries"][0]["trigger"],
        json!({ "triggerType": "Webhook", "triggerDetail": arn })
    );
    for wrong in [
        json!({ "connectionName": "x", "providerType": "Gitea" }),
        json!({ "connectionName": "x", "providerType": "GitLabSelfManaged" }),
        json!({ "connectionName": "x y", "providerType": "GitHub" }),
        json!({ "connectionName": "x", "providerType": "GitHub", "extra": 1 }),
    ] {
        assert_eq!(code(server.extension("CreateConnection", wrong).await), "ValidationException");
    }
    let gone = json!({ "connectionArn": arn });
    assert_eq!(server.extension("DeleteConnection", gone.clone()).await, Ok(json!({})));
    assert_eq!(code(server.extension("DeleteConnection", gone).await), "ResourceNotFoundException");
    assert_eq!(server.deliver(path, &headers, &body).await.status, 404);
}
