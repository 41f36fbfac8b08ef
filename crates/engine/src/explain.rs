//! `explain`: why is an execution not moving?

use std::fmt;

use model::{
    ActionExecutionId, ActionName, ActionStatus, Category, ConditionSlot, ExecutionId, StageName, StageStatus,
    Timestamp,
};
use serde::Serialize;

use crate::event::Missing;
use crate::item::{ActionExecution, Execution, HoldKind, Position, StageExecution};
use crate::key::Slot;
use crate::slice::Slice;

/// One thing that a live execution waits for.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", tag = "waitsFor")]
pub enum Why {
    /// The stage's transition is disabled.
    #[serde(rename_all = "camelCase")]
    Transition {
        /// The stage it waits before.
        stage: StageName,
        /// Whether the outbound transition of the stage before is meant.
        outbound: bool,
        /// Who disabled it.
        by: String,
        /// Why.
        reason: String,
        /// Since when.
        since: Timestamp,
    },
    /// Another execution is in the stage.
    #[serde(rename_all = "camelCase")]
    OccupiedStage {
        /// The stage it waits before.
        stage: StageName,
        /// Who is in it.
        by: ExecutionId,
    },
    /// Others wait longer.
    #[serde(rename_all = "camelCase")]
    Queue {
        /// The stage it waits before.
        stage: StageName,
        /// How many are ahead.
        ahead: usize,
    },
    /// Somebody must approve.
    #[serde(rename_all = "camelCase")]
    Approval {
        /// The stage.
        stage: StageName,
        /// The action.
        action: ActionName,
        /// Its action execution.
        action_execution_id: ActionExecutionId,
        /// When it counts as timed out.
        expires: Option<Timestamp>,
    },
    /// An action runs.
    #[serde(rename_all = "camelCase")]
    Action {
        /// The stage.
        stage: StageName,
        /// The action.
        action: ActionName,
        /// Its run order.
        run_order: u16,
        /// Its action execution.
        action_execution_id: ActionExecutionId,
        /// Since when.
        since: Timestamp,
        /// When it counts as timed out; none before it was claimed.
        deadline: Option<Timestamp>,
        /// The work's id at its provider.
        external_id: Option<String>,
        /// Where to look at the work.
        external_url: Option<String>,
        /// Whether the stage has failed already and only waits for this action to end.
        stage_failed: bool,
    },
    /// A rule of a condition is being evaluated.
    #[serde(rename_all = "camelCase")]
    Condition {
        /// The stage.
        stage: StageName,
        /// Which condition.
        condition: ConditionSlot,
        /// The rule.
        rule: ActionName,
        /// When it counts as timed out.
        deadline: Option<Timestamp>,
        /// What the rule says meanwhile.
        summary: Option<String>,
    },
    /// Actions wait for a place: an execution in PARALLEL mode runs five at a time.
    #[serde(rename_all = "camelCase")]
    Place {
        /// The stage.
        stage: StageName,
        /// Which.
        actions: Vec<ActionName>,
    },
    /// A stop was asked for; it waits for actions in progress, which are listed too.
    #[serde(rename_all = "camelCase")]
    Stop {
        /// Why it was stopped.
        reason: Option<String>,
        /// Whether actions are abandoned.
        abandon: bool,
    },
    /// The pipeline was updated or deleted; the execution ends when its actions in progress have.
    Cancel,
    /// Nothing: its next step is being taken.
    NextStep,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transition { .. } | Self::OccupiedStage { .. } | Self::Queue { .. } => self.fmt_before(f),
            Self::Approval { .. } | Self::Action { .. } | Self::Condition { .. } | Self::Place { .. } => {
                self.fmt_inside(f)
            }
            Self::Stop { reason, abandon } => {
                f.write_str(if *abandon {
                    "is being stopped, actions abandoned"
                } else {
                    "is being stopped when its actions in progress have ended"
                })?;
                reason.as_ref().map_or(Ok(()), |reason| write!(f, " ({reason})"))
            }
            Self::Cancel => f.write_str(
                "is being cancelled: its pipeline was updated or deleted; it ends when its actions in progress have",
            ),
            Self::NextStep => f.write_str("waits for nothing: its next step is being taken"),
        }
    }
}

impl Why {
    fn fmt_before(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transition { stage, outbound, by, reason, since } => {
                let which = if *outbound { "out of the stage before" } else { "into it" };
                write!(f, "waits before {stage}: the transition {which} was disabled by {by} at {since} ({reason}); ")?;
                f.write_str("enable it to go on")
            }
            Self::OccupiedStage { stage, by } => write!(f, "waits before {stage}: execution {by} is in it"),
            Self::Queue { stage, ahead } => write!(f, "waits before {stage}: {ahead} ahead of it"),
            Self::Approval { .. }
            | Self::Action { .. }
            | Self::Condition { .. }
            | Self::Place { .. }
            | Self::Stop { .. }
            | Self::Cancel
            | Self::NextStep => Ok(()),
        }
    }

    fn fmt_inside(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Approval { stage, action, expires, .. } => {
                write!(f, "{stage}/{action} waits for somebody to approve or reject")?;
                until(f, *expires)
            }
            Self::Action { stage, action, since, deadline, external_id, stage_failed, .. } => {
                write!(f, "{stage}/{action} is in progress since {since}")?;
                if let Some(id) = external_id {
                    write!(f, " as {id}")?;
                }
                if *stage_failed {
                    f.write_str("; the stage has failed and waits for it to end")?;
                }
                until(f, *deadline)
            }
            Self::Condition { stage, condition, rule, deadline, summary } => {
                write!(f, "{stage}: the rule {rule} of its {} condition is being evaluated", condition.field())?;
                if let Some(summary) = summary {
                    write!(f, " ({summary})")?;
                }
                until(f, *deadline)
            }
            Self::Place { stage, actions } => {
                let names = actions.iter().map(ActionName::as_str).collect::<Vec<_>>().join(", ");
                write!(f, "{stage}: {names} wait for a place (five actions run at a time in PARALLEL mode)")
            }
            Self::Transition { .. }
            | Self::OccupiedStage { .. }
            | Self::Queue { .. }
            | Self::Stop { .. }
            | Self::Cancel
            | Self::NextStep => Ok(()),
        }
    }
}

