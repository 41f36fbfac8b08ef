//! The single-process host: pipelines run to their ends, and events come once and in order.
#![allow(clippy::unwrap_used, reason = "tests and benchmarks fail by panicking and say what they skip or measure")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use control::Control;
use control::jobs::Success;
use control::ports::{ActionReply, ActionRequest, ActionRunner, Condition, Query, Write};
use control::rows::{Task, WorkRow};
use engine::{ActionKey, Outcome, Start, TriggerDetail};
use local::config::LocalConfig;
use local::host::{Host, HostOptions};
use local::process::SupervisorCommand;
use model::{ExecutionStatus, Pipeline, TriggerType};
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
struct Listening(Arc<Mutex<Vec<String>>>);

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
    let heard = Arc::new(Mutex::new(Vec::new()));
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

/// The job and the continuation token of each call.
type Calls = Arc<Mutex<Vec<(String, Option<String>)>>>;

/// A function that wants to be called again, once or twice, and remembers what it was called with.
struct Asking {
    control: Arc<OnceLock<Arc<Control>>>,
    calls: Calls,
}

#[async_trait]
impl ActionRunner for Asking {
    async fn start(&self, request: ActionRequest) -> ActionReply {
        let well =
            ActionReply::Ended(Box::new(Outcome { outputs: request.action.outputs.clone(), ..Outcome::default() }));
        if !control::jobs::is_function(&request.action.action_type) {
            return well;
        }
        let job = request.external_id.unwrap_or_else(|| request.action.id.to_string());
        let number = {
            let mut calls = self.calls.lock().unwrap();
            calls.push((job.clone(), request.continuation_token));
            calls.len()
        };
        if number < 3 {
            let percent = u8::try_from(number * 30).unwrap();
            let success = Success {
                continuation_token: Some(format!("part-{number}")),
                percent_complete: Some(percent),
                ..Success::default()
            };
            self.control.get().unwrap().put_job_success_result(&job, "fn", false, success).await.unwrap();
        }
        well
    }

    async fn poll(&self, request: ActionRequest) -> ActionReply {
        self.start(request).await
    }

    async fn end(&self, _: &ActionKey) {}
}

