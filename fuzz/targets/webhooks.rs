//! Deliveries of webhooks: one byte chooses the hook, the kind of event and whether the delivery is signed as its sender
//! would. Then comes the body; where it is not signed, its first line is the signature. What passes is matched at once.
#![no_main]

use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use control::connections::{NewConnection, Provider};
use control::keys::Place;
use control::rows::{PublicationRow, Task, WorkRow};
use control::sources::Detection;
use control::webhooks::{Accepted, Delivery, FilterRule, NewWebhook};
use control::{Control, Handoff, Ports};
use engine::{ActionExecution, ActionKey};
use futures::executor::block_on;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName, HeaderValue};
use model::Timestamp;
use serde_json::{Value, json};
use sha2::Sha256;
use testkit::clock::ManualClock;
use testkit::detection::MemoryVault;
use testkit::entropy::SeededEntropy;
use testkit::memory::MemoryTable;
use testkit::sealing::MemorySealer;

const SECRET: &str = "a secret of the webhook";
/// What a world has taken in then is forgotten: a fuzzer never rests.
const MOST_DELIVERIES: usize = 500;
const PROVIDERS: [Provider; 3] = [Provider::GitHub, Provider::GitLab, Provider::Bitbucket];
const EVENTS: [&str; 7] = [
    "push",
    "pull_request",
    "ping",
    "repo:push",
    "pullrequest:created",
    "pullrequest:updated",
    "pullrequest:fulfilled",
];

#[derive(Default)]
struct Rows(Mutex<Vec<WorkRow>>);

impl Handoff for Rows {
    fn committed(&self, rows: &[WorkRow], _: &[PublicationRow]) {
        self.0.lock().expect("no panic").extend_from_slice(rows);
    }

    fn end_driver(&self, _: &ActionKey, _: Option<&ActionExecution>) {}
}

struct World {
    control: Control,
    rows: Arc<Rows>,
    /// Three connections' hooks, one signed webhook's and one that everybody may call.
    hooks: Vec<String>,
    taken: usize,
}

fn pipeline(name: &str, connection: &str) -> Value {
    json!({
        "name": name, "roleArn": "arn:aws:iam::123456789012:role/ship", "pipelineType": "V2",
        "artifactStore": { "type": "S3", "location": "store" },
        "triggers": [{ "providerType": "CodeStarSourceConnection", "gitConfiguration": { "sourceActionName": "Src",
            "push": [{ "branches": { "includes": ["ma*", "**/x"], "excludes": ["no?"] }, "filePaths": { "includes": ["src/**"] } },
                { "tags": { "includes": ["v*"] } }] } }],
        "stages": [
            { "name": "Source", "actions": [{ "name": "Src",
                "actionTypeId": { "category": "Source", "owner": "AWS", "provider": "CodeStarSourceConnection", "version": "1" },
                "configuration": { "ConnectionArn": connection, "FullRepositoryId": "owner/repo", "BranchName": "main" },
                "outputArtifacts": [{ "name": "Out" }] }] },
            { "name": "Ship", "actions": [{ "name": "Sign",
                "actionTypeId": { "category": "Approval", "owner": "AWS", "provider": "Manual", "version": "1" } }] }
        ]
    })
}

impl World {
    fn new() -> Self {
        let rows = Arc::new(Rows::default());
        let ports = Ports {
            table: Arc::new(MemoryTable::new()),
            clock: Arc::new(ManualClock::at(Timestamp(1_795_500_000_000))),
            entropy: Arc::new(SeededEntropy::new(7)),
            handoff: rows.clone(),
            sealer: Some(Arc::new(MemorySealer::default())),
        };
        let detection = Detection {
            vault: Some(Arc::new(MemoryVault::default())),
            webhook_url: "https://hooks.example.org".to_owned().into(),
            ..Detection::default()
        };
        let place = Place { account: "123456789012".into(), region: "eu-west-1".into() };
        let control = Control::new(ports, place).with_detection(Arc::new(detection));
        let mut world = Self { control, rows, hooks: Vec::new(), taken: 0 };
        block_on(world.fill());
        world
    }

