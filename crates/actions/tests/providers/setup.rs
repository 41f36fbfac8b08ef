//! An emulator, a runner over it, and requests.

use std::sync::Arc;

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
use engine::{ArtifactLocation, Outcome};
use model::{Category, ExecutionId, ExecutionStatus, PipelineId, Timestamp};
use testkit::emulators::Emulator;
pub use testkit::emulators::unique;
use uuid::Uuid;

/// A configuration for the emulator; none where it was not started, which must not happen in CI.
pub fn config() -> Option<SdkConfig> {
    let url = Emulator::MiniStack.url()?;
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
    let action_type = testkit::actions::aws_type(Category::parse(category).unwrap(), provider);
    let key = testkit::actions::key(ExecutionId(Uuid::new_v4()), "Stage", "Act");
    let action = testkit::actions::claimed(key, action_type, Now.now());
    testkit::requests::request(action, PipelineId(Uuid::new_v4()), configuration).unwrap()
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
pub struct Now;

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
