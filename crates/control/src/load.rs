//! Loads what a decision asks for, and remembers the revisions that its commit depends on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use engine::{Change, Item, ItemKey, Read, Slice, Success};
use model::{ExecutionType, Ordinal, Pipeline, PipelineId, StageName, Version};

use crate::commit::Prepared;
use crate::keys::{self, Place};
use crate::ports::{Key, MAX_READS, PortError, Query, Stored, Table, Write};
use crate::stored::{decode, decode_item};

/// How many immutable items are kept in memory.
const CACHE_ITEMS: usize = 512;
/// How many items that change are kept in memory as they were decoded.
const CACHE_DECODED: usize = 128;
/// How many declarations (without their stages) are kept in memory.
const CACHE_DECLARATIONS: usize = 64;
/// How many items one read of a query asks for.
const PAGE: usize = 200;

/// Immutable items by pipeline and key, what was decoded last, and the declarations of versions.
#[derive(Default)]
pub struct Cache {
    items: Mutex<HashMap<(PipelineId, ItemKey), Item>>,
    decoded: Mutex<HashMap<(PipelineId, ItemKey), (Bytes, Item)>>,
    declarations: Mutex<HashMap<(PipelineId, Version), Arc<Pipeline>>>,
}

impl Cache {
    /// A version's declaration but for its stages, if it was read before.
    pub fn declaration(&self, id: PipelineId, version: Version) -> Option<Arc<Pipeline>> {
        let known = self.declarations.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&(id, version)).cloned()
    }

    /// Keeps a version's declaration.
    pub fn keep_declaration(&self, id: PipelineId, version: Version, declaration: Arc<Pipeline>) {
        let mut known = self.declarations.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= CACHE_DECLARATIONS {
            known.clear();
        }
        known.insert((id, version), declaration);
    }

    fn get(&self, id: PipelineId, key: &ItemKey) -> Option<Item> {
        let items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        items.get(&(id, key.clone())).cloned()
    }

    fn put(&self, id: PipelineId, key: &ItemKey, item: &Item) {
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        if items.len() >= CACHE_ITEMS {
            items.clear();
        }
        items.insert((id, key.clone()), item.clone());
    }

    /// An item that was read: it is decoded only if the last that was read or written of this key had another body.
    fn decode(&self, id: PipelineId, key: &ItemKey, body: &Bytes) -> Result<Item, PortError> {
        let known = self.decoded.lock().unwrap_or_else(PoisonError::into_inner).get(&(id, key.clone())).cloned();
        if let Some((_, item)) = known.filter(|(known, _)| known == body) {
            return Ok(item);
        }
        let item = decode_item(key, body)?;
        self.keep_decoded(id, key, body, &item);
        Ok(item)
    }

    fn keep_decoded(&self, id: PipelineId, key: &ItemKey, body: &Bytes, item: &Item) {
        let mut decoded = self.decoded.lock().unwrap_or_else(PoisonError::into_inner);
        if decoded.len() >= CACHE_DECODED {
            decoded.clear();
        }
        decoded.insert((id, key.clone()), (body.clone(), item.clone()));
    }
}

/// An item and its revision; none where there is none.
type Known = Option<(Item, u64)>;

/// Items that this piece of work read or wrote: what it decides next need not read them again. What others changed
/// meanwhile shows as a conflict at the commit; then everything is forgotten.
#[derive(Default)]
pub struct Recent(Mutex<HashMap<(PipelineId, ItemKey), Known>>);

impl Recent {
    fn get(&self, id: PipelineId, key: &ItemKey) -> Option<Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&(id, key.clone())).cloned()
    }

    fn put(&self, id: PipelineId, key: &ItemKey, item: Known) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((id, key.clone()), item);
    }

    fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// A slice with the revisions of what is in it.
#[derive(Default)]
pub struct Loaded {
    /// What decisions see.
    pub slice: Slice,
    /// The revision of each item that was there.
    pub revisions: HashMap<ItemKey, u64>,
    /// Whether some of it was remembered instead of read.
    pub recalled: bool,
    /// Whether all of it is to be read, whatever is remembered.
    pub afresh: bool,
}

