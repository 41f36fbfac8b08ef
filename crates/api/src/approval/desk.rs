//! The desk over the control plane.

use std::sync::Arc;

use async_trait::async_trait;
use control::Control;
use control::rows::PipelineRef;
use engine::{ActionExecution, ApprovalDecision};

use super::{Desk, Link, Shown, ShownRevision};
use crate::audit::CallRecord;
use crate::error::ApiError;
use crate::regions::Regions;

/// The approvals of the control planes.
pub struct ControlDesk(pub Arc<dyn Regions>);

impl ControlDesk {
    fn control(&self, link: &Link) -> Result<Control, ApiError> {
        self.0.control(&link.region).ok_or_else(ApiError::internal)
    }
}

#[async_trait]
impl Desk for ControlDesk {
    async fn find(&self, link: &Link) -> Result<Option<ActionExecution>, ApiError> {
        let Some(control) = self.0.control(&link.region) else { return Ok(None) };
        // The name is not known before the item is read; the id alone says where it lies.
        let pipeline = PipelineRef { id: link.pipeline_id, name: "".into() };
        Ok(control.action(&pipeline, &link.action_key()).await?)
    }

    async fn show(&self, link: &Link, action: &ActionExecution) -> Result<Shown, ApiError> {
        let control = self.control(link)?;
        let execution = control.execution(link.pipeline_id, link.execution).await?;
        let configuration = control.resolved_configuration(link.pipeline_id, &action.key).await?;
        let stages = control.stages_of(link.pipeline_id, link.execution).await?;
        let stage = stages.iter().find(|stage| stage.stage == link.stage);
        let newest = stage.map_or(action.key.attempt, |stage| stage.newest_attempt(action.key.slot, &action.key.name));
        let revisions = execution.iter().flat_map(|execution| &execution.revisions);
        Ok(Shown {
            pipeline: action.pipeline.to_string(),
            stage: link.stage.to_string(),
            action: link.action.to_string(),
            execution: link.execution.to_string(),
            revisions: revisions
                .map(|revision| ShownRevision {
                    action: revision.action.to_string(),
                    id: revision.revision_id.clone(),
                    summary: revision.summary.clone(),
                    url: revision.url.clone(),
                })
                .collect(),
            started_by: execution.as_ref().map(|execution| execution.trigger.detail.clone()),
            custom_data: configuration.get("CustomData").cloned(),
            external_link: configuration.get("ExternalEntityLink").cloned(),
            recipient: link.recipient.clone(),
            expires: link.expires.to_iso_seconds(),
            has_newer_attempt: newest > action.key.attempt,
        })
    }

    async fn decide(&self, link: &Link, action: &ActionExecution, decision: ApprovalDecision) -> Result<(), ApiError> {
        let control = self.control(link)?;
        let record = CallRecord::of_link(&control, link, action.pipeline.as_str(), &decision);
        let control = control.with_beside(record);
        let pipeline = PipelineRef { id: link.pipeline_id, name: action.pipeline.clone() };
        Ok(control.decide_approval(&pipeline, &action.key, &link.token, decision).await?)
    }
}
