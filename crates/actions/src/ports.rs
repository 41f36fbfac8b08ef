//! What providers need of their host besides AWS itself.

use std::fmt;

use async_trait::async_trait;
use control::ports::{ActionRequest, PortError};
use model::{ExecutionId, ExecutionStatus, SourceRevisionType, StringMap, Timestamp};

/// Who hosts a git repository, by whose API it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GitHost {
    /// GitHub, or GitHub Enterprise Server.
    GitHub,
    /// GitLab, or GitLab self-managed.
    GitLab,
    /// Bitbucket Cloud.
    Bitbucket,
}

/// What must never be seen in a log or a message.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `secret`.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret itself, for the one request that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("****")
    }
}

/// A connection to a git host, with what opens it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// By whose API.
    pub kind: GitHost,
    /// The host's name: `github.com`, or that of one's own server.
    pub host: String,
    /// Where its API lies, without a slash at the end, where that does not follow from the host.
    pub base_url: Option<String>,
    /// A GitHub App's id, where it acts as one.
    pub app_id: Option<String>,
    /// The token that opens it, or the app's private key (PEM); none for public repositories.
    pub token: Option<Secret>,
}

/// Where connections lie.
#[async_trait]
pub trait ConnectionTokens: Send + Sync {
    /// The connection of this ARN (`ConnectionArn`), for the pipeline of the request; none if there is no such one.
    ///
    /// # Errors
    /// A store that failed.
    async fn connection(&self, request: &ActionRequest, arn: &str) -> Result<Option<Connection>, PortError>;
}

/// Links for the people that an approval asks.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ApprovalLink {
    /// The signed link that shows and decides the approval; none where the stage's policy restricts approvers: whoever has
    /// a link can use it.
    pub review: Option<String>,
    /// Where the pipeline can be looked at.
    pub console: Option<String>,
}

/// Makes links for approvals.
#[async_trait]
pub trait ApprovalLinks: Send + Sync {
    /// A link for one recipient (a topic's ARN). The same request gives a link to the same approval.
    ///
    /// # Errors
    /// A key that cannot be used.
    async fn link(&self, request: &ActionRequest, recipient: &str) -> Result<ApprovalLink, PortError>;
}

/// A pipeline to start from another one.
#[derive(Clone, Debug, PartialEq)]
pub struct PipelineStart {
    /// Its name, in the region of the request.
    pub pipeline: String,
    /// Pipeline variables.
    pub variables: StringMap,
    /// Source revisions: action name, kind, revision.
    pub source_revisions: Vec<(String, SourceRevisionType, String)>,
    /// `clientRequestToken`: the same token starts nothing twice.
    pub token: String,
}

/// Why a pipeline was not started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It cannot be started so: what is wrong, with the API's error name.
    #[error("{code}: {message}")]
    Refused {
        /// The API's error, as `PipelineNotFoundException`.
        code: String,
        /// What is wrong.
        message: String,
    },
    /// A port that failed; the same start may be repeated.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// Starts pipelines of this control plane.
#[async_trait]
pub trait PipelineStarter: Send + Sync {
    /// Starts a pipeline, for the action of the request.
    ///
    /// # Errors
    /// A refusal, or a port that failed.
    async fn start(&self, request: &ActionRequest, start: PipelineStart) -> Result<ExecutionId, StartError>;

    /// How an execution that was started so is doing; none when it is gone.
    ///
    /// # Errors
    /// A port that failed.
    async fn status(
        &self,
        request: &ActionRequest,
        pipeline: &str,
        execution: ExecutionId,
    ) -> Result<Option<ExecutionStatus>, PortError>;
}

/// What a Lambda function last said to its job.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct JobNews {
    /// When it last answered with a continuation token, which made the present job; none for the first.
    pub heard_at: Option<Timestamp>,
    /// The token with which it wants to be invoked again, until [`Jobs::take_continuation`] took it.
    pub continuation_token: Option<String>,
}

/// The jobs of functions. The first job of an action has the action execution's id; each `PutJobSuccessResult` with a
/// continuation token makes another, whose id becomes the action's external id.
#[async_trait]
pub trait Jobs: Send + Sync {
    /// What is known of a job.
    ///
    /// # Errors
    /// A store that failed.
    async fn news(&self, request: &ActionRequest, job: &str) -> Result<JobNews, PortError>;

    /// Marks a job's continuation token as used, before the function is invoked with it. False if somebody else was first.
    ///
    /// # Errors
    /// A store that failed.
    async fn take_continuation(&self, request: &ActionRequest, job: &str) -> Result<bool, PortError>;
}
