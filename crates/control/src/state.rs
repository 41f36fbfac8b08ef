//! GetPipelineState: what lies in the stages of the current version now.
//!
//! Lanes say which executions count, and their stage executions which attempts: so many reads as there are stages, in four
//! requests, however long the history is.

use std::sync::Arc;

use engine::{ActionExecution, ActionKey, Execution, Header, ItemKey, Lane, Read, Refusal, Slot, StageExecution};
use model::{ExecutionMode, PipelineId, PipelineName, Stage, StageName};

use crate::control::{Control, ControlError};
use crate::load::Loaded;
use crate::rows::PipelineRef;

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

impl Control {
    /// GetPipelineState.
    ///
    /// # Errors
    /// There is no such pipeline, or a port failed.
    pub async fn get_pipeline_state(&self, name: &PipelineName) -> Result<PipelineState, ControlError> {
        let (item, _) = self.name_item(name).await?.ok_or(Refusal::PipelineNotFound)?;
        let pipeline = PipelineRef { id: item.id, name: name.clone() };
        let header = self.header(item.id, item.version).await?;
        let mut loaded = Loaded::default();
        let mut wanted: Vec<ItemKey> =
            header.stages.iter().map(|stage| ItemKey::StagePart(item.version, stage.clone())).collect();
        if header.mode != ExecutionMode::Parallel {
            wanted.extend(header.stages.iter().map(|stage| ItemKey::Lane(stage.clone())));
        }
        self.look(item.id, &mut loaded, wanted).await?;
        let known: Vec<(&StageName, Lane)> = header.stages.iter().map(|stage| (stage, lane(&loaded, stage))).collect();
        self.look(item.id, &mut loaded, known.iter().flat_map(|(stage, lane)| within(stage, lane)).collect()).await?;
        let parts = known.iter().filter_map(|(stage, lane)| {
            let latest = loaded.slice.execution(lane.last?).ok().flatten()?;
            Some(ItemKey::StagePart(latest.version, (*stage).clone()))
        });
        let parts = parts.collect();
        self.look(item.id, &mut loaded, parts).await?;
        let attempts: Vec<Vec<ActionKey>> =
            known.iter().map(|(stage, lane)| newest_attempts(&loaded, stage, lane).unwrap_or_default()).collect();
        let wanted = attempts.iter().flatten().map(|key| ItemKey::Action(key.clone())).collect();
        self.look(item.id, &mut loaded, wanted).await?;
        let stages = known.into_iter().zip(attempts).filter_map(|((stage, lane), attempts)| {
            let declared = loaded.slice.stage_part(item.version, stage).ok().flatten()?.clone();
            Some(view(&loaded, declared, lane, &attempts))
        });
        let stages = stages.collect();
        Ok(PipelineState { pipeline, header, created_at: item.created_at, updated_at: item.updated_at, stages })
    }

    async fn look(&self, id: PipelineId, loaded: &mut Loaded, items: Vec<ItemKey>) -> Result<(), ControlError> {
        let reads: Vec<Read> = items.into_iter().map(Read::Item).collect();
        Ok(self.loader.load(id, loaded, &reads).await?)
    }
}

fn lane(loaded: &Loaded, stage: &StageName) -> Lane {
    loaded.slice.lane(stage).ok().flatten().cloned().unwrap_or_default()
}

/// Who waits before a stage, who entered it last, and how that one is doing in it.
fn within(stage: &StageName, lane: &Lane) -> Vec<ItemKey> {
    let waiting = lane.waiting.values().map(|id| ItemKey::Execution(*id));
    let last = lane.last.into_iter();
    let last = last.flat_map(|id| [ItemKey::Execution(id), ItemKey::StageExecution(id, stage.clone())]);
    waiting.chain(last).collect()
}

/// The newest attempt of each action and rule of the execution that entered last. Run orders are those of its own version.
fn newest_attempts(loaded: &Loaded, stage: &StageName, lane: &Lane) -> Option<Vec<ActionKey>> {
    let execution = lane.last?;
    let entered = loaded.slice.stage_execution(execution, stage).ok().flatten()?;
    let version = loaded.slice.execution(execution).ok().flatten()?.version;
    let part = loaded.slice.stage_part(version, stage).ok().flatten()?;
    let actions = part.actions.iter().filter(|action| entered.attempts.contains_key(&action.name));
    let actions = actions.map(|action| entered.newest_key(Slot::RunOrder(action.order()), &action.name));
    let rules = entered.rule_attempts.iter();
    let rules = rules.flat_map(|(slot, rules)| rules.keys().map(|name| entered.newest_key(Slot::Rule(*slot), name)));
    Some(actions.chain(rules).collect())
}

fn view(loaded: &Loaded, declared: Arc<Stage>, lane: Lane, attempts: &[ActionKey]) -> StageView {
    let execution = |id| loaded.slice.execution(id).ok().flatten().cloned();
    let in_stage = |id| loaded.slice.stage_execution(id, &declared.name).ok().flatten().cloned();
    StageView {
        latest: lane.last.and_then(execution),
        stage_execution: lane.last.and_then(in_stage),
        actions: attempts.iter().filter_map(|key| loaded.slice.action(key).ok().flatten().cloned()).collect(),
        inbound: lane.waiting.values().filter_map(|id| execution(*id)).collect(),
        declared,
        lane,
    }
}
