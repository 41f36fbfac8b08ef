//! What people ask of executions: start, stop, retry, roll back, override, transitions, approvals.

use engine::{
    ActionKey, ActionReport, ApprovalDecision, Command, Event, Override, Refusal, Retry, Rollback, SetTransition,
    SourceOverride, Start, Stop, What,
};
use model::{ActionName, ExecutionId, PipelineName, StageName, StringMap};

use crate::control::{Applied, Control, ControlError};
use crate::keys;
use crate::load::Loaded;
use crate::ports::{Condition, Key, Write};
use crate::rows::PipelineRef;
use crate::stored::{decode, encode};

/// What a start is asked for, but for who asks.
struct Asked {
    variables: StringMap,
    overrides: Vec<SourceOverride>,
}

impl Control {
    /// StartPipelineExecution. The same `token` starts once, and stands for one request.
    pub async fn start_pipeline_execution(
        &self,
        name: &PipelineName,
        start: Start,
        token: Option<&str>,
    ) -> Result<ExecutionId, ControlError> {
        let pipeline = self.pipeline_ref(name).await?;
        let asked = Asked { variables: start.variables.clone(), overrides: start.overrides.clone() };
        let event = self.event(What::Command(Command::Start(start)));
        let Some(token) = token else {
            return self.started(self.command(&pipeline, &event, &[]).await?);
        };
        if let Some(earlier) = self.started_by(&pipeline, token).await? {
            return self.same_start(name, asked, earlier).await;
        }
        let id = ExecutionId(event.seed.id("execution"));
        let extra = [Write::Put {
            key: self.token_key(&pipeline, token),
            revision: 1,
            body: encode(&id)?,
            condition: Condition::Absent,
        }];
        match self.start_once(&pipeline, &event, &extra, token).await? {
            Some(id) => Ok(id),
            None => {
                let earlier = self.started_by(&pipeline, token).await?.ok_or(ControlError::Busy)?;
                self.same_start(name, asked, earlier).await
            }
        }
    }

    /// The execution that a token started, if it was started as is asked now.
    async fn same_start(
        &self,
        name: &PipelineName,
        asked: Asked,
        earlier: ExecutionId,
    ) -> Result<ExecutionId, ControlError> {
        let execution = self.get_pipeline_execution(name, earlier).await?;
        let same = |(variable, value)| execution.variables.get(variable) == Some(value);
        if asked.overrides != execution.overrides || !asked.variables.iter().all(same) {
            let message = format!(
                "clientRequestToken was used to start the execution {earlier} with other variables or source revisions; \
                 give each request a token of its own"
            );
            return Err(Refusal::Invalid(message).into());
        }
        // Whoever committed it may not have flushed yet.
        self.table().flush().await?;
        Ok(earlier)
    }

    /// Starts, unless the token was used meanwhile.
    async fn start_once(
        &self,
        pipeline: &PipelineRef,
        event: &Event,
        extra: &[Write],
        token: &str,
    ) -> Result<Option<ExecutionId>, ControlError> {
        for round in 0..32 {
            match self.round(pipeline, event, round, None, extra).await? {
                crate::control::Round::Commit(prepared, _) => match self.make(&prepared).await {
                    Ok(()) => {
                        self.table().flush().await?;
                        return Ok(prepared.changed.execution);
                    }
                    Err(crate::ports::PortError::Conflict) if self.started_by(pipeline, token).await?.is_some() => {
                        return Ok(None);
                    }
                    Err(crate::ports::PortError::Conflict) => {}
                    Err(error) => return Err(error.into()),
                },
                crate::control::Round::Refused(refusal) => return Err(refusal.into()),
                crate::control::Round::Ignored(_) => return Ok(None),
            }
        }
        Err(ControlError::Busy)
    }

    pub(crate) fn token_key(&self, pipeline: &PipelineRef, token: &str) -> Key {
        Key { pk: self.place().pipeline(pipeline.id), sk: keys::start_token_sk(token) }
    }

    pub(crate) async fn started_by(
        &self,
        pipeline: &PipelineRef,
        token: &str,
    ) -> Result<Option<ExecutionId>, ControlError> {
        let key = self.token_key(pipeline, token);
        let found = self.table().get(&key).await?;
        Ok(found.map(|stored| decode(&stored.body, &key.sk)).transpose()?)
    }

    fn started(&self, applied: Applied) -> Result<ExecutionId, ControlError> {
        match applied {
            Applied::Changed(changed) => changed.execution.ok_or(ControlError::Busy),
            Applied::Ignored(_) | Applied::Consumed => Err(ControlError::Busy),
        }
    }

