//! An API over a control plane in memory, a client that signs, and a driver that runs what is due.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use api::approval::{Approvals, ControlDesk, KeyFile};
use api::events::{EventLog, Events, Numbered};
use api::extensions::Logs;
use api::guard::Guard;
use api::hosts::Hosts;
use api::means::Means;
use api::regions::EveryRegion;
use api::secret::Secret;
use api::sigv4::{Credential, Credentials, Verifier};
use api::{Api, ApiError, Body};
use async_trait::async_trait;
use bytes::Bytes;
use control::dispatch::Dispatched;
use control::keys::Place;
use control::ports::ActionReply;
use control::ports::Clock;
use control::rows::{PublicationRow, Task, WorkRow};
use control::sources::Detection;
use control::{Control, Handoff, Ports};
use engine::{ActionExecution, ActionKey, LogLocation, Outcome, Started};
use hmac::{Hmac, KeyInit, Mac};
use http::{Request, Response};
use model::{Category, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use testkit::clock::ManualClock;
use testkit::detection::MemoryVault;
use testkit::entropy::SeededEntropy;
use testkit::memory::MemoryTable;
use testkit::sealing::MemorySealer;

pub const NOW: Timestamp = Timestamp(1_795_500_000_000);
pub const STAMP: &str = "20261124T060000Z";
pub const REGION: &str = "eu-west-1";
pub const ACCOUNT: &str = "123456789012";
pub const ACCESS_KEY: &str = "AKIDEXAMPLE";
pub const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
pub const OTHER_KEY: &str = "AKIDOTHER";
pub const OTHER: &str = "arn:aws:iam::123456789012:user/bob";
pub const USER: &str = "arn:aws:iam::123456789012:user/ada";
pub const EVENTS_TOKEN: &str = "events-token";
pub const JSON: &str = "application/x-amz-json-1.1";

pub struct OneUser;

impl Credentials for OneUser {
    fn find(&self, access_key: &str) -> Option<Arc<Credential>> {
        let principal = match access_key {
            ACCESS_KEY => USER,
            OTHER_KEY => OTHER,
            _ => return None,
        };
        let secret = Secret::new(SECRET);
        Some(Arc::new(Credential { secret, session_token: None, principal: principal.into() }))
    }
}

/// Keeps what was committed until the driver takes it.
#[derive(Default)]
struct Inbox(Mutex<Vec<WorkRow>>);

impl Handoff for Inbox {
    fn committed(&self, rows: &[WorkRow], _: &[PublicationRow]) {
        self.0.lock().unwrap().extend_from_slice(rows);
    }

    fn end_driver(&self, _: &ActionKey, _: Option<&ActionExecution>) {}
}

/// Logs by their place.
#[derive(Default)]
pub struct TextLogs(pub Mutex<HashMap<String, Vec<u8>>>);

#[async_trait]
impl Logs for TextLogs {
    async fn read(&self, location: &LogLocation, offset: u64, limit: usize) -> Result<Vec<u8>, ApiError> {
        let logs = self.0.lock().unwrap();
        let bytes = logs.get(&location.location).map(Vec::as_slice).unwrap_or_default();
        let from = usize::try_from(offset).unwrap().min(bytes.len());
        Ok(bytes[from..bytes.len().min(from + limit)].to_vec())
    }
}

/// A log of this many events, whose reader waits for nothing.
pub struct CountedEvents(pub u64);

#[async_trait]
impl EventLog for CountedEvents {
    async fn newest(&self) -> u64 {
        self.0
    }

    async fn after(&self, number: u64, limit: usize) -> Result<Vec<Numbered>, ApiError> {
        let limit = u64::try_from(limit).unwrap();
        let numbers = number + 1..=self.0.min(number + limit);
        Ok(numbers.map(|number| Numbered { number, envelope: format!("{{\"n\":{number}}}").into() }).collect())
    }
}

pub struct Server {
    pub api: Api,
    pub control: Control,
    pub logs: Arc<TextLogs>,
    pub table: Arc<MemoryTable>,
    inbox: Arc<Inbox>,
    clock: Arc<ManualClock>,
    _folder: tempfile::TempDir,
}

pub fn server() -> Server {
    let folder = tempfile::tempdir().unwrap();
    let table = Arc::new(MemoryTable::new());
    let (inbox, clock) = (Arc::new(Inbox::default()), Arc::new(ManualClock::at(NOW)));
    let ports = Ports {
        table: table.clone(),
        clock: clock.clone(),
        entropy: Arc::new(SeededEntropy::new(1)),
        handoff: inbox.clone(),
        sealer: Some(Arc::new(MemorySealer::default())),
    };
    let control = Control::new(ports.clone(), Place { account: ACCOUNT.into(), region: REGION.into() });
    let detection = Arc::new(Detection {
        vault: Some(Arc::new(MemoryVault::default())),
        webhook_url: "http://127.0.0.1:7707".to_owned().into(),
        ..Detection::default()
    });
    let control = control.with_detection(detection.clone());
    let regions = Arc::new(EveryRegion::new(ports, ACCOUNT).with_detection(detection));
    let keys = KeyFile::load_or_make(&folder.path().join("key")).unwrap();
    let logs = Arc::new(TextLogs::default());
    let api = Api {
        means: Arc::new(Means::new("page-token-key")),
        guard: Guard::default(),
        approvals: Approvals::new(Arc::new(ControlDesk(regions.clone())), Arc::new(keys)),
        regions,
        verifier: Verifier::new(Arc::new(OneUser), api::handle::SERVICE),
        base_url: "http://127.0.0.1:7707".into(),
        logs: logs.clone(),
        events: Some(Events::new(Arc::new(CountedEvents(100)), Secret::new(EVENTS_TOKEN))),
        hosts: Hosts::loopback(),
        clock: clock.clone(),
    };
    Server { api, control, logs, table, inbox, clock, _folder: folder }
}

/// An answer, read.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

pub fn read(response: Response<Body>) -> Answer {
    let (parts, body) = response.into_parts();
    let Body::Full(bytes) = body else { panic!("a stream") };
    let body = String::from_utf8(bytes.to_vec()).unwrap();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}

impl Server {
    pub async fn respond(&self, request: Request<Bytes>) -> Response<Body> {
        let peer = SocketAddr::from(([127, 0, 0, 1], 40_000));
        api::handle(&self.api, request, peer).await
    }

    pub async fn send(&self, method: &str, uri: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        read(self.respond(request.body(Bytes::copy_from_slice(body)).unwrap()).await)
    }

    /// A signed call of any target in any region.
    pub async fn raw(&self, target: &str, region: &str, body: &[u8]) -> Answer {
        self.raw_as(ACCESS_KEY, target, region, body).await
    }

    async fn raw_as(&self, key: &str, target: &str, region: &str, body: &[u8]) -> Answer {
        let auth = sign_as(key, target, region, body, &self.stamp());
        let headers = [
            ("host", "127.0.0.1:7707"),
            ("content-type", JSON),
            ("x-amz-date", &self.stamp()),
            ("x-amz-target", target),
            ("authorization", auth.as_str()),
        ];
        self.send("POST", "/", &headers, body).await
    }

    pub async fn call(&self, operation: &str, input: Value) -> Result<Value, (String, String)> {
        self.target(&format!("CodePipeline_20150709.{operation}"), input).await
    }

    pub async fn extension(&self, operation: &str, input: Value) -> Result<Value, (String, String)> {
        self.target(&format!("Penstock_20261124.{operation}"), input).await
    }

    /// A call of somebody else of the account.
    pub async fn as_other(&self, operation: &str, input: Value) -> Result<Value, (String, String)> {
        self.target_as(OTHER_KEY, &format!("CodePipeline_20150709.{operation}"), input).await
    }

    /// What kinds of publications were written, in no order.
    pub fn published(&self) -> Vec<&'static str> {
        let table = self.table.items();
        let rows = table.iter().filter(|(key, _)| key.pk.starts_with(&format!("{ACCOUNT}/o/")));
        let kind = |body: &[u8]| {
            let row: PublicationRow = control::stored::decode(body, "a publication").unwrap();
            if row.record.is_some() { "record" } else { "changes" }
        };
        rows.map(|(_, stored)| kind(&stored.body)).collect()
    }

    /// Time passes.
    pub fn later(&self, millis: i64) {
        self.clock.advance_millis(millis);
    }

    /// Headers and their signature.
    pub fn signed(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<(String, String)> {
        let stamp = self.stamp();
        let mut all = [headers, &[("host", "127.0.0.1:7707"), ("x-amz-date", &stamp)]].concat();
        all.sort_unstable();
        let signature = authorization(ACCESS_KEY, REGION, &stamp, (method, path), &all, body);
        all.push(("authorization", &signature));
        all.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn stamp(&self) -> String {
        self.clock.now().to_iso_seconds().replace(['-', ':'], "")
    }

    async fn target(&self, target: &str, input: Value) -> Result<Value, (String, String)> {
        self.target_as(ACCESS_KEY, target, input).await
    }

    async fn target_as(&self, key: &str, target: &str, input: Value) -> Result<Value, (String, String)> {
        let answer = self.raw_as(key, target, REGION, input.to_string().as_bytes()).await;
        if answer.status != 200 {
            let error = answer.json();
            assert_eq!(answer.headers["x-amzn-errortype"], error["__type"].as_str().unwrap());
            let text = |name: &str| error[name].as_str().unwrap().to_owned();
            return Err((text("__type"), text("message")));
        }
        let operation = target.split_once('.').unwrap().1;
        let output = if answer.body.is_empty() { Value::Null } else { answer.json() };
        check_output(operation, &output);
        Ok(output)
    }

    /// Runs all that is due: actions succeed at once, approvals wait, `Fail*` fail.
    pub async fn run(&self) {
        loop {
            let rows = std::mem::take(&mut *self.inbox.0.lock().unwrap());
            let (due, later): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.due <= self.control.now());
            self.inbox.0.lock().unwrap().extend(later);
            if due.is_empty() {
                return;
            }
            for row in due {
                self.run_row(&row).await;
            }
            // So that what happens later is later.
            self.clock.advance_millis(1);
        }
    }

    async fn run_row(&self, row: &WorkRow) {
        match &row.task {
            Task::Engine(work) => drop(self.control.consume(row, work).await.unwrap()),
            Task::Dispatch(keys) => {
                for (index, key) in keys.iter().enumerate() {
                    let consumed = (index + 1 == keys.len()).then_some(row);
                    self.run_action(row, key, consumed).await;
                }
            }
            Task::Webhook(delivery) => drop(self.control.match_delivery(row, delivery).await.unwrap()),
            Task::Poll(_) | Task::Clean => {}
        }
    }

    async fn run_action(&self, row: &WorkRow, key: &ActionKey, consumed: Option<&WorkRow>) {
        let claimed = self.control.claim(&row.pipeline, key, 1, consumed).await.unwrap();
        let reply = match claimed {
            Dispatched::Nothing => return,
            Dispatched::Fail(_, outcome) => ActionReply::Ended(outcome),
            Dispatched::Run(request) if request.declaration.action_type_id.category == Category::Approval => {
                ActionReply::Pending { started: Started::default(), poll_at: None }
            }
            Dispatched::Run(request) => ActionReply::Ended(Box::new(outcome(&request))),
        };
        self.control.report(&row.pipeline, key, reply, None).await.unwrap();
    }
}

fn outcome(request: &control::ports::ActionRequest) -> Outcome {
    let name = &request.action.key.name;
    if name.as_str().starts_with("Fail") {
        return Outcome::failed("JobFailed", "it was told to fail");
    }
    let revision = engine::SourceRevision {
        action: name.clone(),
        artifact: request.action.outputs.first().map(|output| output.name.clone()),
        revision_id: "8cf40f2".into(),
        summary: Some("Add <licence>".into()),
        url: Some("https://git.example/8cf40f2".into()),
        created: Some(NOW),
    };
    let is_source = request.declaration.action_type_id.category == Category::Source;
    Outcome {
        revision: is_source.then_some(revision),
        outputs: request.action.outputs.clone(),
        variables: [("CommitId".to_owned(), "8cf40f2".to_owned())].into(),
        ..Outcome::default()
    }
}

/// Every answer of the API model's operations has the shape that the model says.
fn check_output(operation: &str, output: &Value) {
    let Some(operation) = model::shapes::operation(operation) else { return };
    match &operation.output {
        Some(shape) => {
            let mut findings = model::shapes::validate(shape, output);
            // The service's own types have more configuration keys and artifacts than its model lets others have.
            findings.retain(|finding| {
                let more = finding.path.ends_with("ConfigurationProperties") || finding.path.ends_with("maximumCount");
                !(more && (finding.path.starts_with("$.actionTypes") || finding.path.starts_with("$.ruleTypes")))
            });
            assert!(findings.is_empty(), "{shape}: {findings:#?} {output:#}");
        }
        None => assert_eq!(*output, Value::Null),
    }
}

/// The `Authorization` header of a call, as a client makes it.
pub fn sign(target: &str, region: &str, body: &[u8]) -> String {
    sign_as(ACCESS_KEY, target, region, body, STAMP)
}

fn sign_as(key: &str, target: &str, region: &str, body: &[u8], stamp: &str) -> String {
    let headers = [("content-type", JSON), ("host", "127.0.0.1:7707"), ("x-amz-date", stamp), ("x-amz-target", target)];
    authorization(key, region, stamp, ("POST", "/"), &headers, body)
}

/// `headers` are lower case and sorted.
fn authorization(
    key: &str,
    region: &str,
    stamp: &str,
    (method, path): (&str, &str),
    headers: &[(&str, &str)],
    body: &[u8],
) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mac = |key: &[u8], text: &str| {
        Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(text.as_bytes()).finalize().into_bytes().to_vec()
    };
    let (date, signed) = (&stamp[..8], headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";"));
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let canonical = format!("{method}\n{path}\n\n{lines}\n{signed}\n{}", hex(&Sha256::digest(body)));
    let scope = format!("{date}/{region}/codepipeline/aws4_request");
    let to_sign = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}", hex(&Sha256::digest(canonical.as_bytes())));
    let derived = [date, region, "codepipeline", "aws4_request"]
        .iter()
        .fold(format!("AWS4{SECRET}").into_bytes(), |key, part| mac(&key, part));
    let signature = hex(&mac(&derived, &to_sign));
    format!("AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={signed}, Signature={signature}")
}

