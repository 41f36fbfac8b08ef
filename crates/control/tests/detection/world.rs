//! A control plane in memory with everything that change detection needs, and short words for what happens to it.

use std::sync::{Arc, Mutex};

use control::connections::{MadeConnection, NewConnection, Provider};
use control::intake::{Incoming, Received, SourceEvent, Told, read};
use control::keys::Place;
use control::rows::{PublicationRow, Task, WorkRow};
use control::sources::{Detection, PolledSource, Rules};
use control::stored::decode;
use control::webhooks::{Accepted, Delivery};
use control::{Control, Handoff, Ports};
use engine::triggers::{Commit, Push, RepositoryChange, RepositoryEvent};
use engine::{ActionExecution, ActionKey, Execution};
use http::HeaderMap;
use model::{ExecutionStatus, Pipeline, Timestamp};
use serde_json::{Value, json};
use testkit::clock::ManualClock;
use testkit::detection::{MemoryHeads, MemoryRules, MemoryVault, SameFiles};
use testkit::entropy::SeededEntropy;
use testkit::memory::MemoryTable;
use testkit::sealing::MemorySealer;

pub const NOW: Timestamp = Timestamp(1_795_500_000_000);
pub const ACCOUNT: &str = "123456789012";
pub const SECRET: &str = "a secret of the webhook";

/// Keeps committed rows until a test takes them.
#[derive(Default)]
struct Rows(Mutex<Vec<WorkRow>>);

impl Handoff for Rows {
    fn committed(&self, rows: &[WorkRow], _: &[PublicationRow]) {
        self.0.lock().unwrap().extend_from_slice(rows);
    }

    fn end_driver(&self, _: &ActionKey, _: Option<&ActionExecution>) {}
}

pub struct World {
    pub control: Control,
    pub table: Arc<MemoryTable>,
    pub clock: Arc<ManualClock>,
    pub vault: Arc<MemoryVault>,
    pub rules: Arc<MemoryRules>,
    pub heads: MemoryHeads,
    rows: Arc<Rows>,
}

pub fn world() -> World {
    world_with(None, 300)
}

/// Where the provider tells these files of every change, and the bus has so many rules.
pub fn world_with(files: Option<Vec<&str>>, quota: usize) -> World {
    let (table, clock) = (Arc::new(MemoryTable::new()), Arc::new(ManualClock::at(NOW)));
    let (rows, vault, rules) =
        (Arc::new(Rows::default()), Arc::new(MemoryVault::default()), Arc::new(MemoryRules::default()));
    let ports = Ports {
        table: table.clone(),
        clock: clock.clone(),
        entropy: Arc::new(SeededEntropy::new(7)),
        handoff: rows.clone(),
        sealer: Some(Arc::new(MemorySealer::default())),
    };
    let told = |files: Vec<&str>| -> Arc<dyn control::intake::ChangedFiles> {
        Arc::new(SameFiles(Some(files.into_iter().map(str::to_owned).collect())))
    };
    let detection = Detection {
        stack: Some("test".into()),
        rules: Some(Rules { port: rules.clone(), quota, artifact_buckets: vec!["stack-artifacts".into()] }),
        vault: Some(vault.clone()),
        files: files.map(told),
        webhook_url: "https://hooks.example.org".to_owned().into(),
    };
    let place = Place { account: ACCOUNT.into(), region: "eu-west-1".into() };
    let control = Control::new(ports, place).with_detection(Arc::new(detection));
    World { control, table, clock, vault, rules, heads: MemoryHeads::default(), rows }
}

/// A pipeline with one source action, `Src`.
pub fn pipeline(name: &str, provider: &str, configuration: Value) -> Value {
    let owner = if provider == "GitHub" { "ThirdParty" } else { "AWS" };
    json!({
        "name": name, "roleArn": "arn:aws:iam::123456789012:role/ship", "pipelineType": "V2",
        "artifactStore": { "type": "S3", "location": "store" },
        "stages": [
            { "name": "Source", "actions": [{ "name": "Src",
                "actionTypeId": { "category": "Source", "owner": owner, "provider": provider, "version": "1" },
                "configuration": configuration, "outputArtifacts": [{ "name": "Out" }] }] },
            { "name": "Ship", "actions": [{ "name": "Sign",
                "actionTypeId": { "category": "Approval", "owner": "AWS", "provider": "Manual", "version": "1" } }] }
        ]
    })
}

/// A pipeline of `owner/repo` behind a connection, with this trigger's filters or none.
pub fn git_pipeline(name: &str, connection: &str, filters: Option<Value>) -> Value {
    let configuration = json!({ "ConnectionArn": connection, "FullRepositoryId": "owner/repo", "BranchName": "main" });
    let mut declared = pipeline(name, "CodeStarSourceConnection", configuration);
    if let Some(mut filters) = filters {
        filters["sourceActionName"] = json!("Src");
        declared["triggers"] = json!([{ "providerType": "CodeStarSourceConnection", "gitConfiguration": filters }]);
    }
    declared
}

