//! The API's function: who it believes, whom it refuses, and what job workers and holders of links get.

use std::sync::{Arc, Mutex};

use actions::ports::ApprovalLinks;
use actions::roles::{RoleError, Roles, Session};
use api::approval::link::LinkKeys;
use api::approval::{Approvals, ControlDesk};
use api::regions::OneRegion;
use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use functions::handlers::approval_callback::ApprovalCallback;
use functions::handlers::serve_api::{Parts, ServeApi};
use functions::handlers::trigger_intake::TriggerIntake;
use functions::policies::StackPolicies;
use functions::providers::{JobCredentials, Links};
use functions::{FunctionError, Handler, Invocation};
use model::Timestamp;
use serde_json::{Value, json};
use testkit::clock::ManualClock;

use crate::cloud::{Cloud, Weather};
use crate::policies::{ALL, Text};

const ADA: &str = "arn:aws:iam::123456789012:user/ada";
const REQUEST: &str = "e1506fd5-9e7b-434f-bd42-4f8fa224b599";

/// Keys that sign by repeating.
struct Keys;

#[async_trait]
impl LinkKeys for Keys {
    fn current(&self) -> &str {
        "key"
    }

    async fn mac(&self, _: &str, payload: &[u8]) -> Option<[u8; 32]> {
        let mut mac = [0; 32];
        payload.iter().enumerate().for_each(|(index, byte)| mac[index % 32] ^= byte);
        Some(mac)
    }

    async fn verify(&self, key: &str, payload: &[u8], mac: &[u8; 32]) -> bool {
        self.mac(key, payload).await.as_ref() == Some(mac)
    }
}

/// Roles whose sessions are numbered and remembered; one may not be assumed.
#[derive(Default)]
struct Numbered(Mutex<Vec<(Session, Value)>>);

#[async_trait]
impl Roles for Numbered {
    async fn config(&self, _: &Session) -> Result<SdkConfig, RoleError> {
        Err(RoleError::Invalid("nobody needs it".into()))
    }

    async fn limited(&self, session: &Session, policy: &str) -> Result<Credentials, RoleError> {
        if session.role_arn.ends_with("/closed") {
            let (role, by) = (session.role_arn.clone(), "the service role".into());
            return Err(RoleError::Denied { role, by, external_id: session.external_id.clone() });
        }
        let mut sessions = self.0.lock().expect("no panic before");
        sessions.push((session.clone(), serde_json::from_str(policy).expect("JSON")));
        Ok(Credentials::new(format!("AKIA-{}", sessions.len()), "secret", Some("session".into()), None, "tests"))
    }
}

fn policies(text: Option<&str>) -> StackPolicies {
    let text = text.map(|text| -> Arc<dyn functions::policies::PolicyText> { Text::of(text) });
    StackPolicies::new(text, Arc::new(ManualClock::at(Timestamp(0))))
}

struct Stack {
    cloud: Cloud,
    api: ServeApi,
    roles: Arc<Numbered>,
}

async fn opened(cloud: &Cloud, text: Option<&str>, roles: &Arc<Numbered>) -> Result<ServeApi, FunctionError> {
    let parts = Parts {
        sender: cloud.sender(),
        keys: Arc::new(Keys),
        artifact_credentials: Arc::new(JobCredentials(roles.clone())),
        policies: policies(text),
        approval_url: "https://approve.example/".into(),
        emulated: false,
    };
    ServeApi::open(parts).await
}

async fn stack(text: Option<&str>) -> Stack {
    let (cloud, roles) = (Cloud::new(5, Weather::default()), Arc::new(Numbered::default()));
    let api = opened(&cloud, text, &roles).await.expect("open");
    Stack { cloud, api, roles }
}

fn url_event(target: &str, input: &Value, who: &str) -> Value {
    json!({
        "version": "2.0", "rawPath": "/",
        "headers": { "host": "abc.lambda-url.eu-west-1.on.aws", "content-type": "application/x-amz-json-1.1",
            "x-amz-target": target },
        "requestContext": { "requestId": REQUEST, "domainName": "abc.lambda-url.eu-west-1.on.aws",
            "http": { "method": "POST", "sourceIp": "203.0.113.7" },
            "authorizer": { "iam": { "accessKey": "AKIA", "userArn": who } } },
        "body": input.to_string(),
    })
}

fn invocation(id: &str) -> Invocation {
    Invocation { request_id: id.into(), trace: None }
}

