//! A trace as people read it.

use std::fmt;

use control::rows::{Task, WorkRow};
use engine::{ActionKey, Item, ItemKey, LaneState, Position, Slot, StateChange, Subject, Work};
use model::ExecutionId;

use super::asked::Asked;
use super::history::{Actor, Commit, ItemChange, Record, Step};

/// The time that a trace's clock counts from: 2026-01-05T09:00:00Z, in milliseconds.
pub(super) const BEGIN: i64 = 1_767_603_600_000;

/// An id cut to what tells it apart.
fn short(id: &impl fmt::Display) -> String {
    id.to_string().chars().take(6).collect()
}

/// An action attempt in few letters.
pub(super) fn name(key: &ActionKey) -> String {
    let rule = match key.slot {
        Slot::RunOrder(_) => String::new(),
        Slot::Rule(slot) => format!("{slot}:"),
    };
    format!("{}/{}/{rule}{}#{}", short(&key.execution), key.stage, key.name, key.attempt)
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps.iter().enumerate().try_for_each(|(place, step)| writeln!(f, "{place:5} {step}"))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked(name, asked) => write!(f, "? {name}: {asked}"),
            Self::Answered(place, Ok(id)) => {
                write!(f, "! {place}: yes {}", id.as_ref().map_or_else(String::new, short))
            }
            Self::Answered(place, Err(refused)) => write!(f, "! {place}: no, {refused:?}"),
            Self::Commit(commit) => commit.fmt(f),
            Self::Started(start) => {
                write!(f, "> start {} drive {} {:?}", name(&start.key), start.drive, start.configuration)
            }
            Self::Result(number, key, drive) => write!(f, "< result-{number} of {} drive {drive}", name(key)),
            Self::Published(entries) => {
                write!(f, "published {}", list(entries.iter().map(|entry| event(&entry.change))))
            }
            Self::Crash(lost) => write!(f, "=== crash: {lost} commits lost"),
            Self::Killed(actor) => write!(f, "=== {actor} died"),
            Self::Clock(jump) => write!(f, "=== the clock jumps by {jump} ms"),
            Self::Calm => write!(f, "=== nothing goes wrong any more"),
            Self::Note(text) => f.write_str(text),
        }
    }
}

fn list(texts: impl Iterator<Item = String>) -> String {
    texts.collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(place) => write!(f, "?{place}"),
            Self::Row(id, keys) if keys.is_empty() => write!(f, "row {}", short(id)),
            Self::Row(id, keys) => write!(f, "row {} dispatching {}", short(id), list(keys.iter().map(name))),
            Self::Driver(key, drive) => write!(f, "driver {drive} of {}", name(key)),
            Self::Recovery(key) => write!(f, "recovery of {}", name(key)),
            Self::Publisher => write!(f, "publisher"),
        }
    }
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lost = if self.lost { " LOST" } else { "" };
        write!(f, "* +{}ms {}{lost}:", self.at.0 - BEGIN, self.actor)?;
        for change in &self.items {
            write!(f, "\n        {change}")?;
        }
        for row in &self.rows {
            write!(f, "\n        row {} {}", short(&row.id), task(row))?;
        }
        for (key, there) in &self.removed {
            let id = key.sk.split_once('#').map_or("", |(_, id)| id);
            write!(f, "\n        row {} removed{}", short(&id), if *there { "" } else { " (was not there)" })?;
        }
        for row in &self.publications {
            write!(f, "\n        event {}", list(row.entries.iter().map(|entry| event(&entry.change))))?;
        }
        Ok(())
    }
}

fn task(row: &WorkRow) -> String {
    match &row.task {
        Task::Engine(Work::Advance(key)) => format!("Advance {}", name(key)),
        Task::Engine(Work::Due(key)) => format!("Due {} at +{}ms", name(key), row.due.0 - BEGIN),
        Task::Engine(Work::Settle(id)) => format!("Settle {}", short(id)),
        Task::Engine(work) => format!("{work:?}"),
        Task::Dispatch(keys) => format!("Dispatch {}", list(keys.iter().map(name))),
        Task::Poll(key) => format!("Poll {} at +{}ms", name(key), row.due.0 - BEGIN),
        Task::Clean => "Clean".into(),
        Task::Webhook(delivery) => format!("Webhook {}", delivery.delivery),
    }
}