/// A pipeline with a source, an approval and a deploy.
pub fn declaration(name: &str) -> Value {
    json!({
        "name": name,
        "roleArn": "arn:aws:iam::123456789012:role/ship",
        "artifactStore": { "type": "S3", "location": "store" },
        "pipelineType": "V2",
        "variables": [{ "name": "tag", "defaultValue": "v1" }],
        "stages": [
            { "name": "Source", "actions": [{
                "name": "Fetch", "namespace": "Fetched",
                "actionTypeId": { "category": "Source", "owner": "AWS", "provider": "S3", "version": "1" },
                "configuration": { "S3Bucket": "in-bucket", "S3ObjectKey": "a.zip", "PollForSourceChanges": "false" },
                "outputArtifacts": [{ "name": "Src" }] }] },
            { "name": "Check", "actions": [{
                "name": "Decide",
                "actionTypeId": { "category": "Approval", "owner": "AWS", "provider": "Manual", "version": "1" },
                "configuration": { "CustomData": "Look at #{Fetched.CommitId}", "ExternalEntityLink": "https://example.org/x" } }] },
            { "name": "Ship", "actions": [{
                "name": "Upload",
                "actionTypeId": { "category": "Deploy", "owner": "AWS", "provider": "S3", "version": "1" },
                "configuration": { "BucketName": "out-bucket", "Extract": "true" },
                "inputArtifacts": [{ "name": "Src" }] }] }
        ]
    })
}

/// The error's name.
pub fn code(result: Result<Value, (String, String)>) -> String {
    result.expect_err("refused").0
}