impl Stack {
    async fn target(&self, who: &str, target: &str, input: Value) -> Result<Value, Value> {
        let event = url_event(target, &input, who);
        let answer = self.api.handle(event, &invocation(REQUEST)).await.expect("answered");
        let body = answer["body"].as_str().filter(|body| !body.is_empty()).unwrap_or("null");
        let body = serde_json::from_str(body).expect("JSON");
        if answer["statusCode"] == 200 { Ok(body) } else { Err(body) }
    }

    async fn call(&self, operation: &str, input: Value) -> Result<Value, Value> {
        self.target(ADA, &format!("CodePipeline_20150709.{operation}"), input).await
    }
}

fn builder() -> Value {
    json!({ "category": "Build", "owner": "Custom", "provider": "Builder", "version": "1" })
}

fn pipeline(name: &str) -> Value {
    json!({ "name": name, "roleArn": "arn:aws:iam::123456789012:role/penstock/p", "pipelineType": "V2",
        "artifactStore": { "type": "S3", "location": "store" }, "stages": [
        { "name": "Source", "actions": [{ "name": "Src-now", "outputArtifacts": [{ "name": "Src" }],
            "actionTypeId": { "category": "Source", "owner": "AWS", "provider": "S3", "version": "1" },
            "configuration": { "S3Bucket": "b", "S3ObjectKey": "k.zip", "PollForSourceChanges": "false" } }] },
        { "name": "Work", "actions": [
            { "name": "Make", "actionTypeId": builder(), "configuration": { "Pin": "1234" },
              "inputArtifacts": [{ "name": "Src" }], "outputArtifacts": [{ "name": "Out" }] },
            { "name": "Decide-waits", "configuration": {},
              "actionTypeId": { "category": "Approval", "owner": "AWS", "provider": "Manual", "version": "1" } }] }] })
}

async fn running(stack: &Stack) {
    let count = |most: u32| json!({ "minimumCount": 0, "maximumCount": most });
    let new = json!({ "category": "Build", "provider": "Builder", "version": "1",
        "configurationProperties": [{ "name": "Pin", "required": false, "key": false, "secret": true }],
        "inputArtifactDetails": count(1), "outputArtifactDetails": count(1) });
    stack.call("CreateCustomActionType", new).await.expect("created");
    stack.call("CreatePipeline", json!({ "pipeline": pipeline("release") })).await.expect("created");
    stack.cloud.deliver().await;
}

