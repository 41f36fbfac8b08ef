//! RollbackStage, and automatic rollback: a new execution of one stage with an earlier one's artifacts and variables.

use std::collections::BTreeSet;

use model::{ExecutionId, ExecutionMode, ExecutionType, StageName, TriggerType};

use super::draft::Draft;
use super::entering::enter;
use super::start::{Birth, admit, check_limit};
use super::{Halt, Step, ending};
use crate::event::{Refusal, Rollback, State};
use crate::item::{Execution, Header, Item, LaneState, PlannedStage, StageExecution, TriggerDetail};
use crate::key::{ItemKey, Read};

pub(super) fn by_hand(draft: &mut Draft<'_>, rollback: &Rollback) -> Step {
    let pipeline = draft.live_pipeline()?.ok_or(Refusal::PipelineNotFound)?;
    let header = draft.header(pipeline.version)?;
    let target = check_target(draft, &header, rollback)?;
    let lane = draft.lane(&rollback.stage)?;
    match lane.state {
        LaneState::Free => {}
        LaneState::Entering(_) | LaneState::Occupied(_) | LaneState::Leaving(_) => {
            let text = "An execution is in the stage: roll back when it has left, or stop it first.";
            return Err(Refusal::UnableToRollback(text.into()).into());
        }
    }
    let admission = draft.admission()?.unwrap_or_default();
    // RollbackStage has no error for the limit of executions.
    if check_limit(&admission, header.mode).is_err() {
        let text = "Too many executions are in progress: roll back when one has ended.";
        return Err(Refusal::Conflict(text.into()).into());
    }
    draft.depends_on(ItemKey::Pipeline);
    let trigger = TriggerDetail { kind: TriggerType::ManualRollback, detail: rollback.by.clone() };
    begin(draft, &target, &rollback.stage, trigger)
}

fn check_target(draft: &Draft<'_>, header: &Header, rollback: &Rollback) -> Result<Execution, Halt> {
    let refuse = |text: &str| Err(Refusal::UnableToRollback(text.into()).into());
    match header.stages.iter().position(|stage| *stage == rollback.stage) {
        None => return Err(Refusal::StageNotFound(rollback.stage.clone()).into()),
        Some(0) => return refuse("The source stage cannot be rolled back."),
        Some(_) => {}
    }
    if header.mode == ExecutionMode::Parallel {
        return refuse("A pipeline in PARALLEL mode cannot be rolled back.");
    }
    let target = draft.execution(rollback.target)?.ok_or(Refusal::ExecutionNotFound)?;
    if target.kind == ExecutionType::Rollback {
        return refuse("The target is itself a rollback.");
    }
    if target.version != header.version {
        return Err(Refusal::ExecutionOutdated(format!(
            "The target ran version {}, and the pipeline's version is {}.",
            target.version, header.version
        ))
        .into());
    }
    draft.need([
        Read::Item(ItemKey::Success(rollback.stage.clone(), target.ordinal)),
        Read::Item(ItemKey::StagePart(header.version, rollback.stage.clone())),
    ])?;
    match draft.slice.success(&rollback.stage, target.ordinal)? {
        Some(_) => Ok(target),
        None => refuse("The target has not succeeded in the stage."),
    }
}

/// Where the success lies that a failure of the stage can go back to. None where it never can: of a rollback, in PARALLEL
/// mode, of the source stage.
pub(super) fn last_success(execution: &Execution, stage: &StageName) -> Option<Read> {
    let source = execution.plan.first().is_some_and(|first| first.stage == *stage);
    let never = execution.kind == ExecutionType::Rollback || execution.is_parallel() || source;
    let read = || Read::LastSuccess { stage: stage.clone(), version: execution.version, before: execution.ordinal };
    (!never).then(read)
}

/// Rolls a failed stage back to its last success, if it has one; a rollback that fails never rolls back.
pub(super) fn automatic(draft: &mut Draft<'_>, execution: &mut Execution, stage: &mut StageExecution) -> Step {
    let target = match last_success(execution, &stage.stage) {
        Some(_) => draft.last_success(&stage.stage, execution.version, execution.ordinal)?,
        None => None,
    };
    let target = target.map(|success| success.execution);
    draft.need_to_end(execution, target.map(|id| Read::Item(ItemKey::Execution(id))))?;
    ending::fail(draft, execution, stage)?;
    let Some(target) = target else { return Ok(()) };
    let Some(target) = draft.execution(target)? else { return Ok(()) };
    let trigger = TriggerDetail { kind: TriggerType::AutomatedRollback, detail: execution.id.to_string() };
    begin(draft, &target, &stage.stage, trigger)
}

/// Begins a rollback: it enters at once, so that nothing overtakes it.
fn begin(draft: &mut Draft<'_>, target: &Execution, stage: &StageName, trigger: TriggerDetail) -> Step {
    let id = ExecutionId(draft.seed.id("rollback"));
    let mut admission = draft.admission()?.unwrap_or_default();
    let ordinal = admit(&mut admission, id, target.version);
    draft.put_admission(admission);
    let (version, mode) = (target.version, target.mode);
    let born = Birth { id, ordinal, pipeline: target.pipeline.clone(), version, mode, at: draft.at };
    let plan = vec![PlannedStage { stage: stage.clone(), after: BTreeSet::new() }];
    let mut execution = born.execution(plan, trigger);
    execution.kind = ExecutionType::Rollback;
    execution.rollback_target = Some(target.id);
    execution.variables = target.variables.clone();
    execution.revisions = target.revisions.clone();
    draft.started(id);
    draft.publish_pipeline(&execution, State::Started);
    enter(draft, &mut execution, stage)?;
    draft.create(ItemKey::Execution(id), Item::Execution(execution));
    Ok(())
}
