//! From what CodeBuild tells of a build to what it means for the action.

use aws_sdk_codebuild::types::{
    Build, BuildArtifacts, BuildBatch, BuildBatchPhase, BuildPhase, EnvironmentVariable, StatusType,
};
use control::ports::ActionRequest;
use engine::{ArtifactLocation, Outcome};
use model::Timestamp;

use super::call::{MARK, exported};
use crate::fault::Fault;

/// What is known of a build or a batch.
#[derive(Clone, Debug, PartialEq, Default)]
pub(super) struct News {
    /// `project:uuid`.
    pub(super) id: String,
    pub(super) is_batch: bool,
    pub(super) status: String,
    pub(super) started: Option<Timestamp>,
    pub(super) phase: Option<String>,
    pub(super) log_url: Option<String>,
    /// Which action execution it is of.
    pub(super) mark: Option<String>,
    pub(super) exported: Vec<(String, String)>,
    /// Why phases failed.
    pub(super) reasons: Vec<String>,
    /// SHA-256 by the artifact's identifier; the primary one has none.
    pub(super) digests: Vec<(Option<String>, String)>,
}

impl News {
    pub(super) fn of_build(build: &Build) -> Self {
        let variables = build.environment().map(|environment| environment.environment_variables());
        let exported = build.exported_environment_variables().iter();
        Self {
            id: build.id().unwrap_or_default().to_owned(),
            is_batch: false,
            status: status(build.build_status()),
            started: build.start_time().and_then(|at| at.to_millis().ok()).map(Timestamp),
            phase: build.current_phase().map(Into::into),
            log_url: build.logs().and_then(|logs| logs.deep_link()).map(Into::into),
            mark: mark(variables.unwrap_or_default()),
            exported: exported.filter_map(|one| Some((one.name()?.into(), one.value()?.into()))).collect(),
            reasons: build.phases().iter().flat_map(reasons_of_phase).collect(),
            digests: build.artifacts().into_iter().chain(build.secondary_artifacts()).filter_map(digest).collect(),
        }
    }

    pub(super) fn of_batch(batch: &BuildBatch) -> Self {
        let variables = batch.environment().map(|environment| environment.environment_variables());
        Self {
            id: batch.id().unwrap_or_default().to_owned(),
            is_batch: true,
            status: status(batch.build_batch_status()),
            started: batch.start_time().and_then(|at| at.to_millis().ok()).map(Timestamp),
            phase: batch.current_phase().map(Into::into),
            log_url: None,
            mark: mark(variables.unwrap_or_default()),
            exported: Vec::new(),
            reasons: batch.phases().iter().flat_map(reasons_of_batch_phase).collect(),
            digests: batch.artifacts().into_iter().chain(batch.secondary_artifacts()).filter_map(digest).collect(),
        }
    }

    /// Whether it was started for this action execution.
    pub(super) fn is_of(&self, request: &ActionRequest) -> bool {
        self.mark.as_deref() == Some(request.action.id.to_string().as_str())
    }

    /// What it means for the action; nothing yet while it runs.
    pub(super) fn judge(&self, request: &ActionRequest) -> Result<Option<Outcome>, Fault> {
        match self.status.as_str() {
            "IN_PROGRESS" => Ok(None),
            "SUCCEEDED" => Ok(Some(Outcome {
                external_id: Some(self.id.clone()),
                external_url: self.log_url.clone(),
                summary: Some(format!("{} succeeded", self.id)),
                outputs: request.action.outputs.iter().map(|output| self.made(request, output)).collect(),
                variables: exported(request, &self.exported),
                ..Outcome::default()
            })),
            status => Err(Fault::job(self.failure(status))),
        }
    }

    fn failure(&self, status: &str) -> String {
        let what = match status {
            "FAILED" => "failed",
            "FAULT" => "failed by a fault of CodeBuild",
            "TIMED_OUT" => "took longer than its project allows",
            "STOPPED" => "was stopped",
            other => other,
        };
        let kind = if self.is_batch { "batch" } else { "build" };
        let reasons = if self.reasons.is_empty() { String::new() } else { format!(": {}", self.reasons.join("; ")) };
        format!("the {kind} {} {what}{reasons}", self.id)
    }

    fn made(&self, request: &ActionRequest, output: &ArtifactLocation) -> ArtifactLocation {
        let wanted = (request.action.outputs.len() > 1).then(|| output.name.as_str());
        let digest = self.digests.iter().find(|(identifier, _)| identifier.as_deref() == wanted);
        ArtifactLocation { digest: digest.map(|(_, digest)| digest.clone()), ..output.clone() }
    }
}

fn status(status: Option<&StatusType>) -> String {
    status.map_or("IN_PROGRESS", StatusType::as_str).to_owned()
}

fn mark(variables: &[EnvironmentVariable]) -> Option<String> {
    variables.iter().find(|variable| variable.name() == MARK).map(|variable| variable.value().to_owned())
}

fn digest(artifact: &BuildArtifacts) -> Option<(Option<String>, String)> {
    let sum = artifact.sha256_sum().filter(|sum| !sum.is_empty())?;
    Some((artifact.artifact_identifier().map(Into::into), sum.to_owned()))
}

fn reasons_of_phase(phase: &BuildPhase) -> Vec<String> {
    let name = phase.phase_type().map_or("a phase", |kind| kind.as_str());
    reasons(name, phase.phase_status(), phase.contexts())
}

fn reasons_of_batch_phase(phase: &BuildBatchPhase) -> Vec<String> {
    let name = phase.phase_type().map_or("a phase", |kind| kind.as_str());
    reasons(name, phase.phase_status(), phase.contexts())
}

fn reasons(
    phase: &str,
    status: Option<&StatusType>,
    contexts: &[aws_sdk_codebuild::types::PhaseContext],
) -> Vec<String> {
    if matches!(status, None | Some(StatusType::Succeeded | StatusType::InProgress)) {
        return Vec::new();
    }
    let said = contexts.iter().filter_map(|context| context.message()).filter(|said| !said.trim().is_empty());
    let said: Vec<String> = said.map(|said| format!("{phase}: {}", said.trim())).collect();
    if said.is_empty() { vec![format!("in {phase}")] } else { said }
}
