//! What a decision needs to see first. `decide` asks for it too, so that nobody has to prefetch; who does saves a round.

use model::{ExecutionId, StageName};

use super::start::source_head;
use crate::event::{ActionReport, Command, What, Work};
use crate::key::{ItemKey, Read, Slot};

/// What a decision about `what` will want to see first: a guess that saves rounds, never needed for correctness.
pub fn prefetch(what: &What) -> Vec<Read> {
    match what {
        What::Command(command) => of_command(command),
        What::Work(work) => of_work(work),
        What::Action(key, report) => {
            let action = ItemKey::Action(key.clone());
            match report {
                ActionReport::Claim(_) => items([action, ItemKey::Pipeline, ItemKey::Execution(key.execution)]),
                ActionReport::Started(_) | ActionReport::Decided { .. } | ActionReport::Ended(_) => items([action]),
            }
        }
    }
}

fn of_command(command: &Command) -> Vec<Read> {
    match command {
        Command::Create(_) | Command::Update(_) | Command::Delete | Command::SetTransition(_) => {
            items([ItemKey::Pipeline])
        }
        Command::Start(start) => {
            let head = source_head(start).map(|(action, place)| ItemKey::SourceHead(action.clone(), place));
            items([ItemKey::Pipeline, ItemKey::Admission].into_iter().chain(head))
        }
        Command::Stop(stop) => items([ItemKey::Pipeline, ItemKey::Execution(stop.execution)]),
        Command::Retry(retry) => in_stage(retry.execution, &retry.stage),
        Command::Override(over) => {
            let mut reads = in_stage(over.execution, &over.stage);
            reads.push(Read::Slot(over.execution, over.stage.clone(), Slot::Rule(over.condition)));
            reads
        }
        Command::Rollback(rollback) => items([
            ItemKey::Pipeline,
            ItemKey::Execution(rollback.target),
            ItemKey::Lane(rollback.stage.clone()),
            ItemKey::Admission,
        ]),
    }
}

fn of_work(work: &Work) -> Vec<Read> {
    match work {
        Work::Advance(key) => vec![
            Read::Item(ItemKey::Pipeline),
            Read::Item(ItemKey::Execution(key.execution)),
            Read::Item(ItemKey::StageExecution(key.execution, key.stage.clone())),
            Read::Slot(key.execution, key.stage.clone(), key.slot),
        ],
        Work::Admit(stage) => items([ItemKey::Pipeline, ItemKey::Lane(stage.clone())]),
        Work::Settle(id) => items([ItemKey::Pipeline, ItemKey::Execution(*id)]),
        Work::CancelOlderThan(_) => items([ItemKey::Admission]),
        Work::Due(key) => items([ItemKey::Action(key.clone())]),
    }
}

fn in_stage(execution: ExecutionId, stage: &StageName) -> Vec<Read> {
    items([
        ItemKey::Pipeline,
        ItemKey::Execution(execution),
        ItemKey::StageExecution(execution, stage.clone()),
        ItemKey::Lane(stage.clone()),
    ])
}

fn items(keys: impl IntoIterator<Item = ItemKey>) -> Vec<Read> {
    keys.into_iter().map(Read::Item).collect()
}
