//! DisableStageTransition and EnableStageTransition.

use model::{ExecutionMode, StageName};

use super::Step;
use super::draft::Draft;
use crate::event::{Reason, Refusal, SetTransition, TransitionSide, Work};
use crate::item::{Enabled, Header, Hold, HoldKind};
use crate::key::ItemKey;

pub(super) fn set(draft: &mut Draft<'_>, set: &SetTransition) -> Step {
    let pipeline = draft.live_pipeline()?.ok_or(Refusal::PipelineNotFound)?;
    let header = draft.header(pipeline.version)?;
    let (stage, kind) = held_lane(&header, set)?;
    if header.mode == ExecutionMode::Parallel {
        let text = "A pipeline in PARALLEL mode has no stage transitions to disable or enable.";
        return Err(Refusal::Invalid(text.into()).into());
    }
    let mut lane = draft.lane(&stage)?;
    let held = lane.holds.iter().any(|hold| hold.kind == kind);
    lane.holds.retain(|hold| hold.kind != kind);
    match &set.disable {
        Some(reason) => {
            lane.holds.push(Hold { kind, by: set.by.clone(), reason: reason.clone(), from: draft.at });
        }
        None if held => {
            lane.enabled = Some(Enabled { by: set.by.clone(), at: draft.at });
            draft.work(Work::Admit(stage.clone()));
        }
        None => return Err(Reason::AlreadySo.into()),
    }
    draft.depends_on(ItemKey::Pipeline);
    draft.put_lane(&stage, lane)
}

/// Out of a stage is into the next; out of the last leads nowhere and holds its own lane's entry as little.
fn held_lane(header: &Header, set: &SetTransition) -> Result<(StageName, HoldKind), Refusal> {
    let place = header.stages.iter().position(|stage| *stage == set.stage);
    let place = place.ok_or_else(|| Refusal::StageNotFound(set.stage.clone()))?;
    match set.side {
        TransitionSide::Inbound => Ok((set.stage.clone(), HoldKind::InboundTransition)),
        TransitionSide::Outbound => match header.stages.get(place + 1) {
            Some(next) => Ok((next.clone(), HoldKind::OutboundTransition)),
            None => Err(Refusal::Invalid(format!(
                "{} is the last stage: there is no transition out of it. Disable its inbound transition instead.",
                set.stage
            ))),
        },
    }
}
