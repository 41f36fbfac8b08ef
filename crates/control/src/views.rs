//! What people look at: state and history.

use std::sync::Arc;

use engine::{ActionExecution, Execution, Header, ItemKey, Lane, Read, Refusal, StageExecution, Success};
use model::{ExecutionId, Pipeline, PipelineId, PipelineName, Stage, StageName, StringMap, Version};

use crate::control::{Control, ControlError};
use crate::keys;
use crate::load::Loaded;
use crate::ports::{Key, Query};
use crate::rows::PipelineRef;
use crate::stored::decode;

/// A stage as GetPipelineState shows it.
#[derive(Clone, Debug)]
pub struct StageView {
    /// What is declared.
    pub declared: Arc<Stage>,
    /// Its lane.
    pub lane: Lane,
    /// The execution that entered last.
    pub latest: Option<Execution>,
    /// That execution's stage execution.
    pub stage_execution: Option<StageExecution>,
    /// The newest attempt of each action and rule of it.
    pub actions: Vec<ActionExecution>,
    /// Executions that wait before it, in order.
    pub inbound: Vec<Execution>,
}

/// A pipeline as GetPipelineState shows it. In PARALLEL mode stages have no state of the pipeline.
#[derive(Clone, Debug)]
pub struct PipelineState {
    /// The pipeline.
    pub pipeline: PipelineRef,
    /// The current version's header.
    pub header: Arc<Header>,
    /// When it was created.
    pub created_at: model::Timestamp,
    /// When it was last updated.
    pub updated_at: model::Timestamp,
    /// Its stages, in order.
    pub stages: Vec<StageView>,
}

/// An action execution with what lies beside it.
#[derive(Clone, Debug)]
pub struct ActionDetail {
    /// The action execution.
    pub action: ActionExecution,
    /// What its version declared, secrets masked; none where that version is gone.
    pub declared: Option<model::Action>,
    /// Its resolved configuration, secrets masked.
    pub resolved_configuration: StringMap,
    /// Its output variables.
    pub output_variables: StringMap,
}

/// Where a listing of action executions goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionCursor {
    /// The ordinal of the execution.
    pub ordinal: u64,
    /// How many of its action executions were shown.
    pub shown: usize,
}

impl Control {
    /// GetPipelineExecution.
    pub async fn get_pipeline_execution(
        &self,
        name: &PipelineName,
        id: ExecutionId,
    ) -> Result<Execution, ControlError> {
        let pipeline = self.pipeline_ref(name).await?;
        self.execution(pipeline.id, id).await?.ok_or_else(|| Refusal::ExecutionNotFound.into())
    }

    /// An execution.
    pub async fn execution(&self, pipeline: PipelineId, id: ExecutionId) -> Result<Option<Execution>, ControlError> {
        let mut loaded = Loaded::default();
        self.loader.load(pipeline, &mut loaded, &[Read::Item(ItemKey::Execution(id))]).await?;
        Ok(loaded.slice.execution(id).ok().flatten().cloned())
    }

    /// ListPipelineExecutions: newest first, at most `limit`, older than the ordinal `before`. With `succeeded_in` only those
    /// that succeeded in that stage. The second value is where to go on.
    pub async fn list_pipeline_executions(
        &self,
        name: &PipelineName,
        before: Option<u64>,
        limit: usize,
        succeeded_in: Option<&StageName>,
    ) -> Result<(Vec<Execution>, Option<u64>), ControlError> {
        let pipeline = self.pipeline_ref(name).await?;
        let prefix = succeeded_in.map_or_else(|| keys::ORDER_PREFIX.to_owned(), keys::success_prefix);
        let after = before.map(|ordinal| format!("{prefix}{ordinal:020}"));
        let query = Query { pk: self.place().pipeline(pipeline.id), prefix, after, limit, backward: true };
        let page = self.table().query(&query).await?;
        let mut executions = Vec::with_capacity(page.items.len());
        for (key, stored) in &page.items {
            let id: ExecutionId = match succeeded_in {
                None => decode(&stored.body, &key.sk)?,
                Some(_) => decode::<Success>(&stored.body, &key.sk)?.execution,
            };
            executions.extend(self.execution(pipeline.id, id).await?);
        }
        let more = page.more.then(|| executions.last().map(|execution| execution.ordinal)).flatten();
        Ok((executions, more))
    }

    /// Every action and rule execution of an execution, in the order they were started.
    pub async fn actions_of(
        &self,
        pipeline: PipelineId,
        id: ExecutionId,
    ) -> Result<Vec<ActionExecution>, ControlError> {
        let mut actions: Vec<ActionExecution> = Vec::new();
        for (key, stored) in self.loader.all(&self.place().pipeline(pipeline), &keys::actions_prefix(id)).await? {
            actions.push(decode(&stored.body, &key.sk)?);
        }
        actions.sort_by(|left, right| (left.started_at, &left.key).cmp(&(right.started_at, &right.key)));
        Ok(actions)
    }

    /// Every stage execution of an execution.
    pub async fn stages_of(&self, pipeline: PipelineId, id: ExecutionId) -> Result<Vec<StageExecution>, ControlError> {
        let found = self.loader.all(&self.place().pipeline(pipeline), &keys::stages_prefix(id)).await?;
        found.iter().map(|(key, stored)| Ok(decode(&stored.body, &key.sk)?)).collect()
    }

