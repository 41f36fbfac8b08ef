//! The CodePipeline invoke action: starts another pipeline of this control plane, and waits for its end.

use async_trait::async_trait;
use control::ports::{ActionReply, ActionRequest};
use engine::{Outcome, Started};
use model::{ExecutionId, ExecutionStatus, SourceRevisionType, StringMap};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::configuration::Settings;
use crate::fault::{Fault, code};
use crate::polling;
use crate::ports::{PipelineStart, StartError};
use crate::registry::Provider;
use crate::runner::{Guarantee, ProviderParts, ended};

/// The CodePipeline invoke action.
pub(crate) struct PipelineInvoke;

/// One of `Variables`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Variable {
    name: String,
    value: String,
}

/// One of `SourceRevisions`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Revision {
    action_name: String,
    revision_type: String,
    revision_value: String,
}

#[async_trait]
impl Provider for PipelineInvoke {
    /// By the client request token.
    fn guarantee(&self) -> Guarantee {
        Guarantee::Token
    }

    async fn start(&self, parts: &ProviderParts, request: &ActionRequest) -> Result<ActionReply, Fault> {
        let start = pipeline_start(request)?;
        let name = start.pipeline.clone();
        let execution = parts.pipelines.start(request, start).await.map_err(refused)?;
        let started = Started {
            external_id: Some(execution.to_string()),
            summary: Some(format!("execution {execution} of {name}")),
            ..Started::default()
        };
        let poll_at = Some(polling::next(polling::began(&request.action), parts.clock.now()));
        Ok(ActionReply::Pending { started, poll_at })
    }

    async fn poll(&self, parts: &ProviderParts, request: &ActionRequest) -> Result<ActionReply, Fault> {
        let name = Settings(request).required("PipelineName")?;
        let id: Option<ExecutionId> = request.external_id.as_deref().and_then(|id| id.parse().ok());
        let id = id.ok_or_else(|| Fault::job("the execution's id is lost"))?;
        match parts.pipelines.status(request, name, id).await? {
            Some(status) => match judge(name, id, status)? {
                Some(outcome) => Ok(ended(outcome)),
                None => {
                    let poll_at = Some(polling::next(polling::began(&request.action), parts.clock.now()));
                    Ok(ActionReply::Pending { started: Started::default(), poll_at })
                }
            },
            None => Err(Fault::job(format!("execution {id} of {name} is gone: the pipeline was deleted"))),
        }
    }
}

fn refused(error: StartError) -> Fault {
    match error {
        StartError::Refused { code: name, message } => {
            Fault::Ends { code: code::CONFIGURATION, message: format!("{name}: {message}") }
        }
        StartError::Port(error) => error.into(),
    }
}

/// What an execution's status means for the action; nothing yet while it runs.
fn judge(name: &str, id: ExecutionId, status: ExecutionStatus) -> Result<Option<Outcome>, Fault> {
    match status {
        ExecutionStatus::InProgress | ExecutionStatus::Stopping => Ok(None),
        ExecutionStatus::Succeeded => {
            let summary = Some(format!("execution {id} of {name} succeeded"));
            Ok(Some(Outcome { summary, ..Outcome::default() }))
        }
        ExecutionStatus::Cancelled
        | ExecutionStatus::Failed
        | ExecutionStatus::Stopped
        | ExecutionStatus::Superseded => Err(Fault::job(format!("execution {id} of {name} ended {status}"))),
    }
}

fn pipeline_start(request: &ActionRequest) -> Result<PipelineStart, Fault> {
    let settings = Settings(request);
    let variables: Vec<Variable> = list(settings, "Variables", r#"[{"name": "N", "value": "V"}]"#)?;
    let right = r#"[{"actionName": "Source", "revisionType": "COMMIT_ID", "revisionValue": "…"}]"#;
    let revisions: Vec<Revision> = list(settings, "SourceRevisions", right)?;
    let mut source_revisions = Vec::new();
    for Revision { action_name, revision_type, revision_value } in revisions {
        let words = || SourceRevisionType::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ");
        let kind = SourceRevisionType::parse(&revision_type).ok_or_else(|| {
            settings.fault("SourceRevisions", &format!("revisionType is one of {}, not {revision_type:?}", words()))
        })?;
        source_revisions.push((action_name, kind, revision_value));
    }
    Ok(PipelineStart {
        pipeline: settings.required("PipelineName")?.to_owned(),
        variables: variables.into_iter().map(|variable| (variable.name, variable.value)).collect::<StringMap>(),
        source_revisions,
        token: request.action.id.to_string(),
    })
}

/// A setting that holds a JSON list; an empty one when absent.
fn list<T: DeserializeOwned>(settings: Settings<'_>, key: &str, right: &str) -> Result<Vec<T>, Fault> {
    match settings.optional(key) {
        None => Ok(Vec::new()),
        Some(text) => {
            serde_json::from_str(text).map_err(|error| settings.fault(key, &format!("{error}; write {right}")))
        }
    }
}

#[cfg(test)]
mod tests;
