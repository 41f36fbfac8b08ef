//! Loads what a decision asks for, and remembers the revisions that its commit depends on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use engine::{Item, ItemKey, Read, Slice, Success};
use model::{ExecutionType, Ordinal, PipelineId, StageName, Version};

use crate::keys::{self, Place};
use crate::ports::{Key, PortError, Query, Stored, Table};
use crate::stored::{decode, decode_item};

/// How many immutable items are kept in memory.
const CACHE_ITEMS: usize = 512;
/// How many items one read of a query asks for.
const PAGE: usize = 200;

/// Immutable items by pipeline and key.
#[derive(Default)]
pub struct Cache(Mutex<HashMap<(PipelineId, ItemKey), Item>>);

impl Cache {
    fn get(&self, id: PipelineId, key: &ItemKey) -> Option<Item> {
        let items = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        items.get(&(id, key.clone())).cloned()
    }

    fn put(&self, id: PipelineId, key: &ItemKey, item: &Item) {
        let mut items = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if items.len() >= CACHE_ITEMS {
            items.clear();
        }
        items.insert((id, key.clone()), item.clone());
    }
}

/// A slice with the revisions of what is in it.
#[derive(Default)]
pub struct Loaded {
    /// What decisions see.
    pub slice: Slice,
    /// The revision of each item that was there.
    pub revisions: HashMap<ItemKey, u64>,
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
}

impl Loader {
    /// Where an item of a pipeline lies.
    pub fn key(&self, pipeline: PipelineId, key: &ItemKey) -> Key {
        Key { pk: self.place.pipeline(pipeline), sk: keys::item_sk(key) }
    }

    /// Loads what is asked for and not loaded yet.
    pub async fn load(&self, pipeline: PipelineId, loaded: &mut Loaded, reads: &[Read]) -> Result<(), PortError> {
        for read in reads.iter().filter(|read| !loaded.slice.has(read)).cloned().collect::<Vec<_>>() {
            match read {
                Read::Item(key) => self.load_item(pipeline, loaded, key).await?,
                Read::Slot(execution, stage, slot) => {
                    let prefix = keys::slot_prefix(execution, &stage, slot);
                    let mut actions = Vec::new();
                    for (key, stored) in self.all(&self.place.pipeline(pipeline), &prefix).await? {
                        let Some(item_key) = keys::parse_item_sk(&key.sk) else {
                            return Err(PortError::Corrupt(key.sk));
                        };
                        if let Item::Action(action) = decode_item(&item_key, &stored.body)? {
                            loaded.revisions.insert(item_key, stored.revision);
                            actions.push(action);
                        }
                    }
                    loaded.slice.put_slot(execution, stage, slot, actions);
                }
                Read::LastSuccess { stage, version, before } => {
                    let success = self.last_success(pipeline, &stage, version, before).await?;
                    loaded.slice.put_last_success(stage, version, before, success);
                }
            }
        }
        Ok(())
    }

    async fn load_item(&self, pipeline: PipelineId, loaded: &mut Loaded, key: ItemKey) -> Result<(), PortError> {
        let immutable = matches!(key, ItemKey::Header(_) | ItemKey::StagePart(..));
        if immutable && let Some(item) = self.cache.get(pipeline, &key) {
            loaded.slice.put(key, Some(item));
            return Ok(());
        }
        let item = match self.table.get(&self.key(pipeline, &key)).await? {
            Some(stored) => {
                loaded.revisions.insert(key.clone(), stored.revision);
                Some(decode_item(&key, &stored.body)?)
            }
            None => None,
        };
        if immutable && let Some(item) = &item {
            self.cache.put(pipeline, &key, item);
        }
        loaded.slice.put(key, item);
        Ok(())
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
