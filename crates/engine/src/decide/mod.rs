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
mod prefetch;
mod retrying;
mod rollback;
mod start;
mod stop;
mod transition;

use crate::event::{ActionReport, Command, Decision, Event, Missing, Reason, Refusal, What, Work};
use crate::slice::Slice;
use draft::Draft;
pub use prefetch::prefetch;

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
    draft.need(prefetch(&event.what))?;
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
