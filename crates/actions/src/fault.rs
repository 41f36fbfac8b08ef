//! Why a provider's call did not do what it should, and what that means for the action.

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use control::ports::PortError;
use engine::Outcome;
use serde_json::json;

use crate::roles::RoleError;

/// Why a call did not do what it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The action fails.
    Ends {
        /// `FailureType` of the API, or a name of Penstock's own.
        code: &'static str,
        /// What happened and what to do.
        message: String,
    },
    /// Nothing was done; later it may be.
    Later(String),
    /// Nobody knows whether it was done.
    Unknown(String),
}

/// Codes of failed actions.
pub(crate) mod code {
    /// The declaration must be changed.
    pub(crate) const CONFIGURATION: &str = "ConfigurationError";
    /// The work failed.
    pub(crate) const JOB: &str = "JobFailed";
    /// A role lacks a permission.
    pub(crate) const PERMISSION: &str = "PermissionError";
    /// The revision asked for is not there.
    pub(crate) const REVISION: &str = "RevisionUnavailable";
    /// Nobody knows whether the work was started, and it must not be started twice.
    pub(crate) const UNKNOWN_START: &str = "StartOutcomeUnknown";
    /// A service did not do its part.
    pub(crate) const UNAVAILABLE: &str = "SystemUnavailable";
}

impl Fault {
    pub(crate) fn configuration(message: impl Into<String>) -> Self {
        Self::Ends { code: code::CONFIGURATION, message: message.into() }
    }

    pub(crate) fn job(message: impl Into<String>) -> Self {
        Self::Ends { code: code::JOB, message: message.into() }
    }

    pub(crate) fn revision(message: impl Into<String>) -> Self {
        Self::Ends { code: code::REVISION, message: message.into() }
    }

    /// The same of a call that may be made again whatever came of it.
    pub(crate) fn harmless(self) -> Self {
        match self {
            Self::Unknown(message) => Self::Later(message),
            known @ (Self::Ends { .. } | Self::Later(_)) => known,
        }
    }

    /// The outcome of an action that this ends for good.
    pub(crate) fn outcome(self) -> Outcome {
        match self {
            Self::Ends { code, message } => Outcome::failed(code, message),
            Self::Later(message) | Self::Unknown(message) => Outcome::failed(code::UNAVAILABLE, message),
        }
    }
}

impl From<PortError> for Fault {
    fn from(error: PortError) -> Self {
        match error {
            PortError::Unavailable(_) => Self::Unknown(error.to_string()),
            PortError::Conflict | PortError::Throttled | PortError::Newer(_) => Self::Later(error.to_string()),
            PortError::NotFound(_) => Self::job(error.to_string()),
            PortError::Corrupt(_) | PortError::Invalid(_) => {
                Self::Ends { code: code::UNAVAILABLE, message: error.to_string() }
            }
        }
    }
}

impl From<RoleError> for Fault {
    fn from(error: RoleError) -> Self {
        let message = error.to_string();
        match error {
            RoleError::Denied { .. } => Self::Ends { code: code::PERMISSION, message },
            RoleError::Invalid(_) => Self::configuration(message),
            RoleError::Unavailable(_) => Self::Later(message),
        }
    }
}

/// A file of our own that could not be written or read.
pub(crate) fn scratch(error: &std::io::Error) -> Fault {
    if error.kind() == std::io::ErrorKind::StorageFull {
        // It would not fit the next time either.
        let place = std::env::temp_dir();
        return Fault::job(format!(
            "what the action moves does not fit into the function's temporary storage, {}: make the archive smaller, or \
             the storage larger (`EphemeralStorage` of the dispatch function)",
            place.display()
        ));
    }
    Fault::Later(format!("a scratch file: {error}"))
}

/// An error with what caused it, without what was sent or answered: there may be secrets in that.
pub(crate) fn why(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// One call as IAM sees it: who, what, on what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    /// The role.
    pub(crate) role: String,
    /// `service:Verb`.
    pub(crate) verb: &'static str,
    /// The resource's ARN.
    pub(crate) resource: String,
}

/// What answers mean that the call is not allowed. A `HEAD` has no body, so its 403 has no code.
const DENIED: [&str; 9] = [
    "AccessDenied",
    "AccessDeniedException",
    "AuthorizationError",
    "AuthorizationErrorException",
    "KMSAccessDenied",
    "KMSAccessDeniedException",
    "KmsAccessDeniedException",
    "KMS.AccessDeniedException",
    "UnauthorizedOperation",
];