    async fn fill(&mut self) {
        for provider in PROVIDERS {
            let new = NewConnection {
                name: provider.as_str().into(),
                provider,
                host: provider.host().is_none().then(|| "git.example.org".into()),
                app_id: None,
                token: None,
                webhook_secret: Some(SECRET.into()),
                mapped_arn: None,
                allow_forks: true,
            };
            let made = self.control.create_connection(new).await.expect("a connection");
            let declared = pipeline(provider.as_str(), &self.control.connection_arn(&made.connection.id));
            let declared = serde_json::from_value(declared).expect("a declaration");
            self.control.create_pipeline(declared).await.expect("a pipeline");
            self.hooks.push(made.connection.hook);
        }
        let rule = |path: &str, equals: Option<&str>| FilterRule {
            json_path: path.into(),
            match_equals: equals.map(str::to_owned),
        };
        for (name, authentication) in [("signed", "GITHUB_HMAC"), ("open", "UNAUTHENTICATED")] {
            let new = NewWebhook {
                name: name.into(),
                target_pipeline: "GitHub".into(),
                target_action: "Src".into(),
                filters: vec![
                    rule("$.ref", Some("refs/heads/{BranchName}")),
                    rule("$..commits[?@.id != 'x'].added[0:-1:2]", None),
                ],
                authentication: authentication.into(),
                secret_token: (name == "signed").then(|| SECRET.into()),
                allowed_ip_range: None,
                tags: None,
            };
            self.hooks.push(self.control.put_webhook(new).await.expect("a webhook").hook);
        }
    }

    async fn take(&mut self, choice: u8, data: &[u8]) {
        let which = usize::from(choice & 0x07) % self.hooks.len();
        let event = EVENTS[usize::from(choice >> 4 & 0x07) % EVENTS.len()];
        let is_genuine = choice & 0x08 != 0 || which == 4;
        let (signature, body) = if is_genuine { genuine(data) } else { forged(data) };
        let mut headers = HeaderMap::new();
        let token = if is_genuine { SECRET.as_bytes() } else { &signature };
        for (name, value) in [
            ("x-hub-signature-256", &signature[..]),
            ("x-hub-signature", &signature),
            ("x-gitlab-token", token),
            ("x-github-event", event.as_bytes()),
            ("x-event-key", event.as_bytes()),
        ] {
            let Ok(value) = HeaderValue::from_bytes(value) else { return };
            headers.insert(HeaderName::from_static(name), value);
        }
        if choice & 0x80 != 0 {
            headers.insert("content-type", HeaderValue::from_static("application/x-www-form-urlencoded"));
        }
        let delivery =
            Delivery { hook: &self.hooks[which], headers: &headers, body, peer: IpAddr::from([127, 0, 0, 1]) };
        let accepted = self.control.accept_webhook(delivery).await.expect("memory does not fail");
        assert!(is_genuine || accepted == Accepted::Forbidden, "a forged delivery: {accepted:?}");
        let rows = std::mem::take(&mut *self.rows.0.lock().expect("no panic"));
        for row in rows {
            if let Task::Webhook(delivery) = &row.task {
                self.control.match_delivery(&row, delivery).await.expect("memory does not fail");
            }
        }
        self.taken += 1;
    }
}

/// The body with the signature that its sender makes.
fn genuine(body: &[u8]) -> (Vec<u8>, &[u8]) {
    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any length").chain_update(body).finalize();
    let hex: String = mac.into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    (format!("sha256={hex}").into_bytes(), body)
}

/// The first line is what stands in for the signature.
fn forged(data: &[u8]) -> (Vec<u8>, &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    (data[..end].to_vec(), data.get(end + 1..).unwrap_or_default())
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::new(World::new());
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((choice, data)) = data.split_first() else { return };
    WORLD.with_borrow_mut(|world| {
        if world.taken >= MOST_DELIVERIES {
            *world = World::new();
        }
        block_on(world.take(*choice, data));
    });
});