    /// ListActionExecutions (`rules` false) or ListRuleExecutions (`rules` true): newest first.
    pub async fn list_action_executions(
        &self,
        name: &PipelineName,
        only: Option<ExecutionId>,
        cursor: Option<ActionCursor>,
        limit: usize,
        rules: bool,
    ) -> Result<(Vec<ActionDetail>, Option<ActionCursor>), ControlError> {
        let pipeline = self.pipeline_ref(name).await?;
        let mut details = Vec::new();
        let mut cursor = cursor;
        loop {
            let Some(execution) = self.execution_at(&pipeline, only, cursor.as_ref()).await? else {
                return Ok((details, None));
            };
            let skip = cursor.as_ref().filter(|at| at.ordinal == execution.ordinal).map_or(0, |at| at.shown);
            let mut actions = self.actions_of(pipeline.id, execution.id).await?;
            actions.retain(|action| action.is_rule() == rules);
            actions.reverse();
            for (shown, action) in actions.into_iter().enumerate().skip(skip) {
                if details.len() == limit {
                    return Ok((details, Some(ActionCursor { ordinal: execution.ordinal, shown })));
                }
                details.push(self.detail(&pipeline, action).await?);
            }
            if only.is_some() {
                return Ok((details, None));
            }
            cursor = Some(ActionCursor { ordinal: execution.ordinal, shown: usize::MAX });
        }
    }

    /// The execution a listing of actions stands at: the filter's, or the newest not yet shown in full.
    async fn execution_at(
        &self,
        pipeline: &PipelineRef,
        only: Option<ExecutionId>,
        cursor: Option<&ActionCursor>,
    ) -> Result<Option<Execution>, ControlError> {
        if let Some(id) = only {
            let found = self.execution(pipeline.id, id).await?;
            return found.map(Some).ok_or_else(|| Refusal::ExecutionNotFound.into());
        }
        let before = cursor.map(|at| if at.shown == usize::MAX { at.ordinal } else { at.ordinal + 1 });
        let (mut executions, _) = self.list_pipeline_executions(&pipeline.name, before, 1, None).await?;
        Ok(executions.pop())
    }

    async fn detail(&self, pipeline: &PipelineRef, action: ActionExecution) -> Result<ActionDetail, ControlError> {
        let part = self.stage_part(pipeline.id, action.version, &action.key.stage).await?;
        let mut declared = part.as_deref().and_then(|part| crate::dispatch::declared(part, &action.key));
        if let Some(declared) = &mut declared {
            model::action_types::mask_secrets(&declared.action_type_id.clone(), &mut declared.configuration);
        }
        Ok(ActionDetail {
            declared,
            resolved_configuration: self.resolved_configuration(pipeline.id, &action.key).await?,
            output_variables: self.output_variables(pipeline.id, &action.key).await?,
            action,
        })
    }

    /// GetPipelineState.
    pub async fn get_pipeline_state(&self, name: &PipelineName) -> Result<PipelineState, ControlError> {
        let (item, _) = self.name_item(name).await?.ok_or(Refusal::PipelineNotFound)?;
        let pipeline = PipelineRef { id: item.id, name: name.clone() };
        let header = self.header(item.id, item.version).await?;
        let mut stages = Vec::with_capacity(header.stages.len());
        for stage in &header.stages {
            if let Some(declared) = self.stage_part(item.id, item.version, stage).await? {
                stages.push(self.stage_view(&pipeline, declared).await?);
            }
        }
        Ok(PipelineState { pipeline, header, created_at: item.created_at, updated_at: item.updated_at, stages })
    }

    async fn stage_view(&self, pipeline: &PipelineRef, declared: Arc<Stage>) -> Result<StageView, ControlError> {
        let name = declared.name.clone();
        let mut loaded = Loaded::default();
        self.loader.load(pipeline.id, &mut loaded, &[Read::Item(ItemKey::Lane(name.clone()))]).await?;
        let lane = loaded.slice.lane(&name).ok().flatten().cloned().unwrap_or_default();
        let mut view =
            StageView { declared, lane, latest: None, stage_execution: None, actions: Vec::new(), inbound: Vec::new() };
        for id in view.lane.waiting.values() {
            view.inbound.extend(self.execution(pipeline.id, *id).await?);
        }
        let Some(last) = view.lane.last else { return Ok(view) };
        view.latest = self.execution(pipeline.id, last).await?;
        let read = Read::Item(ItemKey::StageExecution(last, name.clone()));
        self.loader.load(pipeline.id, &mut loaded, &[read]).await?;
        view.stage_execution = loaded.slice.stage_execution(last, &name).ok().flatten().cloned();
        if let Some(entered) = &view.stage_execution {
            let prefix = format!("{}{name}#", keys::actions_prefix(last));
            for (key, stored) in self.loader.all(&self.place().pipeline(pipeline.id), &prefix).await? {
                let action: ActionExecution = decode(&stored.body, &key.sk)?;
                if entered.newest_attempt(action.key.slot, &action.key.name) == action.key.attempt {
                    view.actions.push(action);
                }
            }
        }
        Ok(view)
    }

    /// What a version declares, but for its stages.
    pub(crate) async fn declaration_top(
        &self,
        id: PipelineId,
        version: Version,
    ) -> Result<Option<Arc<Pipeline>>, ControlError> {
        if let Some(known) = self.loader.cache.declaration(id, version) {
            return Ok(Some(known));
        }
        let key = Key { pk: self.place().pipeline(id), sk: keys::declaration_sk(version) };
        let Some(stored) = self.table().get(&key).await? else { return Ok(None) };
        let declaration: Arc<Pipeline> = Arc::new(decode(&stored.body, &key.sk)?);
        self.loader.cache.keep_declaration(id, version, declaration.clone());
        Ok(Some(declaration))
    }
}
