//! Writes down what happens in a run, and keeps everything stored at hand, decoded.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use control::keys::{Place, RowKind, parse_item_sk};
use control::pipelines::NameItem;
use control::ports::{Key, Stored, Write};
use control::rows::{PublicationRow, WorkRow};
use control::stored::{decode, decode_item};
use engine::{Item, ItemKey};
use model::{PipelineId, PipelineName, Timestamp};

use super::history::{Actor, Commit, ItemChange, Pipelines, Seen, Step};

/// What is known of a run so far.
#[derive(Default)]
pub(super) struct Known {
    /// The trace.
    pub steps: Vec<Step>,
    /// Every item, decoded.
    pub pipelines: Pipelines,
    /// Names and what they lead to.
    pub names: BTreeMap<PipelineName, PipelineId>,
    /// Work rows in the table.
    pub rows: BTreeMap<Key, WorkRow>,
    /// Publication rows in the table, in the order of their commits.
    pub publications: Vec<PublicationRow>,
    /// Every work row ever written.
    pub rows_ever: Vec<WorkRow>,
    /// What the engine's invariants found.
    pub invariants: Vec<(usize, String)>,
    /// How often something went wrong by chance.
    pub disturbances: usize,
    /// The time by the clock.
    pub now: Timestamp,
    /// Who is at work: the task's number and who it is.
    pub actor: Option<(usize, Actor)>,
    /// What each task last saw of a pipeline.
    seen: BTreeMap<(usize, PipelineId), Seen>,
    /// Faults told already.
    told: HashSet<String>,
    /// From here on commits are not flushed yet.
    unflushed: usize,
}

/// Writes down what happens.
pub(super) struct Recorder {
    place: Place,
    known: Mutex<Known>,
}

impl Recorder {
    /// Nothing happened yet.
    pub fn new(place: Place) -> Self {
        Self { place, known: Mutex::default() }
    }

    /// What is known so far.
    pub fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down a step; its place in the trace.
    pub fn note(&self, step: Step) -> usize {
        let mut known = self.known();
        known.steps.push(step);
        known.steps.len() - 1
    }

    /// A read of a pipeline's own item: what its decision could see.
    pub fn read(&self, key: &Key) {
        let Some(id) = self.pipeline_of(key).filter(|_| key.sk == "p") else { return };
        let mut known = self.known();
        let Some((task, _)) = known.actor.clone() else { return };
        if let Some(seen) = seen(&known.pipelines, id) {
            known.seen.insert((task, id), seen);
        }
    }

    /// Everything acknowledged so far survives a crash.
    pub fn flushed(&self) {
        let mut known = self.known();
        known.unflushed = known.steps.len();
    }

    /// A transaction was carried out.
    pub fn committed(&self, writes: &[Write]) {
        let mut known = self.known();
        let Some((task, actor)) = known.actor.clone() else { return };
        let mut commit = Commit {
            at: known.now,
            actor,
            items: Vec::new(),
            rows: Vec::new(),
            removed: Vec::new(),
            publications: Vec::new(),
            seen: None,
            lost: false,
        };
        for write in writes {
            self.see(&mut known, &mut commit, write);
        }
        let pipelines: Vec<PipelineId> = commit.items.iter().map(|change| change.pipeline).collect();
        commit.seen = pipelines.first().and_then(|id| known.seen.get(&(task, *id)).copied());
        let cleans = commit.items.iter().any(|change| change.after.is_none());
        known.steps.push(Step::Commit(Box::new(commit)));
        // What is being cleaned up is gone by and by, in no order.
        if let Some(id) = pipelines.first().filter(|_| !cleans) {
            known.check(*id);
        }
    }

    fn pipeline_of(&self, key: &Key) -> Option<PipelineId> {
        let start = format!("{}/{}/p/", self.place.account, self.place.region);
        key.pk.strip_prefix(&start)?.parse().ok()
    }

