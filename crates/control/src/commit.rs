//! A decision becomes one transaction: its items, its rows, and the removal of the row that it consumes.

use engine::{ActionKey, Change, Changed, Effect, ItemKey, StateChange, Subject};
use model::{PipelineId, Seed, Timestamp};
use uuid::Uuid;

use crate::keys::{self, Place};
use crate::load::Loaded;
use crate::ports::{Condition, Key, PortError, Write};
use crate::rows::{Entry, MAX_PUBLICATION, PipelineRef, PublicationRow, Task, WorkRow, deadline_row_id};
use crate::stored::{encode, encode_item};

/// A transaction about to be made.
#[derive(Debug)]
pub struct Prepared {
    /// The pipeline whose items are written.
    pub pipeline: PipelineId,
    /// Names this exact request.
    pub token: String,
    /// What is written.
    pub writes: Vec<Write>,
    /// Work rows among the writes.
    pub rows: Vec<WorkRow>,
    /// Publication rows among the writes.
    pub publications: Vec<PublicationRow>,
    /// Drivers to end after the commit.
    pub ended: Vec<ActionKey>,
    /// What was decided.
    pub changed: Changed,
}

/// Who commits what, and when.
pub struct Committing<'a> {
    /// Account and region.
    pub place: &'a Place,
    /// The pipeline.
    pub pipeline: &'a PipelineRef,
    /// What row ids derive from.
    pub seed: Seed,
    /// The decision's time.
    pub at: Timestamp,
    /// Which try: a conflict is decided anew under a new token.
    pub round: u32,
}

impl Committing<'_> {
    /// The transaction of a decision. `consumed` is the row it consumes; `extra` is written with it.
    pub fn prepare(
        &self,
        changed: Changed,
        loaded: &Loaded,
        consumed: Option<&WorkRow>,
        extra: Vec<Write>,
    ) -> Result<Prepared, PortError> {
        let mut writes = Vec::with_capacity(changed.changes.len() + 4);
        for change in &changed.changes {
            writes.push(self.item_write(change, loaded)?);
            if let Change::Create(ItemKey::Execution(id), engine::Item::Execution(execution)) = change {
                writes.push(self.put(keys::order_sk(execution.ordinal), encode(id)?, Condition::Absent));
            }
        }
        let written = |key: &ItemKey| changed.changes.iter().any(|change| change.key() == key);
        for key in changed.depends_on.iter().filter(|key| !written(key)) {
            let condition = loaded.revisions.get(key).map_or(Condition::Absent, |known| Condition::Revision(*known));
            writes.push(Write::Check { key: self.key(keys::item_sk(key)), condition });
        }
        let mut rows = Vec::new();
        let mut ended = Vec::new();
        let mut published = Vec::new();
        for effect in &changed.effects {
            match effect {
                Effect::Work { work, due } => rows.push(self.work_row(work.clone(), *due, rows.len())),
                Effect::Dispatch(keys) => rows.push(self.row(Task::Dispatch(keys.clone()), self.at, rows.len())),
                Effect::Publish(change) => published.push(change.as_ref()),
                Effect::EndDriver(key) => ended.push(key.clone()),
                Effect::CancelDue(key, due) => writes.push(self.cancel_due(key, *due)),
            }
        }
        for row in &rows {
            writes.push(put_always(row.key(self.place), encode(row)?));
        }
        let publications = self.publications(&published, &changed, loaded);
        for row in &publications {
            writes.push(put_always(row.key(self.place), encode(row)?));
        }
        if let Some(row) = consumed {
            writes.push(Write::Delete { key: row.key(self.place), condition: Condition::Present });
        }
        writes.extend(extra);
        Ok(Prepared {
            pipeline: self.pipeline.id,
            token: self.token(),
            writes: one_write_an_item(writes),
            rows,
            publications,
            ended,
            changed,
        })
    }

    /// The transaction of what was ignored: it only consumes a row, and writes what goes with it. None where that is
    /// nothing.
    pub fn ignored(&self, row: Option<&WorkRow>, extra: &[Write]) -> Option<Prepared> {
        let delete = |row: &WorkRow| Write::Delete { key: row.key(self.place), condition: Condition::Present };
        let writes: Vec<_> = row.map(delete).into_iter().chain(extra.iter().cloned()).collect();
        let nothing = writes.is_empty();
        let prepared = Prepared {
            pipeline: self.pipeline.id,
            token: self.token(),
            writes,
            rows: Vec::new(),
            publications: Vec::new(),
            ended: Vec::new(),
            changed: Changed::default(),
        };
        (!nothing).then_some(prepared)
    }

    fn token(&self) -> String {
        format!("{}-{}", self.seed.0.simple(), self.round)
    }

    fn key(&self, sk: String) -> Key {
        Key { pk: self.place.pipeline(self.pipeline.id), sk }
    }

    fn put(&self, sk: String, body: bytes::Bytes, condition: Condition) -> Write {
        Write::Put { key: self.key(sk), revision: 1, body, condition }
    }

    fn item_write(&self, change: &Change, loaded: &Loaded) -> Result<Write, PortError> {
        let key = self.key(keys::item_sk(change.key()));
        let known = loaded.revisions.get(change.key()).copied();
        Ok(match (change, known) {
            (Change::Create(_, item), _) => {
                Write::Put { key, revision: 1, body: encode_item(item)?, condition: Condition::Absent }
            }
            (Change::Replace(_, item), Some(known)) => {
                Write::Put { key, revision: known + 1, body: encode_item(item)?, condition: Condition::Revision(known) }
            }
            (Change::Delete(_), Some(known)) => Write::Delete { key, condition: Condition::Revision(known) },
            (Change::Replace(..) | Change::Delete(_), None) => {
                return Err(PortError::Corrupt(format!(
                    "{:?}, decided about without having been there,",
                    change.key()
                )));
            }
        })
    }

    fn work_row(&self, work: engine::Work, due: Option<Timestamp>, index: usize) -> WorkRow {
        match (&work, due) {
            (engine::Work::Due(key), Some(due)) => {
                let id = deadline_row_id(self.pipeline.id, key);
                WorkRow {
                    id,
                    region: self.place.region.clone(),
                    pipeline: self.pipeline.clone(),
                    due,
                    task: Task::Engine(work),
                    tries: 0,
                }
            }
            (_, due) => self.row(Task::Engine(work), due.unwrap_or(self.at), index),
        }
    }

    fn row(&self, task: Task, due: Timestamp, index: usize) -> WorkRow {
        let id = self.seed.id(&format!("row/{}/{index}", self.round));
        WorkRow { id, region: self.place.region.clone(), pipeline: self.pipeline.clone(), due, task, tries: 0 }
    }

    fn cancel_due(&self, key: &ActionKey, due: Timestamp) -> Write {
        let id = deadline_row_id(self.pipeline.id, key);
        Write::Delete { key: self.place.work_row(due, id), condition: Condition::Always }
    }

    fn publications(&self, published: &[&StateChange], changed: &Changed, loaded: &Loaded) -> Vec<PublicationRow> {
        let batches = published.chunks(MAX_PUBLICATION).enumerate();
        let row = |(index, batch): (usize, &[&StateChange])| {
            let id = self.seed.id(&format!("publication/{}/{index}", self.round));
            let entry = |(place, change): (usize, &&StateChange)| Entry {
                id: Uuid::new_v5(&id, &[u8::try_from(place).unwrap_or(u8::MAX)]),
                number: number(change, changed, loaded),
                change: StateChange::clone(change),
            };
            PublicationRow {
                id,
                region: self.place.region.clone(),
                pipeline: self.pipeline.clone(),
                at: self.at,
                entries: batch.iter().enumerate().map(entry).collect(),
                record: None,
            }
        };
        batches.map(row).collect()
    }
}

