//! What a decision is made from: the items loaded so far, each known to be there or known to be absent.

use std::collections::HashMap;
use std::sync::Arc;

use model::{ExecutionId, Ordinal, Stage, StageName, Version};

use crate::event::Missing;
use crate::item::{
    ActionExecution, Admission, Execution, Header, Item, Lane, PipelineItem, SourceHead, StageExecution, Success,
};
use crate::key::{ActionKey, ItemKey, Read, Slot};

/// What was loaded. Additional items never change a decision.
#[derive(Clone, Debug, Default)]
pub struct Slice {
    items: HashMap<ItemKey, Option<Item>>,
    slots: HashMap<(ExecutionId, StageName, Slot), Vec<ActionExecution>>,
    last_success: HashMap<(StageName, Version, Ordinal), Option<Success>>,
}

macro_rules! getter {
    ($(#[$doc:meta])* $name:ident, $variant:ident, $type:ty, ($($arg:ident : $argtype:ty),*), $key:expr) => {
        $(#[$doc])*
        pub fn $name(&self $(, $arg: $argtype)*) -> Result<Option<&$type>, Missing> {
            let key = $key;
            match self.items.get(&key) {
                Some(Some(Item::$variant(item))) => Ok(Some(item)),
                // A wrong variant cannot be stored: `control` checks the variant against the key when it decodes.
                Some(_) => Ok(None),
                None => Err(Missing(vec![Read::Item(key)])),
            }
        }
    };
}

impl Slice {
    /// Tells that this is what lies under `key`.
    pub fn put(&mut self, key: ItemKey, item: Option<Item>) {
        self.items.insert(key, item);
    }

    /// Tells that these are all attempts of a slot.
    pub fn put_slot(&mut self, execution: ExecutionId, stage: StageName, slot: Slot, actions: Vec<ActionExecution>) {
        self.slots.insert((execution, stage, slot), actions);
    }

    /// Tells the newest success before an ordinal.
    pub fn put_last_success(&mut self, stage: StageName, version: Version, before: Ordinal, success: Option<Success>) {
        self.last_success.insert((stage, version, before), success);
    }

    /// Whether this was loaded.
    pub fn has(&self, read: &Read) -> bool {
        match read {
            Read::Item(key) => self.items.contains_key(key),
            Read::Slot(execution, stage, slot) => self.slots.contains_key(&(*execution, stage.clone(), *slot)),
            Read::LastSuccess { stage, version, before } => {
                self.last_success.contains_key(&(stage.clone(), *version, *before))
            }
        }
    }

    getter!(
        /// The pipeline.
        pipeline, Pipeline, PipelineItem, (), ItemKey::Pipeline);
    getter!(
        /// A version's header.
        header, Header, Arc<Header>, (version: Version), ItemKey::Header(version));
    getter!(
        /// A version's stage.
        stage_part, StagePart, Arc<Stage>, (version: Version, stage: &StageName), ItemKey::StagePart(version, stage.clone()));
    getter!(
        /// The order of starts.
        admission, Admission, Admission, (), ItemKey::Admission);
    getter!(
        /// A source action's head.
        source_head, SourceHead, SourceHead, (action: &model::ActionName, git_ref: &str), ItemKey::SourceHead(action.clone(), git_ref.into()));
    getter!(
        /// A stage's lane.
        lane, Lane, Lane, (stage: &StageName), ItemKey::Lane(stage.clone()));
    getter!(
        /// A pipeline execution.
        execution, Execution, Execution, (id: ExecutionId), ItemKey::Execution(id));
    getter!(
        /// A stage execution.
        stage_execution, StageExecution, StageExecution, (id: ExecutionId, stage: &StageName), ItemKey::StageExecution(id, stage.clone()));
    getter!(
        /// An action execution.
        action, Action, ActionExecution, (key: &ActionKey), ItemKey::Action(key.clone()));
    getter!(
        /// A success of a stage.
        success, Success, Success, (stage: &StageName, ordinal: Ordinal), ItemKey::Success(stage.clone(), ordinal));

    /// Every attempt of every action of a slot.
    pub fn slot(&self, execution: ExecutionId, stage: &StageName, slot: Slot) -> Result<&[ActionExecution], Missing> {
        self.slots
            .get(&(execution, stage.clone(), slot))
            .map(Vec::as_slice)
            .ok_or_else(|| Missing(vec![Read::Slot(execution, stage.clone(), slot)]))
    }

    /// The newest success of a stage before an ordinal, by an execution that was no rollback.
    pub fn last_success(
        &self,
        stage: &StageName,
        version: Version,
        before: Ordinal,
    ) -> Result<Option<&Success>, Missing> {
        self.last_success
            .get(&(stage.clone(), version, before))
            .map(Option::as_ref)
            .ok_or_else(|| Missing(vec![Read::LastSuccess { stage: stage.clone(), version, before }]))
    }
}