    fn see(&self, known: &mut Known, commit: &mut Commit, write: &Write) {
        let (key, body) = match write {
            Write::Check { .. } => return,
            Write::Put { key, body, revision, .. } => (key, Some((body, *revision))),
            Write::Delete { key, .. } => (key, None),
        };
        match self.place.row_kind(&key.pk) {
            Some(RowKind::Work) => known.see_row(commit, key, body.and_then(|(body, _)| decode(body, &key.sk).ok())),
            Some(RowKind::Publication) => {
                known.see_publication(&self.place, commit, key, body.and_then(|(body, _)| decode(body, &key.sk).ok()));
            }
            None if key.pk == self.place.names() => {
                let name = PipelineName::from(key.sk.as_str());
                match body.and_then(|(body, _)| decode::<NameItem>(body, &key.sk).ok()) {
                    Some(item) => drop(known.names.insert(name, item.id)),
                    None => drop(known.names.remove(&name)),
                }
            }
            None => {
                let (Some(id), Some(item_key)) = (self.pipeline_of(key), parse_item_sk(&key.sk)) else { return };
                let revision = body.map_or(0, |(_, revision)| revision);
                let item = body.and_then(|(body, _)| decode_item(&item_key, body).ok());
                let change = known.change(id, item_key, item, revision);
                commit.items.push(change);
            }
        }
    }

    /// What was not flushed is lost; what is known is read anew from the table.
    pub fn crashed(&self, items: &[(Key, Stored)]) -> usize {
        let mut known = self.known();
        let from = known.unflushed;
        let mut lost = 0;
        for step in known.steps.iter_mut().skip(from) {
            if let Step::Commit(commit) = step {
                commit.lost = true;
                lost += 1;
            }
        }
        let order: Vec<_> = known.publications.iter().map(|row| row.id).collect();
        known.pipelines.clear();
        known.names.clear();
        known.rows.clear();
        known.publications.clear();
        known.seen.clear();
        let mut forgotten = Commit {
            at: known.now,
            actor: Actor::Publisher,
            items: Vec::new(),
            rows: Vec::new(),
            removed: Vec::new(),
            publications: Vec::new(),
            seen: None,
            lost: true,
        };
        for (key, stored) in items {
            let write = Write::Put {
                key: key.clone(),
                revision: stored.revision,
                body: stored.body.clone(),
                condition: control::ports::Condition::Always,
            };
            self.see(&mut known, &mut forgotten, &write);
        }
        // Rows that a lost commit had removed are back, in no known place: they go first.
        known.publications.sort_by_key(|row| order.iter().position(|id| *id == row.id).map_or(0, |place| place + 1));
        known.unflushed = known.steps.len();
        lost
    }
}

impl Known {
    fn change(&mut self, pipeline: PipelineId, key: ItemKey, item: Option<Item>, revision: u64) -> ItemChange {
        let items = self.pipelines.entry(pipeline).or_default();
        let after = item.map(Arc::new);
        let before = match &after {
            Some(item) => items.insert(key.clone(), item.clone()),
            None => items.remove(&key),
        };
        if items.is_empty() {
            self.pipelines.remove(&pipeline);
        }
        ItemChange { pipeline, key, before, after, revision }
    }

    fn see_row(&mut self, commit: &mut Commit, key: &Key, row: Option<WorkRow>) {
        match row {
            Some(row) => {
                self.rows.insert(key.clone(), row.clone());
                self.rows_ever.push(row.clone());
                commit.rows.push(row);
            }
            None => {
                let was_there = self.rows.remove(key).is_some();
                commit.removed.push((key.clone(), was_there));
            }
        }
    }

    fn see_publication(&mut self, place: &Place, commit: &mut Commit, key: &Key, row: Option<PublicationRow>) {
        match row {
            Some(row) => {
                self.publications.push(row.clone());
                commit.publications.push(row);
            }
            None => self.publications.retain(|row| row.key(place) != *key),
        }
    }

    /// What must hold after every commit.
    fn check(&mut self, id: PipelineId) {
        let Some(items) = self.pipelines.get(&id) else { return };
        let faults = engine::invariants::check(items.iter().map(|(key, item)| (key, item.as_ref())));
        let place = self.steps.len() - 1;
        for fault in faults {
            if self.told.insert(fault.clone()) {
                self.invariants.push((place, fault));
            }
        }
    }
}

fn seen(pipelines: &Pipelines, id: PipelineId) -> Option<Seen> {
    match pipelines.get(&id)?.get(&ItemKey::Pipeline)?.as_ref() {
        Item::Pipeline(pipeline) => Some(Seen { version: pipeline.version, deleted: pipeline.deleted_at.is_some() }),
        _ => None,
    }
}
