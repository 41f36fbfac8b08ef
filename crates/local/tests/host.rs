//! The single-process host: pipelines run to their ends, and events come once and in order.
#![allow(clippy::unwrap_used, reason = "tests and benchmarks fail by panicking and say what they skip or measure")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use control::ports::{ActionReply, ActionRequest, ActionRunner};
use engine::{ActionKey, Outcome, Start, TriggerDetail};
use local::config::LocalConfig;
use local::host::{Host, HostOptions};
use local::process::SupervisorCommand;
use model::{Pipeline, TriggerType};
use serde_json::{Value, json};

struct Immediately;

#[async_trait]
impl ActionRunner for Immediately {
    async fn start(&self, request: ActionRequest) -> ActionReply {
        let outcome = if request.declaration.configuration.contains_key("Fail") {
            Outcome::failed("JobFailed", "as configured")
        } else {
            Outcome { outputs: request.action.outputs.clone(), ..Outcome::default() }
        };
        ActionReply::Ended(Box::new(outcome))
    }

    async fn poll(&self, request: ActionRequest) -> ActionReply {
        self.start(request).await
    }

    async fn end(&self, _: &ActionKey) {}
}

fn options(data: &std::path::Path) -> HostOptions {
    HostOptions {
        data: data.into(),
        config: LocalConfig::default(),
        account: "123456789012".into(),
        region: "us-east-1".into(),
        event_source: "penstock.codepipeline".into(),
        supervisor: SupervisorCommand::default(),
    }
}

fn chain(name: &str, stages: usize) -> Pipeline {
    let commands = |n: usize| {
        json!({"name": format!("s{n}"), "actions": [{"name": "a", "inputArtifacts": [{"name": "Src"}], "commands": [":"],
            "actionTypeId": {"category": "Compute", "owner": "AWS", "provider": "Commands", "version": "1"}}]})
    };
    let mut all = vec![json!({"name": "Source", "actions": [{"name": "Source", "outputArtifacts": [{"name": "Src"}],
        "actionTypeId": {"category": "Source", "owner": "AWS", "provider": "S3", "version": "1"},
        "configuration": {"S3Bucket": "b", "S3ObjectKey": "k"}}]})];
    all.extend((0..stages).map(commands));
    serde_json::from_value(json!({"name": name, "roleArn": "arn:aws:iam::123456789012:role/r", "pipelineType": "V2",
        "executionMode": "QUEUED", "artifactStore": {"type": "S3", "location": "artifacts"}, "stages": all}))
    .unwrap()
}

fn start() -> Start {
    Start {
        trigger: TriggerDetail { kind: TriggerType::StartPipelineExecution, detail: "me".into() },
        origin: None,
        variables: Default::default(),
        overrides: vec![],
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_runs_to_its_end_and_its_events_come_once_and_in_order() {
    let data = tempfile::tempdir().unwrap();
    let host = Host::open_with(options(data.path()), |_| Arc::new(Immediately)).await.unwrap();
    let mut events = host.events();
    let pipeline = chain("chain", 3);
    host.control().create_pipeline(pipeline.clone()).await.unwrap();
    let id = host.control().start_pipeline_execution(&pipeline.name, start(), None).await.unwrap();
    let mut seen = Vec::new();
    loop {
        let event = tokio::time::timeout(Duration::from_secs(20), events.recv()).await.unwrap().unwrap();
        let detail = &event.envelope["detail"];
        let text = |name: &str| detail.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
        assert_eq!(text("execution-id"), id.to_string());
        seen.push(format!("{} {} {}", text("stage"), text("action"), text("state")));
        if text("state") == "SUCCEEDED" && text("stage") == "-" {
            break;
        }
    }
    let mut expected = vec!["- - STARTED".to_owned()];
    for (stage, action) in [("Source", "Source"), ("s0", "a"), ("s1", "a"), ("s2", "a")] {
        expected.push(format!("{stage} - STARTED"));
        expected.push(format!("{stage} {action} STARTED"));
        expected.push(format!("{stage} {action} SUCCEEDED"));
        expected.push(format!("{stage} - SUCCEEDED"));
    }
    expected.push("- - SUCCEEDED".to_owned());
    assert_eq!(seen, expected);
    host.close().await.unwrap();
}

/// Every file below a directory.
fn files(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Remembers what secret it was handed.
struct Listening(Arc<std::sync::Mutex<Vec<String>>>);

#[async_trait]
impl ActionRunner for Listening {
    async fn start(&self, request: ActionRequest) -> ActionReply {
        assert!(!format!("{request:?}").contains("tok-5f1e9c"), "a request is not shown with its secrets");
        self.0.lock().unwrap().extend(request.declaration.configuration.get("OAuthToken").cloned());
        let outcome = Outcome { outputs: request.action.outputs.clone(), ..Outcome::default() };
        ActionReply::Ended(Box::new(outcome))
    }

    async fn poll(&self, request: ActionRequest) -> ActionReply {
        self.start(request).await
    }

    async fn end(&self, _: &ActionKey) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_reaches_its_provider_and_no_file() {
    let data = tempfile::tempdir().unwrap();
    let heard = Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut pipeline = chain("secretive", 1);
    pipeline.stages[0].actions[0] =
        serde_json::from_value(json!({"name": "Source", "outputArtifacts": [{"name": "Src"}],
        "actionTypeId": {"category": "Source", "owner": "ThirdParty", "provider": "GitHub", "version": "1"},
        "configuration": {"Owner": "o", "Repo": "r", "Branch": "main", "OAuthToken": "tok-5f1e9c"}}))
        .unwrap();
    // The second host is a process that knows the key from its file only.
    for start_again in [false, true] {
        let runner = Arc::new(Listening(heard.clone()));
        let host = Host::open_with(options(data.path()), |_| runner).await.unwrap();
        let mut events = host.events();
        if !start_again {
            host.control().create_pipeline(pipeline.clone()).await.unwrap();
        }
        host.control().start_pipeline_execution(&pipeline.name, start(), None).await.unwrap();
        loop {
            let event = tokio::time::timeout(Duration::from_secs(20), events.recv()).await.unwrap().unwrap();
            assert!(!event.envelope.to_string().contains("tok-5f1e9c"));
            let kind = &event.envelope["detail-type"];
            if kind == "CodePipeline Pipeline Execution State Change" && event.envelope["detail"]["state"] != "STARTED"
            {
                assert_eq!(event.envelope["detail"]["state"], "SUCCEEDED");
                break;
            }
        }
        host.close().await.unwrap();
    }
    assert_eq!(*heard.lock().unwrap(), ["tok-5f1e9c", "tok-5f1e9c"]);
    let files = files(data.path());
    assert!(files.iter().any(|file| file.ends_with("secrets/sealing/key")), "{files:?}");
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        assert!(!bytes.windows(10).any(|window| window == b"tok-5f1e9c"), "{}", file.display());
    }
}
