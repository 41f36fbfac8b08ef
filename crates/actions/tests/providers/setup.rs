//! An emulator, a runner over it, and requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use actions::ports::{
    ApprovalLink, ApprovalLinks, Connection, ConnectionTokens, JobNews, Jobs, PipelineStart, PipelineStarter,
    StartError,
};
use actions::roles::StsRoles;
use actions::runner::{ProviderParts, ProviderRunner};
use actions::web::Web;
use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_types::SdkConfig;
use aws_types::region::Region;
use control::ports::{ActionReply, ActionRequest, ActionRunner as _, Clock, PortError, artifact_location};
use engine::{ActionExecution, ActionKey, ArtifactLocation, Outcome, Slot};
use model::{
    Action, ActionExecutionId, ActionStatus, ActionTypeId, Category, ExecutionId, ExecutionStatus, Owner, PipelineId,
    StringMap, Timestamp,
};
use uuid::Uuid;

/// A configuration for the emulator; none where it was not started, which must not happen in CI.
pub fn config() -> Option<SdkConfig> {
    let set = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    let Ok(url) = std::env::var("PENSTOCK_TEST_MINISTACK") else {
        assert!(
            !set("CI", "true") && !set("PENSTOCK_REQUIRE_EMULATORS", "1"),
            "PENSTOCK_TEST_MINISTACK is not set, but CI or PENSTOCK_REQUIRE_EMULATORS wants tests on MiniStack"
        );
        eprintln!("SKIPPED: tests on MiniStack (run through make test)");
        return None;
    };
    let credentials = Credentials::new("test", "test", None, None, "tests");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(url);
    Some(config.build())
}

pub fn s3(config: &SdkConfig) -> aws_sdk_s3::Client {
    aws_sdk_s3::Client::from_conf(aws_sdk_s3::config::Builder::from(config).force_path_style(true).build())
}

/// A name that no other test and no other run uses.
pub fn unique(what: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{what}-{}-{next}", Uuid::new_v4().simple())
}

/// A runner whose roles are assumed by STS.
pub fn runner(config: &SdkConfig) -> ProviderRunner {
    let clock: Arc<dyn Clock> = Arc::new(Now);
    let service = Some("arn:aws:iam::000000000000:role/penstock-service".to_owned());
    let host = Arc::new(Host);
    ProviderRunner::new(ProviderParts {
        roles: Arc::new(StsRoles::new(config.clone(), service, clock.clone())),
        clock,
        connections: host.clone(),
        approvals: host.clone(),
        pipelines: host.clone(),
        jobs: host,
        web: Web::new(),
    })
}

/// The first claim of an action, just now.
pub fn request(category: &str, provider: &str, configuration: &[(&str, &str)]) -> ActionRequest {
    let action_type = ActionTypeId {
        category: Category::parse(category).unwrap(),
        owner: Owner::Aws,
        provider: provider.into(),
        version: "1".into(),
    };
    let declaration = serde_json::json!({"name": "Act", "actionTypeId": action_type});
    let mut declaration: Action = serde_json::from_value(declaration).unwrap();
    declaration.configuration =
        configuration.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let action = claimed(action_type);
    ActionRequest {
        pipeline: "pipe".into(),
        pipeline_id: PipelineId(Uuid::new_v4()),
        account: "000000000000".into(),
        region: "us-east-1".into(),
        execution: action.key.execution,
        action,
        declaration,
        role_arn: "arn:aws:iam::000000000000:role/penstock/act".into(),
        encryption_key: None,
        source_override: None,
        pushed_commit: None,
        input_revisions: StringMap::new(),
        external_id: None,
    }
}

fn claimed(action_type: ActionTypeId) -> ActionExecution {
    let now = Now.now();
    ActionExecution {
        id: ActionExecutionId(Uuid::new_v4()),
        key: ActionKey {
            execution: ExecutionId(Uuid::new_v4()),
            stage: "Stage".into(),
            slot: Slot::RunOrder(1),
            name: "Act".into(),
            attempt: 1,
        },
        pipeline: "pipe".into(),
        version: 1,
        pipeline_attempt: 1,
        execution_started_at: now,
        action_type,
        region: None,
        status: ActionStatus::InProgress,
        drive: 1,
        deadline: Some(now.plus_minutes(60)),
        timeout_minutes: 60,
        external_id: None,
        external_url: None,
        task_token: None,
        summary: None,
        error: None,
        inputs: Vec::new(),
        outputs: Vec::new(),
        revision: None,
        approval: None,
        log: None,
        stage_retried_at: None,
        started_at: now,
        updated_at: now,
    }
}

pub fn artifact(bucket: &str, name: &str) -> ArtifactLocation {
    artifact_location(name, bucket, format!("pipe/{name}/{}", Uuid::new_v4().simple()))
}

/// Runs an action to its end.
pub async fn run(runner: &ProviderRunner, mut request: ActionRequest) -> Outcome {
    let mut reply = runner.start(request.clone()).await;
    loop {
        match reply {
            ActionReply::Ended(outcome) => return *outcome,
            ActionReply::Pending { started, .. } => {
                request.external_id = started.external_id.or(request.external_id);
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                reply = runner.poll(request.clone()).await;
            }
        }
    }
}

/// The clock on the wall.
struct Now;

impl Clock for Now {
    fn now(&self) -> Timestamp {
        Timestamp(jiff::Timestamp::now().as_millisecond())
    }
}

/// A host that has nothing but links.
struct Host;

#[async_trait]
impl ConnectionTokens for Host {
    async fn connection(&self, _: &ActionRequest, _: &str) -> Result<Option<Connection>, PortError> {
        Ok(None)
    }
}

#[async_trait]
impl ApprovalLinks for Host {
    async fn link(&self, _: &ActionRequest, recipient: &str) -> Result<ApprovalLink, PortError> {
        let review = Some(format!("https://approve.example/{recipient}"));
        Ok(ApprovalLink { review, console: Some("https://console.example".into()) })
    }
}

#[async_trait]
impl PipelineStarter for Host {
    async fn start(&self, _: &ActionRequest, _: PipelineStart) -> Result<ExecutionId, StartError> {
        Err(PortError::Throttled.into())
    }

    async fn status(&self, _: &ActionRequest, _: &str, _: ExecutionId) -> Result<Option<ExecutionStatus>, PortError> {
        Ok(None)
    }
}

#[async_trait]
impl Jobs for Host {
    async fn news(&self, _: &ActionRequest, _: &str) -> Result<JobNews, PortError> {
        Ok(JobNews::default())
    }

    async fn take_continuation(&self, _: &ActionRequest, _: &str) -> Result<bool, PortError> {
        Ok(false)
    }
}