/// Reads of one pipeline.
#[derive(Clone)]
pub struct Loader {
    /// The table.
    pub table: Arc<dyn Table>,
    /// Account and region.
    pub place: Place,
    /// Immutable items.
    pub cache: Arc<Cache>,
    /// What this piece of work read or wrote, where one is marked off.
    pub recent: Option<Arc<Recent>>,
}

impl Loader {
    /// Where an item of a pipeline lies.
    pub fn key(&self, pipeline: PipelineId, key: &ItemKey) -> Key {
        Key { pk: self.place.pipeline(pipeline), sk: keys::item_sk(key) }
    }

    /// Loads what is asked for and not loaded yet: all single items by one request, and slots after it. A stage that is
    /// read before its actions is older than they are or as old, and a commit that goes by it conflicts; one that is
    /// read after them may have been retried meanwhile, and lacks the new attempts without anybody noticing.
    pub async fn load(&self, pipeline: PipelineId, loaded: &mut Loaded, reads: &[Read]) -> Result<(), PortError> {
        let absent: Vec<&Read> = reads.iter().filter(|read| !loaded.slice.has(read)).collect();
        let mut items = Vec::new();
        for read in &absent {
            if let Read::Item(key) = read
                && !self.known(pipeline, loaded, key)
                && !items.contains(key)
            {
                items.push(key.clone());
            }
        }
        for chunk in items.chunks(MAX_READS) {
            self.load_items(pipeline, loaded, chunk).await?;
        }
        for read in absent {
            match read {
                Read::Item(_) => {}
                Read::Slot(execution, stage, slot) => {
                    let prefix = keys::slot_prefix(*execution, stage, *slot);
                    let mut actions = Vec::new();
                    for (key, stored) in self.all(&self.place.pipeline(pipeline), &prefix).await? {
                        let Some(item_key) = keys::parse_item_sk(&key.sk) else {
                            return Err(PortError::Corrupt(key.sk));
                        };
                        if let Item::Action(action) = self.cache.decode(pipeline, &item_key, &stored.body)? {
                            loaded.revisions.insert(item_key, stored.revision);
                            actions.push(action);
                        }
                    }
                    loaded.slice.put_slot(*execution, stage.clone(), *slot, actions);
                }
                Read::LastSuccess { stage, version, before } => {
                    let success = self.last_success(pipeline, stage, *version, *before).await?;
                    loaded.slice.put_last_success(stage.clone(), *version, *before, success);
                }
            }
        }
        Ok(())
    }

    /// Whether an item is known without reading; then it is in the slice.
    fn known(&self, pipeline: PipelineId, loaded: &mut Loaded, key: &ItemKey) -> bool {
        if is_immutable(key)
            && let Some(item) = self.cache.get(pipeline, key)
        {
            loaded.slice.put(key.clone(), Some(item));
            return true;
        }
        let recent = self.recent.as_ref().filter(|_| !loaded.afresh);
        let Some(found) = recent.and_then(|recent| recent.get(pipeline, key)) else { return false };
        if let Some((_, revision)) = &found {
            loaded.revisions.insert(key.clone(), *revision);
        }
        loaded.slice.put(key.clone(), found.map(|(item, _)| item));
        loaded.recalled = true;
        true
    }

    async fn load_items(&self, pipeline: PipelineId, loaded: &mut Loaded, wanted: &[ItemKey]) -> Result<(), PortError> {
        let keys: Vec<Key> = wanted.iter().map(|key| self.key(pipeline, key)).collect();
        let found = match keys.as_slice() {
            [one] => vec![self.table.get(one).await?],
            several => self.table.get_many(several).await?,
        };
        for (key, stored) in wanted.iter().zip(found) {
            let item = match stored {
                Some(stored) => {
                    loaded.revisions.insert(key.clone(), stored.revision);
                    let item = match is_immutable(key) {
                        true => decode_item(key, &stored.body)?,
                        false => self.cache.decode(pipeline, key, &stored.body)?,
                    };
                    Some((item, stored.revision))
                }
                None => None,
            };
            if is_immutable(key) {
                if let Some((item, _)) = &item {
                    self.cache.put(pipeline, key, item);
                }
            } else if let Some(recent) = &self.recent {
                recent.put(pipeline, key, item.clone());
            }
            loaded.slice.put(key.clone(), item.map(|(item, _)| item));
        }
        Ok(())
    }

