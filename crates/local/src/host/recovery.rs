//! What an earlier process left: rows to consume, events to publish, actions that were claimed.

use control::keys::{Place, ROW_SHARDS};
use control::ports::PortError;
use control::rows::{PublicationRow, Task, WorkRow};
use control::stored::decode;
use engine::{ActionExecution, ActionKey, Outcome, Work};
use model::{ActionStatus, Category};

use super::inbox::RowAt;
use crate::table::RedbTable;

/// What was left.
#[derive(Debug, Default)]
pub struct Left {
    /// Work rows, by due time.
    pub rows: Vec<RowAt>,
    /// Publications, in commit order.
    pub publications: Vec<PublicationRow>,
    /// Actions claimed and not ended: each has its deadline row.
    pub claimed: Vec<WorkRow>,
    /// Actions that a poll row will ask about.
    pub polled: Vec<ActionKey>,
}

/// Reads all rows; there are only as many as things are going on.
pub async fn scan(table: &RedbTable, place: &Place) -> Result<Left, PortError> {
    let mut left = Left::default();
    let mut publications = Vec::new();
    for shard in 0..ROW_SHARDS {
        for (_, key, stored) in table.rows_in_commit_order(&place.work(shard), "")? {
            let row: WorkRow = decode(&stored.body, &key.sk)?;
            left.rows.push(RowAt { due: row.due, id: row.id });
            match &row.task {
                Task::Engine(Work::Due(_)) => left.claimed.push(row),
                Task::Poll(key) => left.polled.push(key.clone()),
                Task::Engine(_) | Task::Dispatch(_) | Task::Clean | Task::Webhook(_) => {}
            }
        }
        for (commit, key, stored) in table.rows_in_commit_order(&place.publications(shard), "")? {
            let row: PublicationRow = decode(&stored.body, &key.sk)?;
            publications.push((commit, row));
        }
    }
    publications.sort_by_key(|(commit, _)| *commit);
    left.publications = publications.into_iter().map(|(_, row)| row).collect();
    left.rows.sort();
    Ok(left)
}

/// What to do with an action that was claimed when the process ended.
#[derive(Debug, PartialEq)]
pub enum TakeUp {
    /// Nothing: a person, a job worker, a poll or its deadline ends it.
    Leave,
    /// Doing it again does no harm.
    Again,
    /// It was interrupted, and doing it again might do harm: only its configuration or a person may retry it.
    Interrupted(Box<Outcome>),
}

/// Decides what becomes of a claimed action after its process ended.
pub fn after_crash(action: &ActionExecution, polled: &[ActionKey]) -> TakeUp {
    let waits = polled.contains(&action.key) || control::jobs::takes_jobs(&action.action_type);
    if action.status != ActionStatus::InProgress || waits {
        return TakeUp::Leave;
    }
    let again = match action.action_type.category {
        Category::Approval => return TakeUp::Leave,
        Category::Source => true,
        Category::Deploy => action.action_type.provider == "S3",
        Category::Rule => matches!(action.action_type.provider.as_str(), "VariableCheck" | "DeploymentWindow"),
        Category::Build | Category::Test | Category::Invoke | Category::Compute => false,
    };
    if again {
        return TakeUp::Again;
    }
    TakeUp::Interrupted(Box::new(Outcome::failed(
        "Interrupted",
        "Penstock ended while the action ran; what it had started was ended too. Retry the stage to run it again.",
    )))
}
