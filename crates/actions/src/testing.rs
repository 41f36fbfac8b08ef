//! For tests: requests, a clock that stands, and an AWS that answers as told and remembers what it was asked.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_types::SdkConfig;
use aws_types::region::Region;
use control::ports::{ActionReply, ActionRequest, Clock, PortError};
use engine::{ActionExecution, ArtifactLocation, Outcome, Started};
use model::{Category, ExecutionId, ExecutionStatus, Timestamp};
use testkit::actions;
use uuid::Uuid;

use crate::ports::{
    ApprovalLink, ApprovalLinks, Connection, ConnectionTokens, JobNews, Jobs, PipelineStart, PipelineStarter,
    StartError,
};
use crate::roles::SameRole;
use crate::runner::{ProviderParts, ProviderRunner};
use crate::web::Web;

/// The id of the action execution of [`request`].
pub(crate) const ACTION_ID: &str = "00000000-0000-0000-0000-0000000000a1";

/// A time as text.
pub(crate) fn time(text: &str) -> Timestamp {
    Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

/// The first claim of an action `Act` in the stage `Stage` of the pipeline `pipe`, at midnight.
pub(crate) fn request(category: &str, provider: &str, configuration: &[(&str, &str)]) -> ActionRequest {
    let action_type = actions::aws_type(Category::parse(category).unwrap(), provider);
    let key = actions::key(ExecutionId(Uuid::from_u128(0xe1)), "Stage", "Act");
    let midnight = time("2026-11-24T00:00:00Z");
    let action = ActionExecution { id: ACTION_ID.parse().unwrap(), ..actions::claimed(key, action_type, midnight) };
    let request = testkit::requests::request(action, model::PipelineId(Uuid::from_u128(0x11)), configuration);
    ActionRequest {
        account: "111122223333".into(),
        role_arn: "arn:aws:iam::111122223333:role/act".into(),
        ..request.unwrap()
    }
}

/// An artifact in the bucket `store`.
pub(crate) fn artifact(name: &str, key: &str) -> ArtifactLocation {
    control::ports::artifact_location(name, "store", key.into())
}

/// What an ended action came to.
pub(crate) fn outcome(reply: ActionReply) -> Outcome {
    match reply {
        ActionReply::Ended(outcome) => *outcome,
        ActionReply::Pending { started, .. } => panic!("goes on: {started:?}"),
    }
}

/// The code and message of a failed action.
pub(crate) fn error(reply: ActionReply) -> (String, String) {
    let error = outcome(reply).error.expect("a failure");
    (error.code, error.message)
}

/// What a pending action told.
pub(crate) fn pending(reply: ActionReply) -> (Started, Option<Timestamp>) {
    match reply {
        ActionReply::Pending { started, poll_at } => (started, poll_at),
        ActionReply::Ended(outcome) => panic!("ended: {outcome:?}"),
    }
}

/// A clock that stands.
pub(crate) struct Fixed(Mutex<Timestamp>);

impl Fixed {
    pub(crate) fn at(text: &str) -> Arc<Self> {
        Arc::new(Self(Mutex::new(time(text))))
    }

    pub(crate) fn set(&self, text: &str) {
        *self.0.lock().unwrap() = time(text);
    }
}

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

/// A request as AWS, or a git host, got it.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) uri: String,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    pub(crate) fn authorization(&self) -> &str {
        self.header("authorization")
    }

    /// `CodeBuild_20161006.StartBuild` is `StartBuild`.
    pub(crate) fn operation(&self) -> &str {
        self.header("x-amz-target").rsplit('.').next().unwrap_or_default()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// A field of a form.
    pub(crate) fn form(&self, name: &str) -> String {
        let fields = self.body.split('&').filter_map(|field| field.split_once('='));
        let found = fields.filter(|(key, _)| *key == name).map(|(_, value)| value.replace('+', " ")).next();
        let found = found.unwrap_or_default();
        percent_encoding::percent_decode_str(&found).decode_utf8_lossy().into_owned()
    }
}

/// An answer: status, headers, body.
pub(crate) type Reply = (u16, Vec<(String, String)>, Vec<u8>);

type Answering = dyn FnMut(&Asked) -> Option<Reply> + Send;

/// An AWS that answers as told. Who answers nothing breaks the connection.
#[derive(Clone)]
pub(crate) struct FakeAws {
    asked: Arc<Mutex<Vec<Asked>>>,
    answer: Arc<Mutex<Answering>>,
    delay: fn(&Asked) -> Duration,
}

impl std::fmt::Debug for FakeAws {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FakeAws")
    }
}

impl FakeAws {
    /// Answers status and body.
    pub(crate) fn new(mut answer: impl FnMut(&Asked) -> (u16, String) + Send + 'static) -> Self {
        Self::with(move |asked| {
            let (status, body) = answer(asked);
            Some((status, Vec::new(), body.into_bytes()))
        })
    }

    /// Answers status, headers and body, or nothing.
    pub(crate) fn with(answer: impl FnMut(&Asked) -> Option<Reply> + Send + 'static) -> Self {
        Self { asked: Arc::default(), answer: Arc::new(Mutex::new(answer)), delay: |_| Duration::ZERO }
    }

    /// The same, but answers take a while.
    pub(crate) fn after(self, delay: fn(&Asked) -> Duration) -> Self {
        Self { delay, ..self }
    }