#[tokio::test]
async fn events_that_somebody_made_up_are_refused() {
    let stack = stack(None).await;
    let good = url_event("CodePipeline_20150709.ListPipelines", &json!({}), ADA);
    assert_eq!(stack.api.handle(good.clone(), &invocation(REQUEST)).await.expect("answered")["statusCode"], 200);
    let mut unsigned = good.clone();
    unsigned["requestContext"]["authorizer"] = Value::Null;
    for (event, id) in [(good, "0b7d2c0e-the-invocation"), (unsigned, REQUEST), (json!({ "name": "release" }), REQUEST)]
    {
        let refused = stack.api.handle(event, &invocation(id)).await;
        assert!(matches!(refused, Err(FunctionError::InvalidEvent(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn policies_say_who_may_do_what() {
    let stack = stack(Some(&format!(
        r#"permit (principal == Principal::"{ADA}", action, resource) unless {{ action == Action::"iam:PassRole" }};
           permit (principal, action == Action::"iam:PassRole", resource)
           when {{ resource == Role::"arn:aws:iam::123456789012:role/penstock/p" }};"#
    )))
    .await;
    let bob = "arn:aws:iam::123456789012:user/bob";
    let denied = stack.target(bob, "CodePipeline_20150709.ListPipelines", json!({})).await.expect_err("denied");
    assert_eq!(denied["__type"], "AccessDeniedException");
    let mut foreign = pipeline("release");
    foreign["stages"][0]["actions"][0]["roleArn"] = json!("arn:aws:iam::123456789012:role/admin");
    foreign["stages"][1]["actions"].as_array_mut().expect("actions").remove(0);
    let denied = stack.call("CreatePipeline", json!({ "pipeline": foreign })).await.expect_err("denied");
    assert_eq!(
        denied["message"],
        format!(
            "User: {ADA} is not authorized to perform: iam:PassRole on resource: arn:aws:iam::123456789012:role/admin"
        )
    );
    foreign["stages"][0]["actions"][0].as_object_mut().expect("an action").remove("roleArn");
    stack.call("CreatePipeline", json!({ "pipeline": foreign })).await.expect("created");
}

#[tokio::test]
async fn bad_policies_serve_nobody() {
    let (cloud, roles) = (Cloud::new(5, Weather::default()), Arc::new(Numbered::default()));
    let bad = "permit (principal, action == Action::\"codepipeline:Fly\", resource);";
    let refused = opened(&cloud, Some(bad), &roles).await.err().expect("refused").to_string();
    assert!(refused.contains("Fly"), "{refused}");
}

#[tokio::test]
async fn job_workers_get_fresh_credentials_for_their_artifacts_and_the_secret() {
    let stack = stack(None).await;
    running(&stack).await;
    let poll = json!({ "actionTypeId": builder() });
    let polled = stack.call("PollForJobs", poll.clone()).await.expect("polled");
    let job = &polled["jobs"][0];
    let minted = json!({ "accessKeyId": "AKIA-1", "secretAccessKey": "secret", "sessionToken": "session" });
    assert_eq!(job["data"]["artifactCredentials"], minted);
    assert_eq!(job["data"]["actionConfiguration"]["configuration"]["Pin"], "1234");
    let details = stack.call("GetJobDetails", json!({ "jobId": job["id"] })).await.expect("told");
    assert_eq!(details["jobDetails"]["data"]["artifactCredentials"]["accessKeyId"], "AKIA-2", "minted each time");
    let sessions = stack.roles.0.lock().expect("no panic before").clone();
    let (session, policy) = &sessions[0];
    assert_eq!(session.role_arn, "arn:aws:iam::123456789012:role/penstock/p");
    assert_eq!(session.external_id, "arn:aws:codepipeline:eu-west-1:123456789012:release");
    let tags: Vec<_> = session.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(tags, ["pipeline=release", "stage=Work", "action=Make"]);
    let place = |artifact: &Value| {
        let place = &artifact["location"]["s3Location"];
        let text = |name: &str| place[name].as_str().expect("a place").to_owned();
        format!("arn:aws:s3:::{}/{}", text("bucketName"), text("objectKey"))
    };
    let statement = &policy["Statement"];
    assert_eq!(statement[0]["Resource"], json!([place(&job["data"]["inputArtifacts"][0])]));
    assert_eq!(statement[1]["Action"], json!(["s3:PutObject"]));
    assert_eq!(statement[1]["Resource"], json!([place(&job["data"]["outputArtifacts"][0])]));
    for (key, stored) in stack.cloud.table.items() {
        let body = String::from_utf8_lossy(&stored.body);
        assert!(!body.contains("AKIA-1") && !body.contains("\"1234\""), "{key:?}: {body}");
    }
    assert!(!json!(stack.cloud.public()).to_string().contains("\"1234\""));
}

#[tokio::test]
async fn a_role_that_may_not_be_assumed_breaks_no_other_pipelines_job() {
    let stack = stack(None).await;
    running(&stack).await;
    let mut closed = pipeline("closed");
    closed["roleArn"] = json!("arn:aws:iam::123456789012:role/penstock/closed");
    stack.call("CreatePipeline", json!({ "pipeline": closed })).await.expect("created");
    stack.cloud.deliver().await;
    let polled = stack.call("PollForJobs", json!({ "actionTypeId": builder() })).await.expect("polled");
    let jobs = polled["jobs"].as_array().expect("jobs");
    let with = jobs.iter().filter(|job| job["data"]["artifactCredentials"].is_object()).count();
    assert_eq!((jobs.len(), with), (2, 1));
    let bare = jobs.iter().find(|job| !job["data"]["artifactCredentials"].is_object()).expect("one");
    let told = stack.call("GetJobDetails", json!({ "jobId": bare["id"] })).await.expect_err("told");
    let message = told["message"].as_str().expect("a message");
    assert!(message.contains("role/penstock/closed cannot be assumed by the service role"), "{message}");
}

/// It is committed: an error would have the caller do it again.
#[tokio::test]
async fn a_call_is_answered_although_what_follows_cannot_be_sent() {
    let cloud = Cloud::new(6, Weather { bus: 100, drivers: 100, ..Weather::default() });
    let roles = Arc::new(Numbered::default());
    let stack = Stack { api: opened(&cloud, None, &roles).await.expect("open"), cloud, roles };
    running(&stack).await;
    let started = stack.call("StartPipelineExecution", json!({ "name": "release" })).await.expect("started");
    let id = started["pipelineExecutionId"].as_str().expect("an id").parse().expect("an id");
    assert!(stack.cloud.rows_left().await > 0);
    stack.cloud.clear();
    stack.cloud.clock.advance_millis(60_000);
    stack.cloud.sweep().handle(json!({}), &Invocation::default()).await.expect("swept");
    stack.cloud.deliver().await;
    let control = stack.cloud.sender().control;
    let known = control.pipeline_ref(&"release".into()).await.expect("known");
    let execution = control.execution(known.id, id).await.expect("read").expect("there");
    assert!(execution.at.keys().any(|stage| stage.as_str() == "Work"), "{execution:?}");
}

/// Whoever starts a pipeline does not approve it.
const NOT_THE_STARTER: &str = r#"
    permit (principal, action, resource);
    forbid (principal, action == Action::"codepipeline:PutApprovalResult", resource)
    when { context has starter && context.starter == principal.arn };"#;

#[tokio::test]
async fn restricted_approvals_have_no_links_and_old_links_decide_nothing() {
    let stack = stack(None).await;
    running(&stack).await;
    let input = json!({ "pipelineName": "release", "stageName": "Work", "actionName": "Decide-waits" });
    let link = stack.target(ADA, "Penstock_20261124.GetApprovalLink", input).await.expect("a link");
    let url = link["url"].as_str().expect("a URL").to_owned();
    let path = url.strip_prefix("https://approve.example").expect("the stack's own");

    let control = stack.cloud.sender().control;
    let known = control.pipeline_ref(&"release".into()).await.expect("known");
    let state = control.get_pipeline_state(&"release".into()).await.expect("read");
    let actions = state.stages.iter().flat_map(|stage| &stage.actions);
    let waiting = actions.clone().find(|action| action.key.name.as_str() == "Decide-waits").expect("waits");
    let request = control.request_again(&known, &waiting.key).await.expect("read").expect("waits");
    let callback = |text: Option<&str>| {
        let sender = stack.cloud.sender();
        let desk = ControlDesk(Arc::new(OneRegion(sender.control.clone())));
        let approvals = Approvals::new(Arc::new(desk), Arc::new(Keys));
        ApprovalCallback { sender, approvals, policies: policies(text) }
    };
    let mut decide = url_event("", &json!({}), ADA);
    decide["rawPath"] = json!(path);
    decide["headers"]["content-type"] = json!("application/x-www-form-urlencoded");
    decide["body"] = json!("decision=approve&summary=fine");
    for (text, has_link, status) in [(Some(NOT_THE_STARTER), false, 403), (Some(ALL), true, 200)] {
        let (keys, base) = (Arc::new(Keys), "https://approve.example".to_owned());
        let links = Links { keys, base, policies: policies(text), control: control.clone() };
        let link = links.link(&request, "ann").await.expect("asked");
        assert_eq!(link.review.is_some(), has_link, "{text:?}");
        let answer = callback(text).handle(decide.clone(), &Invocation::default()).await.expect("answered");
        assert_eq!(answer["statusCode"], status, "{answer}");
    }
}

#[tokio::test]
async fn plain_answers_are_kept_by_nobody_and_taken_for_nothing_else() {
    let stack = stack(Some(NOT_THE_STARTER)).await;
    let sender = stack.cloud.sender();
    let approvals = Approvals::new(Arc::new(ControlDesk(Arc::new(OneRegion(sender.control.clone())))), Arc::new(Keys));
    let pages = ApprovalCallback { sender: sender.clone(), approvals, policies: policies(None) };
    let webhooks = TriggerIntake { sender, stack: "stack".into() };
    let functions: [(&dyn Handler, &str, &str, u16); 5] = [
        (&stack.api, "GET", "/nowhere", 404),
        (&pages, "GET", "/nowhere", 404),
        (&webhooks, "POST", "/nowhere", 404),
        (&webhooks, "GET", "/webhooks/hook", 405),
        (&webhooks, "POST", "/webhooks/unknown", 404),
    ];
    for (function, method, path, status) in functions {
        let mut event = url_event("", &json!({}), ADA);
        event["rawPath"] = json!(path);
        event["requestContext"]["http"]["method"] = json!(method);
        let answer = function.handle(event, &invocation(REQUEST)).await.expect("answered");
        assert_eq!(answer["statusCode"], status, "{method} {path}");
        let headers = &answer["headers"];
        assert_eq!(headers["content-type"], "text/plain; charset=utf-8", "{method} {path}");
        assert_eq!(headers["cache-control"], "no-store", "{method} {path}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{method} {path}");
    }
}
