//! PutActionRevision: somebody tells of a source's new revision.

use engine::{Origin, Refusal, Start, TriggerDetail};
use model::{ActionName, Category, ExecutionId, PipelineName, StageName, StringMap, TriggerType};
use sha2::{Digest, Sha256};

use crate::control::{Control, ControlError};
use crate::hexadecimal::hex;
use crate::rows::PipelineRef;

/// What came of a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revised {
    /// Whether it was not known before.
    pub new: bool,
    /// The execution that runs, or ran, with it.
    pub execution: ExecutionId,
}

impl Control {
    /// Starts an execution with a source action's new revision; one that was told before starts nothing.
    ///
    /// # Errors
    /// There is no such source action, or too many executions are in progress.
    pub async fn put_action_revision(
        &self,
        name: &PipelineName,
        stage: &StageName,
        action: &ActionName,
        revision: &str,
        by: &str,
    ) -> Result<Revised, ControlError> {
        let (item, _) = self.name_item(name).await?.ok_or(Refusal::PipelineNotFound)?;
        let pipeline = PipelineRef { id: item.id, name: name.clone() };
        let part = self.stage_part(item.id, item.version, stage).await?;
        let part = part.ok_or_else(|| Refusal::StageNotFound(stage.clone()))?;
        let declared = part.actions.iter().find(|declared| declared.name == *action).ok_or(Refusal::ActionNotFound)?;
        if declared.action_type_id.category != Category::Source {
            let why = format!("{action} is no source action: only those take revisions");
            return Err(Refusal::Invalid(why).into());
        }
        // Clients' own tokens have no slash.
        let digest = hex(&Sha256::digest(revision));
        let token = format!("revision/{action}/{digest}");
        if let Some(execution) = self.started_by(&pipeline, &token).await? {
            self.table().flush().await?;
            return Ok(Revised { new: false, execution });
        }
        let origin = Origin { action: Some(action.clone()), after: Some(revision.to_owned()), ..Origin::default() };
        let start = Start {
            trigger: TriggerDetail { kind: TriggerType::PutActionRevision, detail: by.to_owned() },
            origin: Some(origin),
            variables: StringMap::new(),
            overrides: Vec::new(),
        };
        let execution = self.start_pipeline_execution(name, start, Some(&token)).await?;
        Ok(Revised { new: true, execution })
    }
}