/// A state change in few words.
pub(super) fn event(change: &StateChange) -> String {
    let subject = match &change.subject {
        Subject::Pipeline { .. } => String::new(),
        Subject::Stage { stage, .. } => format!("/{stage}"),
        Subject::Action(action) => format!("/{}/{}", action.stage, action.action),
    };
    format!("{}{subject} {}", short(&change.execution), change.state.as_str())
}

impl fmt::Display for ItemChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |item: &Option<std::sync::Arc<Item>>| item.as_deref().map_or_else(|| "-".into(), shown);
        let key = match &self.key {
            ItemKey::Execution(id) => format!("execution {}", short(id)),
            ItemKey::StageExecution(id, stage) => format!("stage {}/{stage}", short(id)),
            ItemKey::Action(key) => format!("action {}", name(key)),
            other => format!("{other:?}"),
        };
        let (before, after) = (of(&self.before), of(&self.after));
        if before == after {
            return write!(f, "{key} r{}: {after}", self.revision);
        }
        write!(f, "{key} r{}: {before} -> {after}", self.revision)
    }
}

fn id_text(id: ExecutionId) -> String {
    short(&id)
}

fn shown(item: &Item) -> String {
    match item {
        Item::Pipeline(pipeline) if pipeline.deleted_at.is_some() => "deleted".into(),
        Item::Pipeline(pipeline) => format!("version {}", pipeline.version),
        Item::Header(header) => format!("{} {:?}", header.mode, header.stages),
        Item::StagePart(_) => "part".into(),
        Item::Admission(admission) => {
            let live = list(admission.live.iter().map(|(ordinal, live)| format!("{ordinal}={}", id_text(live.id))));
            format!("next {} live [{live}]", admission.next)
        }
        Item::SourceHead(head) => format!("{} pushes", head.pushes.len()),
        Item::Lane(lane) => {
            let waiting = list(lane.waiting.values().map(|id| id_text(*id)));
            let (word, holder) = match lane.state {
                LaneState::Free => ("free", None),
                LaneState::Entering(id) => ("entering", Some(id)),
                LaneState::Occupied(id) => ("occupied", Some(id)),
                LaneState::Leaving(id) => ("leaving", Some(id)),
            };
            let holder = holder.map_or_else(String::new, id_text);
            format!("{word} {holder} waiting [{waiting}] holds {}", lane.holds.len())
        }
        Item::Execution(execution) => {
            let at = list(execution.at.iter().map(|(stage, position)| match position {
                Position::Waiting => format!("before {stage}"),
                Position::Inside => format!("in {stage}"),
            }));
            let stop = execution.stop.as_ref().map_or("", |stop| if stop.abandon { " abandon" } else { " stop" });
            format!("{} ({at}) attempt {}{stop}", execution.status, execution.attempt)
        }
        Item::StageExecution(stage) => format!("{} {:?}", stage.status, stage.phase),
        Item::Action(action) => {
            let error = action.error.as_ref().map_or("", |error| error.code.as_str());
            format!("{} drive {} {error} {}", action.status, action.drive, action.summary.as_deref().unwrap_or(""))
        }
        Item::Success(success) => format!("by {}", id_text(success.execution)),
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create(declaration) | Self::Update(declaration) => {
                let word = if matches!(self, Self::Create(_)) { "create" } else { "update" };
                let stages = list(declaration.stages.iter().map(|stage| stage.name.to_string()));
                write!(f, "{word} {} {stages}", declaration.mode())
            }
            Self::Delete => f.write_str("delete"),
            Self::Start { token, variables, origin } => {
                let pushed = origin.as_ref().and_then(|origin| origin.after.as_deref()).unwrap_or("-");
                write!(f, "start {token:?} {variables:?} push {pushed}")
            }
            Self::Stop { execution, abandon } => write!(f, "stop {} abandon {abandon}", short(execution)),
            Self::Retry { execution, stage, mode } => write!(f, "retry {}/{stage} {mode}", short(execution)),
            Self::Rollback { stage, target } => write!(f, "roll {stage} back to {}", short(target)),
            Self::Override { execution, stage, condition } => {
                write!(f, "override {}/{stage} {condition}", short(execution))
            }
            Self::Transition { stage, inbound, disable } => {
                let word = if *disable { "disable" } else { "enable" };
                write!(f, "{word} {} {stage}", if *inbound { "into" } else { "out of" })
            }
            Self::Approve { key, right, approved, summary, .. } => {
                let word = if *approved { "approve" } else { "reject" };
                write!(f, "{word} {} right {right} {summary}", name(key))
            }
        }
    }
}
