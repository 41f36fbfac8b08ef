//! What must hold of everything stored of a pipeline, after every commit. Tests and the simulator check it.

use std::collections::{BTreeMap, BTreeSet};

use model::{ActionStatus, ConditionStatus, ExecutionId, ExecutionStatus, StageName, StageStatus};

use crate::decide::MAX_PARALLEL_ACTIONS;
use crate::item::{ActionExecution, Admission, Execution, Item, Lane, Phase, Position, StageExecution};
use crate::key::ItemKey;

/// Everything stored of one pipeline, by kind.
#[derive(Default)]
struct All<'a> {
    executions: BTreeMap<ExecutionId, &'a Execution>,
    stages: BTreeMap<(ExecutionId, StageName), &'a StageExecution>,
    actions: Vec<&'a ActionExecution>,
    lanes: BTreeMap<StageName, &'a Lane>,
    admission: Option<&'a Admission>,
}

/// What is wrong with what is stored of one pipeline, a sentence a fault; empty when everything holds.
pub fn check<'a>(items: impl IntoIterator<Item = (&'a ItemKey, &'a Item)>) -> Vec<String> {
    let all = All::of(items);
    let mut faults = Vec::new();
    all.check_admission(&mut faults);
    for (stage, lane) in &all.lanes {
        all.check_lane(stage, lane, &mut faults);
    }
    for execution in all.executions.values() {
        all.check_execution(execution, &mut faults);
    }
    for stage in all.stages.values() {
        all.check_stage(stage, &mut faults);
    }
    for action in &all.actions {
        all.check_action(action, &mut faults);
    }
    faults
}

impl<'a> All<'a> {
    fn of(items: impl IntoIterator<Item = (&'a ItemKey, &'a Item)>) -> Self {
        let mut all = Self::default();
        for (key, item) in items {
            match item {
                Item::Execution(execution) => drop(all.executions.insert(execution.id, execution)),
                Item::StageExecution(stage) => {
                    all.stages.insert((stage.execution, stage.stage.clone()), stage);
                }
                Item::Action(action) => all.actions.push(action),
                Item::Admission(admission) => all.admission = Some(admission),
                Item::Lane(lane) => {
                    if let ItemKey::Lane(stage) = key {
                        all.lanes.insert(stage.clone(), lane);
                    }
                }
                Item::Pipeline(_) | Item::Header(_) | Item::StagePart(_) | Item::SourceHead(_) | Item::Success(_) => {}
            }
        }
        all
    }

    fn live(&self, id: ExecutionId) -> Option<&Execution> {
        self.executions.get(&id).copied().filter(|execution| !execution.status.is_terminal())
    }

    fn newest<'b>(&'b self, stage: &'b StageExecution) -> impl Iterator<Item = &'b ActionExecution> {
        let of_stage = |action: &&&ActionExecution| {
            action.key.execution == stage.execution
                && action.key.stage == stage.stage
                && stage.newest_attempt(action.key.slot, &action.key.name) == action.key.attempt
        };
        self.actions.iter().filter(of_stage).copied()
    }

    /// Who is live stands in the admission, and nobody else does.
    fn check_admission(&self, faults: &mut Vec<String>) {
        let Some(admission) = self.admission else { return };
        let listed: BTreeSet<_> = admission.live.iter().map(|(ordinal, live)| (*ordinal, live.id)).collect();
        let executions = self.executions.values().filter(|execution| !execution.status.is_terminal());
        let live: BTreeSet<_> = executions.map(|execution| (execution.ordinal, execution.id)).collect();
        if listed != live {
            faults.push(format!("the admission lists {listed:?} as live, and {live:?} are"));
        }
        if let Some(late) = self.executions.values().find(|execution| execution.ordinal >= admission.next) {
            faults.push(format!("execution {} has the ordinal {}, not given yet", late.id, late.ordinal));
        }
    }

    /// One execution at most is in a stage; who waits is live, and in no stage.
    fn check_lane(&self, stage: &StageName, lane: &Lane, faults: &mut Vec<String>) {
        if let Some(holder) = lane.state.holder()
            && self.live(holder).is_none_or(|holder| holder.at.get(stage) != Some(&Position::Inside))
        {
            faults.push(format!("{stage} is held by {holder}, which is not in it"));
        }
        for (ordinal, id) in &lane.waiting {
            let waits = |execution: &Execution| {
                execution.at.get(stage) == Some(&Position::Waiting) && execution.ordinal == *ordinal
            };
            if !self.live(*id).is_some_and(waits) {
                faults.push(format!("{stage} lists {id} as waiting, and it is not"));
            }
        }
    }