/// What answers mean that nothing was done for now.
const THROTTLED: [&str; 9] = [
    "AccountLimitExceededException",
    "KMSThrottling",
    "LimitExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];

impl Access {
    pub(crate) fn new(role: &str, verb: &'static str, resource: impl Into<String>) -> Self {
        Self { role: role.into(), verb, resource: resource.into() }
    }

    /// What a failed call means.
    pub(crate) fn fault<E>(&self, error: &SdkError<E, HttpResponse>) -> Fault
    where
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        match error {
            SdkError::ServiceError(answer) => {
                let status = answer.raw().status().as_u16();
                self.judge(status, answer.err().code(), answer.err().message())
            }
            // The request could not even be made; credentials are got before it is sent.
            SdkError::ConstructionFailure(_) => Fault::Later(format!("{}: {}", self.verb, why(error))),
            _ => Fault::Unknown(format!("{}: {}", self.verb, why(error))),
        }
    }

    /// What an answer that is no success means.
    pub(crate) fn judge(&self, status: u16, code: Option<&str>, message: Option<&str>) -> Fault {
        let said = message.unwrap_or("no reason given");
        match code {
            Some(code) if DENIED.contains(&code) => self.denied(said),
            None if status == 403 => self.denied(said),
            Some(code) if THROTTLED.contains(&code) => Fault::Later(format!("{}: {code}: {said}", self.verb)),
            _ if status == 429 => Fault::Later(format!("{}: {said}", self.verb)),
            _ if status >= 500 => Fault::Unknown(format!("{}: {}: {said}", self.verb, code.unwrap_or("a fault"))),
            _ => {
                let code = code.map_or_else(|| format!("status {status}"), str::to_owned);
                Fault::job(format!("{} on {}: {code}: {said}", self.verb, self.resource))
            }
        }
    }

    fn denied(&self, said: &str) -> Fault {
        let (verb, resource) = named_in(said).unwrap_or((self.verb, &self.resource));
        let statement = json!({"Effect": "Allow", "Action": verb, "Resource": resource});
        Fault::Ends {
            code: code::PERMISSION,
            message: format!("the role {} may not {verb} on {resource}; add to its policies: {statement}", self.role),
        }
    }
}

/// What IAM itself names: `… is not authorized to perform: VERB on resource: ARN …`. It may be another verb than that of
/// the call, as `kms:GenerateDataKey` is.
fn named_in(said: &str) -> Option<(&str, &str)> {
    let (_, rest) = said.split_once("not authorized to perform: ")?;
    let (verb, rest) = rest.split_once(" on resource: ")?;
    let resource = rest.split_whitespace().next()?.trim_matches(['"', '\'', ',', '.']);
    let plain = verb.split_once(':').is_some_and(|(service, verb)| !service.is_empty() && !verb.is_empty());
    (plain && !verb.contains(' ') && !resource.is_empty()).then_some((verb, resource))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access() -> Access {
        Access::new("arn:aws:iam::1:role/r", "codebuild:StartBuild", "arn:aws:codebuild:us-east-1:1:project/p")
    }

    #[test]
    fn answers_are_told_apart_by_what_can_be_done() {
        for (status, code, expected) in [
            (400, Some("AccessDeniedException"), "ends PermissionError"),
            (403, Some("AuthorizationErrorException"), "ends PermissionError"),
            (403, None, "ends PermissionError"),
            (403, Some("InvalidSignatureException"), "ends JobFailed"),
            (400, Some("ThrottlingException"), "later"),
            (429, None, "later"),
            (503, Some("SlowDown"), "later"),
            (500, Some("InternalFailure"), "unknown"),
            (502, None, "unknown"),
            (400, Some("ResourceNotFoundException"), "ends JobFailed"),
        ] {
            let fault = match access().judge(status, code, Some("it says")) {
                Fault::Ends { code, .. } => format!("ends {code}"),
                Fault::Later(_) => "later".into(),
                Fault::Unknown(_) => "unknown".into(),
            };
            assert_eq!(fault, expected, "{status} {code:?}");
        }
    }

    #[test]
    fn what_is_denied_comes_with_the_statement_to_add() {
        let Fault::Ends { message, .. } = access().judge(400, Some("AccessDeniedException"), None) else { panic!() };
        let (told, statement) = message.split_once(" policies: ").expect("a statement");
        assert_eq!(
            told,
            "the role arn:aws:iam::1:role/r may not codebuild:StartBuild on arn:aws:codebuild:us-east-1:1:project/p; \
             add to its"
        );
        let statement: serde_json::Value = serde_json::from_str(statement).expect("JSON");
        let resource = "arn:aws:codebuild:us-east-1:1:project/p";
        assert_eq!(statement, json!({ "Effect": "Allow", "Action": "codebuild:StartBuild", "Resource": resource }));
    }

    #[test]
    fn what_iam_names_is_believed() {
        let said = "User: arn:aws:sts::1:assumed-role/r/s is not authorized to perform: kms:GenerateDataKey on resource: \
                    arn:aws:kms:us-east-1:1:key/k because no identity-based policy allows the kms:GenerateDataKey action";
        let Fault::Ends { message, .. } = access().judge(403, Some("AccessDenied"), Some(said)) else { panic!() };
        assert!(message.contains("may not kms:GenerateDataKey on arn:aws:kms:us-east-1:1:key/k;"), "{message}");
    }
}