pub fn s3(extra: Value) -> Value {
    let mut configuration = json!({ "S3Bucket": "in", "S3ObjectKey": "app.zip", "PollForSourceChanges": "false" });
    configuration.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    configuration
}

pub fn declared(value: Value) -> Pipeline {
    serde_json::from_value(value).unwrap()
}

/// `before..after` of a branch.
pub fn push(git_ref: &str, moved: &str) -> Push {
    let (before, after) = moved.split_once("..").unwrap();
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Push {
        git_ref: git_ref.into(),
        before: some(before),
        after: some(after),
        commit: some(after).map(|id| Commit { id, ..Commit::default() }),
        forced: false,
        files: Some(vec!["src/main.rs".into()]),
    }
}

impl World {
    pub async fn create(&self, value: Value) {
        self.control.create_pipeline(declared(value)).await.unwrap();
    }

    pub async fn connection(&self, provider: Provider, change: impl FnOnce(&mut NewConnection)) -> MadeConnection {
        let mut new = NewConnection {
            name: "main".into(),
            provider,
            host: provider.host().is_none().then(|| "git.example.org".into()),
            app_id: None,
            token: None,
            webhook_secret: Some(SECRET.into()),
            mapped_arn: None,
            allow_forks: false,
        };
        change(&mut new);
        self.control.create_connection(new).await.unwrap()
    }

    /// The ARN of a new GitHub connection.
    pub async fn github(&self) -> String {
        let made = self.connection(Provider::GitHub, |_| {}).await;
        self.control.connection_arn(&made.connection.id)
    }

    pub async fn tell(&self, connection: &str, change: RepositoryChange, delivery: &str) -> Received {
        let event = RepositoryEvent {
            provider: "GitHub".into(),
            connection: connection.into(),
            repository: "owner/repo".into(),
            delivery: Some(delivery.into()),
            change,
        };
        self.control.receive(&SourceEvent::Repository(event), &Told::default()).await.unwrap()
    }

    pub async fn pushed(&self, connection: &str, moved: &str, delivery: &str) -> Received {
        self.tell(connection, RepositoryChange::Push(push("refs/heads/main", moved)), delivery).await
    }

    /// Takes in an event as EventBridge brings it.
    pub async fn event(&self, event: Value) -> Received {
        match read(&event, Some("arn:aws:events:eu-west-1:123456789012:rule/it")).unwrap() {
            Incoming::Change(change, told) => self.control.receive(&change, &told).await.unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// The newest executions of `p`, in the order of their starts.
    pub async fn executions(&self) -> Vec<Execution> {
        let (found, _) = self.control.list_pipeline_executions(&"p".into(), None, 100, None).await.unwrap();
        let mut executions = Vec::new();
        for summary in found.iter().rev() {
            executions.push(self.control.get_pipeline_execution(&"p".into(), summary.id).await.unwrap());
        }
        executions
    }

    /// The commits of the executions of `p`, with what became of each.
    pub async fn commits(&self) -> Vec<(String, ExecutionStatus)> {
        let commit = |execution: &Execution| execution.origin.as_ref().and_then(|origin| origin.after.clone());
        self.executions().await.iter().map(|one| (commit(one).unwrap_or_default(), one.status)).collect()
    }

    pub async fn accept(&self, hook: &str, headers: &[(&str, &str)], body: &[u8], peer: &str) -> Accepted {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        let delivery = Delivery { hook, headers: &map, body, peer: peer.parse().unwrap() };
        self.control.accept_webhook(delivery).await.unwrap()
    }

    /// The rows of webhooks that were committed and not taken yet.
    pub fn webhook_rows(&self) -> Vec<WorkRow> {
        let mut rows = self.rows.0.lock().unwrap();
        let (taken, left) =
            std::mem::take(&mut *rows).into_iter().partition(|row| matches!(row.task, Task::Webhook(_)));
        *rows = left;
        taken
    }

    /// Matches all deliveries that wait.
    pub async fn matched(&self) -> Received {
        let mut all = Received::default();
        for row in self.webhook_rows() {
            let Task::Webhook(delivery) = &row.task else { continue };
            let one = self.control.match_delivery(&row, delivery).await.unwrap();
            all.started.extend(one.started);
            all.repeated += one.repeated;
            all.passed.extend(one.passed);
        }
        all
    }

    pub fn polled(&self) -> Vec<PolledSource> {
        let items = self.table.items().into_iter().filter(|(key, _)| key.pk.ends_with("/polled"));
        items.map(|(key, stored)| decode(&stored.body, &key.sk).unwrap()).collect()
    }

    /// The places in all partitions of source resources.
    pub fn pointers(&self) -> Vec<String> {
        let items = self.table.items().into_iter().filter(|(key, _)| key.pk.contains("/s/"));
        items.map(|(key, _)| key.pk.split_once("/s/").unwrap().1.to_owned()).collect()
    }

    pub fn pass_minutes(&self, minutes: i64) {
        self.clock.advance_millis(minutes * 60_000);
    }
}
