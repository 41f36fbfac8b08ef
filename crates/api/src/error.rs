//! Errors as the API names them, with their HTTP status.

use control::ControlError;
use control::action_types::ActionTypeError;
use control::connections::ConnectionError;
use control::jobs::JobError;
use control::ports::PortError;
use control::tags::TagError;
use control::webhooks::WebhookError;
use engine::Refusal;
use model::shapes;

const CONCURRENT: &str = "ConcurrentModificationException";

/// An answer that is an error: its name, what is wrong, and its HTTP status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    /// The name, as `PipelineNotFoundException`.
    pub code: &'static str,
    /// What is wrong and what would be right.
    pub message: String,
    /// The HTTP status.
    pub status: u16,
}

impl ApiError {
    /// An error of the API model, with the status that the model gives it.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        let status = shapes::error(code).map_or(400, |error| error.http_status);
        Self { code, message: message.into(), status }
    }

    /// An error with a status of its own.
    pub fn with_status(code: &'static str, status: u16, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), status }
    }

    /// `ValidationException`.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new("ValidationException", message)
    }

    /// A request that cannot be read at all.
    pub fn unreadable(message: impl Into<String>) -> Self {
        Self::new("SerializationException", message)
    }

    /// An operation of CodePipeline's API that is not there yet.
    pub fn not_implemented(operation: &str) -> Self {
        let message = format!("{operation} is an operation of CodePipeline that this Penstock does not offer yet");
        Self::with_status("NotImplementedException", 501, message)
    }

    /// `ActionTypeNotFoundException`.
    pub(crate) fn action_type_not_found(id: &model::ActionTypeId) -> Self {
        Self::new("ActionTypeNotFoundException", format!("there is no action type {id}"))
    }

    /// Something went wrong here; what exactly stays in the log.
    pub fn internal() -> Self {
        Self::with_status("InternalFailure", 500, "the request could not be carried out: see the server's log")
    }

    /// Something is busy: the request may be repeated as it is.
    pub fn unavailable() -> Self {
        Self::with_status("ServiceUnavailable", 503, "the request could not be carried out now: repeat it")
    }

    /// Others changed the same thing again and again: `ConcurrentModificationException`.
    fn concurrent() -> Self {
        Self::new(CONCURRENT, "others are changing the same thing: repeat the request")
    }

    /// The error under a name that the operation documents: some know a concurrent change as a conflict, others as none of
    /// theirs.
    pub(crate) fn documented_by(self, documented: &[String]) -> Self {
        let has = |name: &str| documented.iter().any(|documented| documented == name);
        match self.code {
            CONCURRENT if has(CONCURRENT) => self,
            CONCURRENT if has("ConflictException") => Self::new("ConflictException", self.message),
            CONCURRENT => Self::unavailable(),
            _ => self,
        }
    }

    /// Too many requests: the request may be repeated later.
    pub fn throttled() -> Self {
        Self::new("ThrottlingException", "Rate exceeded")
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::PipelineNotFound => Self::new("PipelineNotFoundException", "the pipeline does not exist"),
            Refusal::PipelineNameInUse => {
                Self::new("PipelineNameInUseException", "a pipeline with this name exists already")
            }
            Refusal::ExecutionNotFound => {
                Self::new("PipelineExecutionNotFoundException", "the pipeline has no such execution")
            }
            Refusal::StageNotFound(stage) => {
                Self::new("StageNotFoundException", format!("the pipeline has no stage {stage}"))
            }
            Refusal::ActionNotFound => Self::new("ActionNotFoundException", "the stage has no such action"),
            Refusal::PipelinesLimit(limit) => Self::new(
                "LimitExceededException",
                format!("there are {limit} pipelines in this region, which is the most there may be"),
            ),
            Refusal::ConcurrentExecutionsLimit(limit) => Self::new(
                "ConcurrentPipelineExecutionsLimitExceededException",
                format!("the pipeline has {limit} executions in progress, which is the most it may have"),
            ),
            Refusal::DuplicatedStop => {
                Self::new("DuplicatedStopRequestException", "the execution was asked to stop already")
            }
            Refusal::NotStoppable(why) => Self::new("PipelineExecutionNotStoppableException", why),
            Refusal::StageNotRetryable(why) => Self::new("StageNotRetryableException", why),
            Refusal::NotLatestExecution(why) => Self::new("NotLatestPipelineExecutionException", why),
            Refusal::Conflict(why) => Self::new("ConflictException", why),
            Refusal::UnableToRollback(why) => Self::new("UnableToRollbackStageException", why),
            Refusal::ExecutionOutdated(why) => Self::new("PipelineExecutionOutdatedException", why),
            Refusal::ConditionNotOverridable(why) => Self::new("ConditionNotOverridableException", why),
            Refusal::InvalidApprovalToken => {
                Self::new("InvalidApprovalTokenException", "the token is not that of the pending approval")
            }
            Refusal::ApprovalAlreadyCompleted => {
                Self::new("ApprovalAlreadyCompletedException", "the approval was decided already")
            }
            Refusal::Invalid(why) => Self::invalid(why),
        }
    }
}