fn until(f: &mut fmt::Formatter<'_>, deadline: Option<Timestamp>) -> fmt::Result {
    deadline.map_or(Ok(()), |deadline| write!(f, "; it times out at {deadline}"))
}

/// What a live execution waits for: never empty for a live one, empty for one that has ended or is unknown.
pub fn explain(slice: &Slice, id: ExecutionId) -> Result<Vec<Why>, Missing> {
    let Some(execution) = slice.execution(id)? else { return Ok(Vec::new()) };
    if execution.status.is_terminal() {
        return Ok(Vec::new());
    }
    let cancelled = is_cancelled(slice, execution)?;
    let mut reasons = Vec::new();
    for (stage, position) in &execution.at {
        match position {
            Position::Waiting => waiting(slice, execution, stage, &mut reasons)?,
            Position::Inside => inside(slice, execution, stage, &mut reasons)?,
        }
    }
    if execution.stop.is_some() || cancelled {
        // Nothing more will be started.
        reasons.retain(|why| !matches!(why, Why::Place { .. }));
    }
    if reasons.is_empty() {
        reasons.push(Why::NextStep);
    }
    if let Some(stop) = &execution.stop {
        reasons.insert(0, Why::Stop { reason: stop.reason.clone(), abandon: stop.abandon });
    } else if cancelled {
        reasons.insert(0, Why::Cancel);
    }
    Ok(reasons)
}

/// Whether its pipeline was deleted, or updated; executions in PARALLEL mode outlive an update.
fn is_cancelled(slice: &Slice, execution: &Execution) -> Result<bool, Missing> {
    Ok(slice.pipeline()?.is_none_or(|pipeline| {
        pipeline.deleted_at.is_some() || pipeline.version > execution.version && !execution.is_parallel()
    }))
}

fn waiting(slice: &Slice, execution: &Execution, stage: &StageName, reasons: &mut Vec<Why>) -> Result<(), Missing> {
    let Some(lane) = slice.lane(stage)? else { return Ok(()) };
    for hold in &lane.holds {
        reasons.push(Why::Transition {
            stage: stage.clone(),
            outbound: hold.kind == HoldKind::OutboundTransition,
            by: hold.by.clone(),
            reason: hold.reason.clone(),
            since: hold.from,
        });
    }
    if let Some(by) = lane.state.holder() {
        reasons.push(Why::OccupiedStage { stage: stage.clone(), by });
    }
    let ahead = lane.waiting.range(..execution.ordinal).count();
    if ahead > 0 {
        reasons.push(Why::Queue { stage: stage.clone(), ahead });
    }
    Ok(())
}

fn inside(slice: &Slice, execution: &Execution, name: &StageName, reasons: &mut Vec<Why>) -> Result<(), Missing> {
    let Some(stage) = slice.stage_execution(execution.id, name)? else { return Ok(()) };
    let Some(slot) = stage.phase.slot() else { return Ok(()) };
    let newest = slice
        .slot(execution.id, name, slot)?
        .iter()
        .filter(|action| stage.newest_attempt(slot, &action.key.name) == action.key.attempt);
    for action in newest.filter(|action| action.status == ActionStatus::InProgress) {
        reasons.push(running(stage, action));
    }
    if !stage.pending.is_empty() {
        reasons.push(Why::Place { stage: name.clone(), actions: stage.pending.clone() });
    }
    Ok(())
}

fn running(stage: &StageExecution, action: &ActionExecution) -> Why {
    let (name, place) = (action.key.name.clone(), stage.stage.clone());
    match action.key.slot {
        Slot::Rule(condition) => Why::Condition {
            stage: place,
            condition,
            rule: name,
            deadline: action.deadline,
            summary: action.summary.clone(),
        },
        Slot::RunOrder(_) if action.action_type.category == Category::Approval => {
            Why::Approval { stage: place, action: name, action_execution_id: action.id, expires: action.deadline }
        }
        Slot::RunOrder(run_order) => Why::Action {
            stage: place,
            action: name,
            run_order,
            action_execution_id: action.id,
            since: action.started_at,
            deadline: action.deadline,
            external_id: action.external_id.clone(),
            external_url: action.external_url.clone(),
            stage_failed: stage.status == StageStatus::Failed,
        },
    }
}