    /// StopPipelineExecution.
    pub async fn stop_pipeline_execution(&self, name: &PipelineName, stop: Stop) -> Result<(), ControlError> {
        self.simple(name, Command::Stop(stop)).await
    }

    /// RetryStageExecution.
    pub async fn retry_stage_execution(&self, name: &PipelineName, retry: Retry) -> Result<(), ControlError> {
        self.simple(name, Command::Retry(retry)).await
    }

    /// RollbackStage: the rollback's execution.
    pub async fn rollback_stage(&self, name: &PipelineName, rollback: Rollback) -> Result<ExecutionId, ControlError> {
        let pipeline = self.pipeline_ref(name).await?;
        let event = self.event(What::Command(Command::Rollback(rollback)));
        let applied = self.command(&pipeline, &event, &[]).await?;
        self.started(applied)
    }

    /// OverrideStageCondition.
    pub async fn override_stage_condition(&self, name: &PipelineName, over: Override) -> Result<(), ControlError> {
        self.simple(name, Command::Override(over)).await
    }

    /// DisableStageTransition and EnableStageTransition.
    pub async fn set_stage_transition(&self, name: &PipelineName, set: SetTransition) -> Result<(), ControlError> {
        self.simple(name, Command::SetTransition(set)).await
    }

    async fn simple(&self, name: &PipelineName, command: Command) -> Result<(), ControlError> {
        let pipeline = self.pipeline_ref(name).await?;
        let event = self.event(What::Command(command));
        self.command(&pipeline, &event, &[]).await.map(|_| ())
    }

    /// PutApprovalResult: the action is found by its stage's execution, or by the token where executions run in parallel.
    pub async fn put_approval_result(
        &self,
        name: &PipelineName,
        stage: &StageName,
        action: &ActionName,
        token: &str,
        decision: ApprovalDecision,
    ) -> Result<(), ControlError> {
        let pipeline = self.pipeline_ref(name).await?;
        let waiting = self.approval_by_token(&pipeline, token).await?;
        if let Some(key) = waiting.filter(|key| key.stage == *stage && key.name == *action) {
            // Its version may not be the pipeline's any more.
            return self.decide_approval(&pipeline, &key, token, decision).await;
        }
        self.check_action(&pipeline, stage, action).await?;
        Err(Refusal::InvalidApprovalToken.into())
    }

    /// Decides the approval of one action attempt.
    pub async fn decide_approval(
        &self,
        pipeline: &PipelineRef,
        key: &ActionKey,
        token: &str,
        decision: ApprovalDecision,
    ) -> Result<(), ControlError> {
        let report = ActionReport::Decided { token: token.to_owned(), decision };
        let event = self.event(What::Action(key.clone(), report));
        self.command(pipeline, &event, &[]).await.map(|_| ())
    }

    /// The action that waits for this approval token.
    pub async fn approval_by_token(
        &self,
        pipeline: &PipelineRef,
        token: &str,
    ) -> Result<Option<ActionKey>, ControlError> {
        if token.is_empty() || token.len() > 256 || token.contains('#') {
            return Ok(None);
        }
        let key = Key { pk: self.place().pipeline(pipeline.id), sk: keys::approval_token_sk(token) };
        let found = self.table().get(&key).await?;
        Ok(found.map(|stored| decode(&stored.body, "an approval token")).transpose()?)
    }

    async fn check_action(
        &self,
        pipeline: &PipelineRef,
        stage: &StageName,
        action: &ActionName,
    ) -> Result<(), ControlError> {
        let (item, _) = self.name_item(&pipeline.name).await?.ok_or(Refusal::PipelineNotFound)?;
        let part = self.stage_part(pipeline.id, item.version, stage).await?;
        let part = part.ok_or_else(|| Refusal::StageNotFound(stage.clone()))?;
        if part.actions.iter().any(|declared| declared.name == *action) {
            Ok(())
        } else {
            Err(Refusal::ActionNotFound.into())
        }
    }

    /// Why an execution does not move: empty for one that has ended.
    pub async fn explain(&self, name: &PipelineName, id: ExecutionId) -> Result<Vec<engine::Why>, ControlError> {
        let pipeline = self.pipeline_ref(name).await?;
        let mut loaded = Loaded::default();
        let known = engine::Read::Item(engine::ItemKey::Execution(id));
        self.loader.load(pipeline.id, &mut loaded, &[known]).await?;
        if loaded.slice.execution(id).ok().flatten().is_none() {
            return Err(Refusal::ExecutionNotFound.into());
        }
        loop {
            match engine::explain(&loaded.slice, id) {
                Ok(reasons) => return Ok(reasons),
                Err(engine::Missing(reads)) => self.loader.load(pipeline.id, &mut loaded, &reads).await?,
            }
        }
    }
}