    /// Remembers what a commit wrote.
    pub fn wrote(&self, prepared: &Prepared) {
        for change in &prepared.changed.changes {
            let at = self.key(prepared.pipeline, change.key());
            let written = prepared.writes.iter().find(|write| *write.key() == at);
            let item = match (change, written) {
                (Change::Create(key, item) | Change::Replace(key, item), Some(Write::Put { revision, body, .. })) => {
                    if !is_immutable(key) {
                        self.cache.keep_decoded(prepared.pipeline, key, body, item);
                    }
                    Some((item.clone(), *revision))
                }
                (Change::Create(..) | Change::Replace(..) | Change::Delete(_), _) => None,
            };
            if let Some(recent) = &self.recent {
                recent.put(prepared.pipeline, change.key(), item);
            }
        }
    }

    /// Forgets what this piece of work read: somebody changed it.
    pub fn forget(&self) {
        if let Some(recent) = &self.recent {
            recent.forget();
        }
    }

    async fn last_success(
        &self,
        pipeline: PipelineId,
        stage: &StageName,
        version: Version,
        before: Ordinal,
    ) -> Result<Option<Success>, PortError> {
        let prefix = keys::success_prefix(stage);
        let mut after = Some(format!("{prefix}{before:020}"));
        loop {
            let pk = self.place.pipeline(pipeline);
            let query = Query { pk, prefix: prefix.clone(), after: after.take(), limit: 20, backward: true };
            let page = self.table.query(&query).await?;
            for (key, stored) in &page.items {
                let success: Success = decode(&stored.body, &key.sk)?;
                if success.version < version {
                    return Ok(None);
                }
                if success.version == version && success.kind == ExecutionType::Standard {
                    return Ok(Some(success));
                }
            }
            match page.items.last() {
                Some((key, _)) if page.more => after = Some(key.sk.clone()),
                Some(_) | None => return Ok(None),
            }
        }
    }

    /// Everything whose place begins with a prefix, in order. For what is bounded by design.
    pub async fn all(&self, pk: &str, prefix: &str) -> Result<Vec<(Key, Stored)>, PortError> {
        let mut items = Vec::new();
        let mut query =
            Query { pk: pk.to_owned(), prefix: prefix.to_owned(), after: None, limit: PAGE, backward: false };
        loop {
            let page = self.table.query(&query).await?;
            items.extend(page.items);
            match items.last() {
                Some((key, _)) if page.more => query.after = Some(key.sk.clone()),
                Some(_) | None => return Ok(items),
            }
        }
    }
}

/// What is written once.
fn is_immutable(key: &ItemKey) -> bool {
    matches!(key, ItemKey::Header(_) | ItemKey::StagePart(..))
}

#[cfg(test)]
mod tests {
    use engine::Lane;
    use uuid::Uuid;

    use super::*;
    use crate::stored::encode_item;

    #[test]
    fn what_somebody_else_changed_is_decoded_anew() {
        let (cache, id, key) = (Cache::default(), PipelineId(Uuid::nil()), ItemKey::Lane("Build".into()));
        let lane =
            |last: u128| Item::Lane(Lane { last: Some(model::ExecutionId(Uuid::from_u128(last))), ..Lane::default() });
        cache.keep_decoded(id, &key, &encode_item(&lane(1)).unwrap(), &lane(1));
        for changed in [1, 2, 2, 1] {
            assert_eq!(cache.decode(id, &key, &encode_item(&lane(changed)).unwrap()).unwrap(), lane(changed));
        }
        assert!(cache.decode(id, &key, &Bytes::from_static(b"1{")).is_err());
    }
}
