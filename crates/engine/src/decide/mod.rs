//! `decide`: what happened, and what was stored, give what to commit.
//!
//! One commit moves one execution one step. What that means for other executions is a work row with a commit of its own.

mod action;
mod admit;
mod advance;
mod conditions;
mod declare;
mod draft;
mod ending;
mod entering;
mod retrying;
mod rollback;
mod start;
mod stop;
mod transition;

use crate::event::{ActionReport, Command, Decision, Event, Missing, Reason, Refusal, What, Work};
use crate::key::{ItemKey, Read};
use crate::slice::Slice;
use draft::Draft;

/// Executions that may be live at once in QUEUED and PARALLEL mode (semantics.md 1).
pub const MAX_CONCURRENT_EXECUTIONS: usize = 50;
/// Actions of one execution that run at once in PARALLEL mode (semantics.md 1).
pub const MAX_PARALLEL_ACTIONS: usize = 5;

/// Why deciding went no further.
enum Halt {
    Missing(Missing),
    Ignored(Reason),
    Refused(Refusal),
}

impl From<Missing> for Halt {
    fn from(missing: Missing) -> Self {
        Self::Missing(missing)
    }
}

impl From<Reason> for Halt {
    fn from(reason: Reason) -> Self {
        Self::Ignored(reason)
    }
}

impl From<Refusal> for Halt {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

type Step = Result<(), Halt>;

/// Decides one event. Pure and total: the only error says what else to load; then it is called again.
pub fn decide(slice: &Slice, event: &Event) -> Result<Decision, Missing> {
    let mut draft = Draft::new(slice, event);
    let step = match &event.what {
        What::Command(command) => on_command(&mut draft, command),
        What::Work(work) => on_work(&mut draft, work),
        What::Action(key, report) => match report {
            ActionReport::Claim(claim) => action::claim(&mut draft, key, claim),
            ActionReport::Started(started) => action::started(&mut draft, key, started),
            ActionReport::Decided { token, decision } => action::decided(&mut draft, key, token, decision),
            ActionReport::Ended(outcome) => action::ended(&mut draft, key, outcome),
        },
    };
    match step {
        Ok(()) => Ok(Decision::Changed(Box::new(draft.finish()))),
        Err(Halt::Ignored(reason)) => Ok(Decision::Ignored(reason)),
        Err(Halt::Refused(refusal)) => Ok(Decision::Refused(refusal)),
        Err(Halt::Missing(missing)) => Err(missing),
    }
}

fn on_command(draft: &mut Draft<'_>, command: &Command) -> Step {
    match command {
        Command::Create(create) => declare::create(draft, create),
        Command::Update(pipeline) => declare::update(draft, pipeline),
        Command::Delete => declare::delete(draft),
        Command::Start(start) => start::start(draft, start),
        Command::Stop(stop) => stop::stop(draft, stop),
        Command::Retry(retry) => retrying::by_hand(draft, retry),
        Command::Rollback(rollback) => rollback::by_hand(draft, rollback),
        Command::Override(over) => conditions::override_condition(draft, over),
        Command::SetTransition(set) => transition::set(draft, set),
    }
}

fn on_work(draft: &mut Draft<'_>, work: &Work) -> Step {
    match work {
        Work::Advance(key) => advance::advance(draft, key),
        Work::Admit(stage) => admit::admit(draft, stage),
        Work::Settle(execution) => stop::settle(draft, *execution),
        Work::CancelOlderThan(version) => declare::cancel_older_than(draft, *version),
        Work::Due(key) => action::due(draft, key),
    }
}

/// What a decision about `what` will want to see first: a guess that saves rounds, never needed for correctness.
pub fn prefetch(what: &What) -> Vec<Read> {
    match what {
        What::Command(command) => prefetch_command(command),
        What::Work(work) => prefetch_work(work),
        What::Action(key, report) => {
            let mut reads = vec![Read::Item(ItemKey::Action(key.clone()))];
            match report {
                ActionReport::Claim(_) => {
                    reads.extend([Read::Item(ItemKey::Pipeline), Read::Item(ItemKey::Execution(key.execution))]);
                }
                ActionReport::Started(_) | ActionReport::Decided { .. } | ActionReport::Ended(_) => {}
            }
            reads
        }
    }
}

fn prefetch_command(command: &Command) -> Vec<Read> {
    let pipeline = Read::Item(ItemKey::Pipeline);
    match command {
        Command::Create(_) | Command::Update(_) | Command::Delete => vec![pipeline],
        Command::Start(_) => vec![pipeline, Read::Item(ItemKey::Admission)],
        Command::Stop(stop) => vec![pipeline, Read::Item(ItemKey::Execution(stop.execution))],
        Command::Retry(retry) => in_stage(retry.execution, &retry.stage),
        Command::Override(over) => in_stage(over.execution, &over.stage),
        Command::Rollback(rollback) => in_stage(rollback.target, &rollback.stage),
        Command::SetTransition(_) => vec![pipeline],
    }
}

fn prefetch_work(work: &Work) -> Vec<Read> {
    match work {
        Work::Advance(key) => {
            let mut reads = in_stage(key.execution, &key.stage);
            reads.push(Read::Slot(key.execution, key.stage.clone(), key.slot));
            reads
        }
        Work::Admit(stage) => vec![Read::Item(ItemKey::Pipeline), Read::Item(ItemKey::Lane(stage.clone()))],
        Work::Settle(id) => vec![Read::Item(ItemKey::Pipeline), Read::Item(ItemKey::Execution(*id))],
        Work::CancelOlderThan(_) => vec![Read::Item(ItemKey::Admission)],
        Work::Due(key) => vec![Read::Item(ItemKey::Action(key.clone()))],
    }
}

fn in_stage(execution: model::ExecutionId, stage: &model::StageName) -> Vec<Read> {
    vec![
        Read::Item(ItemKey::Pipeline),
        Read::Item(ItemKey::Execution(execution)),
        Read::Item(ItemKey::StageExecution(execution, stage.clone())),
        Read::Item(ItemKey::Lane(stage.clone())),
    ]
}