/// Has what is to be asked later asked now.
async fn hasten(control: &Control) {
    for shard in 0..control::keys::ROW_SHARDS {
        let pk = control.place().work(shard);
        let query = Query { pk, prefix: String::new(), after: None, limit: 100, backward: false };
        for (key, stored) in control.table().query(&query).await.unwrap().items {
            let row: WorkRow = control::stored::decode(&stored.body, "a row").unwrap();
            if !matches!(row.task, Task::Poll(_)) || row.due <= control.now() {
                continue;
            }
            let sooner = WorkRow { due: control.now(), ..row };
            let write = Write::Put {
                key: sooner.key(control.place()),
                revision: 1,
                body: control::stored::encode(&sooner).unwrap(),
                condition: Condition::Absent,
            };
            let delete = Write::Delete { key, condition: Condition::Present };
            // Whoever consumed it meanwhile was sooner still.
            let _ = control.table().transact(&uuid::Uuid::new_v4().to_string(), &[delete, write]).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_is_called_again_with_each_continuation_token() {
    let data = tempfile::tempdir().unwrap();
    let (control, calls) = (Arc::new(OnceLock::new()), Arc::new(Mutex::new(Vec::new())));
    let runner = Asking { control: control.clone(), calls: calls.clone() };
    let host = Host::open_with(options(data.path()), |_| Arc::new(runner)).await.unwrap();
    assert!(control.set(host.control().clone()).is_ok());
    let mut pipeline = chain("asks", 1);
    let invoke = json!({"name": "a", "configuration": {"FunctionName": "f"},
        "actionTypeId": {"category": "Invoke", "owner": "AWS", "provider": "Lambda", "version": "1"}});
    pipeline.stages[1].actions = vec![serde_json::from_value(invoke).unwrap()];
    host.control().create_pipeline(pipeline.clone()).await.unwrap();
    let id = host.control().start_pipeline_execution(&pipeline.name, start(), None).await.unwrap();
    let ended = async {
        let mut percents = BTreeSet::new();
        loop {
            hasten(host.control()).await;
            let state = host.control().get_pipeline_state(&pipeline.name).await.unwrap();
            percents.extend(state.stages[1].actions.iter().filter_map(|action| action.percent_complete));
            let execution = host.control().get_pipeline_execution(&pipeline.name, id).await.unwrap();
            if execution.status != ExecutionStatus::InProgress {
                return (execution.status, percents);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let (status, percents) = tokio::time::timeout(Duration::from_secs(60), ended).await.unwrap();
    assert_eq!((status, percents.last()), (ExecutionStatus::Succeeded, Some(&60)));
    let calls = calls.lock().unwrap().clone();
    let tokens: Vec<_> = calls.iter().map(|(_, token)| token.as_deref()).collect();
    assert_eq!(tokens, [None, Some("part-1"), Some("part-2")]);
    let jobs: BTreeSet<_> = calls.iter().map(|(job, _)| job).collect();
    assert_eq!(jobs.len(), 3, "each call has a job of its own");
    host.close().await.unwrap();
}

/// Brings a variable of so many bytes.
struct Bringing(usize);

#[async_trait]
impl ActionRunner for Bringing {
    async fn start(&self, request: ActionRequest) -> ActionReply {
        let source = request.declaration.action_type_id.category == model::Category::Source;
        let variables = source.then(|| ("V".to_owned(), "x".repeat(self.0))).into_iter().collect();
        let outcome = Outcome { outputs: request.action.outputs.clone(), variables, ..Outcome::default() };
        ActionReply::Ended(Box::new(outcome))
    }

    async fn poll(&self, request: ActionRequest) -> ActionReply {
        self.start(request).await
    }

    async fn end(&self, _: &ActionKey) {}
}

/// 5: "122,880 bytes of output variables per action execution, 100 KB of resolved configuration": what is more fails its
/// action at once, whatever it would come to, and keeps no other from its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_fails_its_action_and_no_other() {
    for (size, source, large) in [
        (122_879, None, Some("102400 bytes")),
        (122_880, Some("122881 bytes"), None),
        (500_000, Some("500001 bytes"), None),
    ] {
        let data = tempfile::tempdir().unwrap();
        let host = Host::open_with(options(data.path()), |_| Arc::new(Bringing(size))).await.unwrap();
        let mut pipeline = chain("large", 1);
        pipeline.stages[0].actions[0].namespace = Some("n".into());
        let mut other = pipeline.stages[1].actions[0].clone();
        other.name = "b".into();
        pipeline.stages[1].actions[0].commands = vec!["#{n.V}#{n.V}#{n.V}#{n.V}#{n.V}".into()];
        pipeline.stages[1].actions.push(other);
        let control = host.control();
        control.create_pipeline(pipeline.clone()).await.unwrap();
        let mut events = host.events();
        let id = control.start_pipeline_execution(&pipeline.name, start(), None).await.unwrap();
        loop {
            let event = tokio::time::timeout(Duration::from_secs(20), events.recv()).await.unwrap().unwrap();
            let detail = &event.envelope["detail"];
            if detail["state"] == "FAILED" && detail.get("stage").is_none() {
                break;
            }
        }
        let id_of = control.pipeline_ref(&pipeline.name).await.unwrap().id;
        let message = |actions: &[engine::ActionExecution], name: &str| {
            let action = actions.iter().find(|action| action.key.name == name)?;
            action.error.as_ref().map(|error| format!("{}: {}", error.code, error.message))
        };
        let actions = control.actions_of(id_of, id).await.unwrap();
        for (name, expected) in [("Source", source), ("a", large), ("b", None)] {
            let found = message(&actions, name);
            assert_eq!(found.is_some(), expected.is_some(), "{size}: {name}: {found:?}");
            let found = found.unwrap_or_default();
            assert!(found.contains(expected.unwrap_or_default()), "{size}: {name}: {found}");
        }
        host.close().await.unwrap();
    }
}