impl From<WebhookError> for ApiError {
    fn from(error: WebhookError) -> Self {
        let message = error.to_string();
        match error {
            WebhookError::Authentication(_) => Self::new("InvalidWebhookAuthenticationParametersException", message),
            WebhookError::Filter(_) => Self::new("InvalidWebhookFilterPatternException", message),
            WebhookError::PipelineNotFound(_) => Self::new("PipelineNotFoundException", message),
            WebhookError::Invalid(_) => Self::invalid(message),
            WebhookError::LimitExceeded => Self::new("LimitExceededException", message),
            WebhookError::Concurrent => Self::new("ConcurrentModificationException", message),
            WebhookError::NotFound(_) => Self::new("WebhookNotFoundException", message),
            WebhookError::Control(error) => error.into(),
        }
    }
}

impl From<ConnectionError> for ApiError {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::Invalid(_) | ConnectionError::Mapped(_) => Self::invalid(error.to_string()),
            ConnectionError::NotFound(_) => Self::with_status("ResourceNotFoundException", 400, error.to_string()),
            ConnectionError::Control(error) => error.into(),
        }
    }
}

impl From<ControlError> for ApiError {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::Refused(refusal) => refusal.into(),
            ControlError::Port(PortError::Throttled) => Self::throttled(),
            ControlError::Port(PortError::Invalid(why)) => Self::new("LimitExceededException", why),
            ControlError::Port(error @ PortError::Unavailable(_)) => {
                tracing::warn!(%error, "a port is not available");
                Self::unavailable()
            }
            ControlError::Port(PortError::Conflict) => Self::concurrent(),
            ControlError::Port(error) => {
                tracing::error!(%error, "a port failed");
                Self::internal()
            }
            ControlError::Busy => Self::concurrent(),
        }
    }
}

impl From<JobError> for ApiError {
    fn from(error: JobError) -> Self {
        let code = match error {
            JobError::NotFound => "JobNotFoundException",
            JobError::Invalid => "InvalidJobException",
            JobError::InvalidNonce => "InvalidNonceException",
            JobError::InvalidState(_) => "InvalidJobStateException",
            JobError::VariablesTooLarge(_) => "OutputVariablesSizeExceededException",
            JobError::Control(error) => return error.into(),
        };
        Self::new(code, error.to_string())
    }
}

impl From<ActionTypeError> for ApiError {
    fn from(error: ActionTypeError) -> Self {
        let code = match error {
            ActionTypeError::NotFound(_) => "ActionTypeNotFoundException",
            ActionTypeError::Exists(_) => "ActionTypeAlreadyExistsException",
            ActionTypeError::Invalid(_) => "ValidationException",
            ActionTypeError::Limit => "LimitExceededException",
            ActionTypeError::Concurrent => "ConcurrentModificationException",
            ActionTypeError::Control(error) => return error.into(),
        };
        Self::new(code, error.to_string())
    }
}

impl From<TagError> for ApiError {
    fn from(error: TagError) -> Self {
        let code = match error {
            TagError::InvalidArn(_) => "InvalidArnException",
            TagError::NotFound => "ResourceNotFoundException",
            TagError::TooMany(_) => "TooManyTagsException",
            TagError::Invalid(_) => "InvalidTagsException",
            TagError::Concurrent => "ConcurrentModificationException",
            TagError::Control(error) => return error.into(),
        };
        Self::new(code, error.to_string())
    }
}