    /// What was asked so far.
    pub(crate) fn requests(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// How often an operation was asked for.
    pub(crate) fn count(&self, operation: &str) -> usize {
        self.requests().iter().filter(|asked| asked.operation() == operation).count()
    }

    /// A configuration whose calls come here.
    pub(crate) fn config(&self) -> SdkConfig {
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::for_tests_here()))
            .retry_config(aws_sdk_s3::config::retry::RetryConfig::disabled())
            .http_client(self.clone())
            .build()
    }

    /// One that repeats calls as the SDK does by default, without waiting long.
    pub(crate) fn retrying_config(&self) -> SdkConfig {
        let retries = aws_sdk_s3::config::retry::RetryConfig::standard();
        let retries = retries.with_max_attempts(3).with_initial_backoff(Duration::from_millis(1));
        let sleep = aws_sdk_s3::config::SharedAsyncSleep::new(Sleep);
        self.config().into_builder().retry_config(retries).sleep_impl(sleep).build()
    }

    /// A runner whose calls come here, at a standing time.
    pub(crate) fn runner(&self, clock: Arc<Fixed>) -> ProviderRunner {
        ProviderRunner::impatient(self.parts(clock, Arc::new(Host::default())))
    }

    /// The same with a host of its own.
    pub(crate) fn parts(&self, clock: Arc<Fixed>, host: Arc<Host>) -> ProviderParts {
        ProviderParts {
            roles: Arc::new(SameRole(self.config())),
            clock,
            connections: host.clone(),
            approvals: host.clone(),
            pipelines: host.clone(),
            jobs: host,
            web: Web::with(self.clone()),
        }
    }

    fn answer(&self, request: HttpRequest) -> (Result<HttpResponse, ConnectorError>, Duration) {
        let headers = request.headers().iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
        let asked = Asked {
            method: request.method().into(),
            uri: request.uri().into(),
            headers: headers.collect(),
            body: String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned(),
        };
        self.asked.lock().unwrap().push(asked.clone());
        let delay = (self.delay)(&asked);
        let Some((status, headers, body)) = (self.answer.lock().unwrap())(&asked) else {
            return (Err(ConnectorError::io("the connection broke".into())), delay);
        };
        let mut response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body));
        for (key, value) in headers {
            response.headers_mut().insert(key, value);
        }
        (Ok(response), delay)
    }
}

impl HttpConnector for FakeAws {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (answer, delay) = self.answer(request);
        HttpConnectorFuture::new(async move {
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            answer
        })
    }
}

impl HttpClient for FakeAws {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

/// Waits by tokio.
#[derive(Debug)]
struct Sleep;

impl aws_sdk_s3::config::AsyncSleep for Sleep {
    fn sleep(&self, duration: Duration) -> aws_sdk_s3::config::Sleep {
        aws_sdk_s3::config::Sleep::new(tokio::time::sleep(duration))
    }
}

/// Credentials that nobody has.
trait ForTests {
    fn for_tests_here() -> Self;
}

impl ForTests for Credentials {
    fn for_tests_here() -> Self {
        Self::new("test", "secret", None, None, "tests")
    }
}

/// What providers need of their host, as tests set it.
#[derive(Default)]
pub(crate) struct Host {
    pub(crate) connection: Mutex<Option<Connection>>,
    pub(crate) link: Mutex<ApprovalLink>,
    pub(crate) started: Mutex<Vec<PipelineStart>>,
    pub(crate) status: Mutex<Option<ExecutionStatus>>,
    pub(crate) refusal: Mutex<Option<StartError>>,
    pub(crate) news: Mutex<JobNews>,
    pub(crate) taken: Mutex<Vec<String>>,
}

#[async_trait]
impl ConnectionTokens for Host {
    async fn connection(&self, _request: &ActionRequest, _arn: &str) -> Result<Option<Connection>, PortError> {
        Ok(self.connection.lock().unwrap().clone())
    }
}

#[async_trait]
impl ApprovalLinks for Host {
    async fn link(&self, _request: &ActionRequest, _recipient: &str) -> Result<ApprovalLink, PortError> {
        Ok(self.link.lock().unwrap().clone())
    }
}

#[async_trait]
impl PipelineStarter for Host {
    async fn start(&self, _request: &ActionRequest, start: PipelineStart) -> Result<ExecutionId, StartError> {
        if let Some(refusal) = self.refusal.lock().unwrap().take() {
            return Err(refusal);
        }
        let mut started = self.started.lock().unwrap();
        // The token keeps it from being started twice.
        if !started.iter().any(|known| known.token == start.token) {
            started.push(start);
        }
        Ok(ExecutionId(Uuid::from_u128(0xc1)))
    }

    async fn status(
        &self,
        _request: &ActionRequest,
        _pipeline: &str,
        _execution: ExecutionId,
    ) -> Result<Option<ExecutionStatus>, PortError> {
        Ok(*self.status.lock().unwrap())
    }
}

#[async_trait]
impl Jobs for Host {
    async fn news(&self, _request: &ActionRequest, _job: &str) -> Result<JobNews, PortError> {
        Ok(self.news.lock().unwrap().clone())
    }

    async fn take_continuation(&self, _request: &ActionRequest, job: &str) -> Result<bool, PortError> {
        self.news.lock().unwrap().continuation_token = None;
        let mut taken = self.taken.lock().unwrap();
        let first = !taken.iter().any(|known| known == job);
        taken.push(job.to_owned());
        Ok(first)
    }
}
