//! What people look at: history; state is in `state.rs`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use engine::{ActionExecution, Execution, ItemKey, Read, Refusal, StageExecution, Success};
use model::{ActionExecutionId, ExecutionId, Pipeline, PipelineId, PipelineName, StageName, StringMap, Version};
use wire::executions::ExecutionSummary;

use crate::control::{Control, ControlError};
use crate::keys;
use crate::load::Loaded;
use crate::ports::{Key, MAX_READS, Query};
use crate::rows::PipelineRef;
use crate::stored::decode;

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
    /// How many of its action executions are left to show, the oldest: what is started meanwhile moves none of them.
    pub left: usize,
}

/// Which action executions are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ActionFilter {
    /// Those of this execution only.
    pub only: Option<ExecutionId>,
    /// The newest attempt of each action only.
    pub newest_attempts: bool,
    /// Those of rules, not of actions.
    pub rules: bool,
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

    /// Those of these executions that there are, in the order given, read together.
    async fn summaries(
        &self,
        pipeline: PipelineId,
        ids: &[ExecutionId],
    ) -> Result<Vec<ExecutionSummary>, ControlError> {
        let pk = self.place().pipeline(pipeline);
        let key = |id: &ExecutionId| Key { pk: pk.clone(), sk: keys::item_sk(&ItemKey::Execution(*id)) };
        let mut summaries = Vec::with_capacity(ids.len());
        for ids in ids.chunks(MAX_READS) {
            let keys: Vec<Key> = ids.iter().map(key).collect();
            for (key, stored) in keys.iter().zip(self.table().get_many(&keys).await?) {
                summaries.extend(stored.map(|stored| decode(&stored.body, &key.sk)).transpose()?);
            }
        }
        Ok(summaries)
    }

    /// ListPipelineExecutions: newest first, at most `limit`, older than the ordinal `before`. With `succeeded_in` only those
    /// that succeeded in that stage under the pipeline's current version. The second value is where to go on.
    pub async fn list_pipeline_executions(
        &self,
        name: &PipelineName,
        before: Option<u64>,
        limit: usize,
        succeeded_in: Option<&StageName>,
    ) -> Result<(Vec<ExecutionSummary>, Option<u64>), ControlError> {
        let pipeline = self.pipeline_ref(name).await?;
        let prefix = succeeded_in.map_or_else(|| keys::ORDER_PREFIX.to_owned(), keys::success_prefix);
        let after = before.map(|ordinal| format!("{prefix}{ordinal:020}"));
        let query = Query { pk: self.place().pipeline(pipeline.id), prefix, after, limit, backward: true };
        let page = self.table().query(&query).await?;
        let mut ids = Vec::with_capacity(page.items.len());
        let mut more = page.more;
        let current = match succeeded_in {
            Some(_) => self.name_item(name).await?.map_or(0, |(item, _)| item.version),
            None => 0,
        };
        for (key, stored) in &page.items {
            let id: ExecutionId = match succeeded_in {
                None => decode(&stored.body, &key.sk)?,
                Some(_) => {
                    let success: Success = decode(&stored.body, &key.sk)?;
                    if success.version < current {
                        // What was started before did not run a newer version.
                        more = false;
                        break;
                    }
                    success.execution
                }
            };
            ids.push(id);
        }
        let executions = self.summaries(pipeline.id, &ids).await?;
        let more = more.then(|| executions.last().map(|execution| execution.ordinal)).flatten();
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

    /// ListActionExecutions and ListRuleExecutions: newest first.
    pub async fn list_action_executions(
        &self,
        name: &PipelineName,
        filter: &ActionFilter,
        cursor: Option<ActionCursor>,
        limit: usize,
    ) -> Result<(Vec<ActionDetail>, Option<ActionCursor>), ControlError> {
        let pipeline = self.pipeline_ref(name).await?;
        let mut details = Vec::new();
        let mut cursor = cursor;
        loop {
            let Some(execution) = self.execution_at(&pipeline, filter.only, cursor.as_ref()).await? else {
                return Ok((details, None));
            };
            let left = cursor.as_ref().filter(|at| at.ordinal == execution.ordinal).map_or(usize::MAX, |at| at.left);
            let mut actions = self.actions_of(pipeline.id, execution.id).await?;
            actions.retain(|action| action.is_rule() == filter.rules);
            let newest = newest_attempts(&actions);
            for (index, action) in actions.into_iter().enumerate().take(left).rev() {
                if filter.newest_attempts && !newest.contains(&action.id) {
                    continue;
                }
                if details.len() == limit {
                    return Ok((details, Some(ActionCursor { ordinal: execution.ordinal, left: index + 1 })));
                }
                details.push(self.detail(&pipeline, action).await?);
            }
            if filter.only.is_some() {
                return Ok((details, None));
            }
            cursor = Some(ActionCursor { ordinal: execution.ordinal, left: 0 });
        }
    }

    /// The execution a listing of actions stands at: the filter's, or the newest not yet shown in full.
    async fn execution_at(
        &self,
        pipeline: &PipelineRef,
        only: Option<ExecutionId>,
        cursor: Option<&ActionCursor>,
    ) -> Result<Option<ExecutionSummary>, ControlError> {
        if let Some(id) = only {
            let found = self.summaries(pipeline.id, &[id]).await?.pop();
            return found.map(Some).ok_or_else(|| Refusal::ExecutionNotFound.into());
        }
        let before = cursor.map(|at| if at.left == 0 { at.ordinal } else { at.ordinal.saturating_add(1) });
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

/// The newest attempt of each action and rule of an execution.
fn newest_attempts(actions: &[ActionExecution]) -> HashSet<ActionExecutionId> {
    let mut newest: HashMap<_, &ActionExecution> = HashMap::new();
    for action in actions {
        let known = newest.entry((&action.key.stage, action.key.slot, &action.key.name)).or_insert(action);
        if action.key.attempt > known.key.attempt {
            *known = action;
        }
    }
    newest.into_values().map(|action| action.id).collect()
}
