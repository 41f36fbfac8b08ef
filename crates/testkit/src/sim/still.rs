//! Everything as it is when a run rests.

use std::collections::BTreeMap;

use engine::Item;
use model::PipelineId;

use super::history::{Actor, Items, Still};
use super::simulation::Simulation;

impl Simulation {
    /// Everything as it is.
    pub(super) fn still(&self) -> Still {
        let known = self.around.recorder.known();
        let driven = self.tasks.iter().filter_map(|task| match &task.actor {
            Actor::Driver(key, _) => Some(key.clone()),
            _ => None,
        });
        Still {
            pipelines: known.pipelines.clone(),
            names: known.names.clone(),
            rows: known.rows.values().cloned().collect(),
            publications: known.publications.len(),
            keys: self.around.table.memory.items().into_iter().map(|(key, _)| key).collect(),
            waits: known.pipelines.iter().flat_map(|(id, items)| waits(*id, items)).collect(),
            driven: driven.collect(),
        }
    }
}

/// What each live execution of a pipeline waits for.
fn waits(id: PipelineId, items: &Items) -> Vec<(PipelineId, model::ExecutionId, Vec<engine::Why>)> {
    let executions = items.values().filter_map(|item| match item.as_ref() {
        Item::Execution(execution) if !execution.status.is_terminal() => Some(execution.id),
        _ => None,
    });
    executions.map(|execution| (id, execution, explain(items, execution))).collect()
}

/// `engine::explain` over everything stored.
fn explain(items: &Items, execution: model::ExecutionId) -> Vec<engine::Why> {
    let mut slice = engine::Slice::default();
    let mut slots: BTreeMap<_, Vec<engine::ActionExecution>> = BTreeMap::new();
    for item in items.values() {
        if let Item::Action(action) = item.as_ref() {
            let key = &action.key;
            slots.entry((key.execution, key.stage.clone(), key.slot)).or_default().push(action.clone());
        }
    }
    loop {
        match engine::explain(&slice, execution) {
            Ok(reasons) => return reasons,
            Err(engine::Missing(reads)) => {
                for read in reads {
                    match read {
                        engine::Read::Item(key) => {
                            let item = items.get(&key).map(|item| item.as_ref().clone());
                            slice.put(key, item);
                        }
                        engine::Read::Slot(id, stage, slot) => {
                            let found = slots.get(&(id, stage.clone(), slot)).cloned().unwrap_or_default();
                            slice.put_slot(id, stage, slot, found);
                        }
                        engine::Read::LastSuccess { stage, version, before } => {
                            slice.put_last_success(stage, version, before, None);
                        }
                    }
                }
            }
        }
    }
}
