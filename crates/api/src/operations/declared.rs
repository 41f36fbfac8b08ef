//! A declaration that is handed in: validated as a whole, its faults worded as one error.

use model::finding::{Code, Finding, Severity};
use model::validate::validate_in;
use model::{Pipeline, Version};

use super::Call;
use crate::error::ApiError;

mod custom_types;

/// The most faults that are listed.
const MAX_LISTED: usize = 50;

/// The typed declaration.
///
/// # Errors
///
/// One error with every fault, named after the first. Warnings are logged.
pub(super) async fn pipeline(call: &Call) -> Result<Pipeline, ApiError> {
    let (pipeline, findings) = validate_in(&call.input["pipeline"], Some(&call.control.place().region));
    let (errors, warnings): (Vec<_>, Vec<_>) = findings.iter().partition(|f| f.severity == Severity::Error);
    // Types that the model has no definition of are checked against the stored ones.
    let stored = |warning: &&&Finding| {
        warning.code == Code::UnverifiedActionType && warning.path.ends_with("actionTypeId.provider")
    };
    for warning in warnings.iter().filter(|warning| !stored(warning)) {
        tracing::warn!(pipeline = call.input["pipeline"]["name"].as_str(), "{warning}");
    }
    match (pipeline, errors.first()) {
        (Some(pipeline), None) => {
            call.policies.check_roles(call, &pipeline)?;
            custom_types::check(call, &pipeline).await?;
            Ok(Pipeline { version: None::<Version>, ..pipeline })
        }
        (_, Some(first)) => Err(ApiError::new(error_name(first), message(&errors))),
        (None, None) => Err(ApiError::internal()),
    }
}

fn message(errors: &[&Finding]) -> String {
    let listed: Vec<String> = errors.iter().map(|finding| format!("{}: {}", finding.path, finding.message)).collect();
    joined(&listed)
}

/// Faults as one text, cut when there are many.
fn joined(faults: &[String]) -> String {
    let rest = faults.len().saturating_sub(MAX_LISTED);
    let more = if rest > 0 { format!("; and {rest} more") } else { String::new() };
    format!("{}{more}", faults[..faults.len() - rest].join("; "))
}

/// Faults of an action's own declaration, of a stage's, or of how they fit together.
fn error_name(finding: &Finding) -> &'static str {
    match finding.code {
        Code::ArtifactCount
        | Code::UnknownActionType
        | Code::MissingConfiguration
        | Code::UnknownConfiguration
        | Code::InvalidConfiguration
        | Code::MisplacedField
        | Code::InvalidTimeout => "InvalidActionDeclarationException",
        Code::ReservedBlocker => "InvalidBlockerDeclarationException",
        Code::EmptyStage
        | Code::InvalidResult
        | Code::RuleNotAllowed
        | Code::UnknownRuleType
        | Code::FailureConflict => "InvalidStageDeclarationException",
        Code::TooFewStages
        | Code::TooManyStages
        | Code::TooManyActions
        | Code::DuplicateName
        | Code::SourcePlacement
        | Code::DuplicateArtifact
        | Code::UnknownArtifact
        | Code::ArtifactOrder
        | Code::ArtifactStoreChoice
        | Code::MissingRegionStore
        | Code::CrossRegion => "InvalidStructureException",
        _ => "ValidationException",
    }
}