/// A row's put: its key is fresh, or says the same as before.
fn put_always(key: Key, body: bytes::Bytes) -> Write {
    Write::Put { key, revision: 1, body, condition: Condition::Always }
}

/// The revision that the changed item gets.
fn number(change: &StateChange, changed: &Changed, loaded: &Loaded) -> u64 {
    let of = |key: &ItemKey| match (change.subject_is(key), loaded.revisions.get(key)) {
        (true, known) => Some(known.copied().unwrap_or(0) + 1),
        (false, _) => None,
    };
    changed.changes.iter().find_map(|write| of(write.key())).unwrap_or(0)
}

/// Whether a state change tells of an item.
trait Tells {
    fn subject_is(&self, key: &ItemKey) -> bool;
}

impl Tells for StateChange {
    fn subject_is(&self, key: &ItemKey) -> bool {
        match (&self.subject, key) {
            (Subject::Pipeline { .. }, ItemKey::Execution(id)) => *id == self.execution,
            (Subject::Stage { stage, .. }, ItemKey::StageExecution(id, name)) => *id == self.execution && name == stage,
            (Subject::Action(action), ItemKey::Action(key)) => {
                key.execution == self.execution && key.stage == action.stage && key.name == action.action
            }
            _ => false,
        }
    }
}

/// One write an item: the last. A deadline row that is consumed and cancelled by one commit is deleted once, under the
/// stricter condition; an action that changed its resource has its polled item written over.
pub(crate) fn one_write_an_item(writes: Vec<Write>) -> Vec<Write> {
    let mut kept: Vec<Write> = Vec::with_capacity(writes.len());
    for write in writes {
        match kept.iter().position(|other| other.key() == write.key()) {
            Some(place) => kept[place] = write,
            None => kept.push(write),
        }
    }
    kept
}