    fn check_execution(&self, execution: &Execution, faults: &mut Vec<String>) {
        let id = execution.id;
        for (stage, position) in &execution.at {
            let lane = self.lanes.get(stage);
            let right = match position {
                Position::Inside => lane.is_some_and(|lane| lane.state.holder() == Some(id)),
                Position::Waiting => lane.is_some_and(|lane| lane.waiting.get(&execution.ordinal) == Some(&id)),
            };
            if !right && !execution.is_parallel() {
                faults.push(format!("execution {id} is at {stage} ({position:?}), and its lane does not say so"));
            }
        }
        if execution.status.is_terminal() && !execution.at.is_empty() {
            faults.push(format!("execution {id} is {} and still at {:?}", execution.status, execution.at));
        }
        if let Some(fold) = self.fold_execution(execution)
            && fold != execution.status
        {
            faults.push(format!("execution {id} is {}, and its stages say {fold}", execution.status));
        }
        let running = self.actions.iter().filter(|action| {
            action.key.execution == id && action.status == ActionStatus::InProgress && !action.is_rule()
        });
        if execution.is_parallel() && running.count() > MAX_PARALLEL_ACTIONS {
            faults.push(format!("execution {id} runs more than {MAX_PARALLEL_ACTIONS} actions at once"));
        }
    }

    /// What the stages say of an execution; none where they leave it open.
    fn fold_execution(&self, execution: &Execution) -> Option<ExecutionStatus> {
        let planned = |done: &dyn Fn(StageStatus) -> bool| {
            execution.plan.iter().all(|planned| {
                let stage = self.stages.get(&(execution.id, planned.stage.clone()));
                stage.is_some_and(|stage| done(stage.status))
            })
        };
        if planned(&|status| matches!(status, StageStatus::Succeeded | StageStatus::Skipped)) {
            return Some(ExecutionStatus::Succeeded);
        }
        match execution.status {
            // Nothing but a failed stage fails an execution, and only all of its stages make it succeed.
            ExecutionStatus::Failed => {
                let stage = self.stages.get(&(execution.id, execution.ended_in.clone()?))?;
                (stage.status != StageStatus::Failed).then_some(ExecutionStatus::InProgress)
            }
            ExecutionStatus::Succeeded => Some(ExecutionStatus::InProgress),
            ExecutionStatus::Cancelled
            | ExecutionStatus::InProgress
            | ExecutionStatus::Stopped
            | ExecutionStatus::Stopping
            | ExecutionStatus::Superseded => None,
        }
    }

    fn check_stage(&self, stage: &StageExecution, faults: &mut Vec<String>) {
        let name = format!("{} of {}", stage.stage, stage.execution);
        let running = self.newest(stage).any(|action| action.status == ActionStatus::InProgress);
        let failed = self.newest(stage).any(|action| {
            action.status != ActionStatus::Succeeded && action.status != ActionStatus::InProgress && !action.is_rule()
        });
        let engaged = stage.conditions.values().any(|condition| {
            matches!(condition.status, ConditionStatus::Failed | ConditionStatus::Errored | ConditionStatus::Cancelled)
        });
        match stage.status {
            StageStatus::Succeeded if failed || running => {
                faults.push(format!("{name} is Succeeded, and an action of it is not"));
            }
            StageStatus::Failed if !failed && !engaged => {
                faults.push(format!("{name} is Failed, and nothing of it failed"));
            }
            StageStatus::Skipped if self.newest(stage).any(|action| !action.is_rule()) => {
                faults.push(format!("{name} is Skipped, and an action of it ran"));
            }
            StageStatus::Cancelled
            | StageStatus::InProgress
            | StageStatus::Failed
            | StageStatus::Stopped
            | StageStatus::Stopping
            | StageStatus::Succeeded
            | StageStatus::Skipped => {}
        }
        let ended = stage.phase == Phase::Ended;
        let inside = self.live(stage.execution).and_then(|execution| execution.at.get(&stage.stage));
        if ended == (inside == Some(&Position::Inside)) {
            faults.push(format!("{name} is in the phase {:?}, and its execution is {inside:?}", stage.phase));
        }
    }

    /// An action in progress is the newest attempt of where its live execution is.
    fn check_action(&self, action: &ActionExecution, faults: &mut Vec<String>) {
        let key = &action.key;
        let Some(stage) = self.stages.get(&(key.execution, key.stage.clone())) else {
            return faults.push(format!("{key:?} belongs to no stage execution"));
        };
        let newest = stage.newest_attempt(key.slot, &key.name);
        if key.attempt > newest {
            faults.push(format!("{key:?} is newer than the newest attempt, {newest}"));
        }
        if action.status != ActionStatus::InProgress {
            return;
        }
        let wanted = stage.phase.slot() == Some(key.slot) && key.attempt == newest;
        if !wanted || self.live(key.execution).is_none() {
            faults.push(format!("{key:?} is in progress, and its stage in the phase {:?} waits for none", stage.phase));
        }
    }
}
