//! What is kept for a time only: artifacts that nobody can need any more, old deliveries, old records of calls.
//!
//! An artifact is needed while its execution runs, can be retried (the last one in a stage, or one of the newest), or is
//! among the last successes of a stage, to which a rollback may go back; and while a rollback to it is any of these. Others
//! are marked, and the bucket's lifecycle rule removes them. One that comes back into use, by a late rollback, is unmarked.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use engine::{Item, ItemKey, Read, Success};
use model::{ExecutionId, Ordinal, PipelineId, Version};
use serde::{Deserialize, Serialize};

use crate::control::{Control, ControlError};
use crate::keys;
use crate::load::Loaded;
use crate::ports::{Condition, Key, PortError, Query, Stored, Write};
use crate::stored::{decode, encode};

/// How many successes of a stage keep their artifacts.
pub const KEPT_SUCCESSES: usize = 10;
/// How many of the newest executions keep theirs, whatever became of them.
pub const KEPT_NEWEST: usize = 10;
/// How many pipelines one step looks at.
pub const PIPELINES_A_STEP: usize = 50;
/// How many executions and artifacts one step goes through.
const WORK_A_STEP: usize = 500;
/// How many executions one read brings.
const PAGE: usize = 100;
const DAY_MILLIS: i64 = 24 * 3_600_000;
const GONE: &str = "gone#";

/// Marks artifacts in the bucket of the host.
#[async_trait]
pub trait ArtifactMarks: Send + Sync {
    /// Marks that nobody needs an object any more (`expires`), or that somebody does. An object that is not there is no
    /// error.
    async fn mark(&self, bucket: &str, key: &str, expires: bool) -> Result<(), PortError>;
}

/// What a step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    /// Artifacts marked, or unmarked.
    pub marked: usize,
    /// Pipelines whose artifacts could not be gone through: the next day's round does.
    pub failed: usize,
    /// Deliveries and records of calls forgotten.
    pub forgotten: usize,
    /// Whether the day's round is done.
    pub done: bool,
}

/// How far the day's round came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Round {
    /// Days since 1970.
    day: i64,
    /// The pipeline it came to.
    after: Option<String>,
    done: bool,
}

/// How far the executions of a pipeline were gone through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct GoneThrough {
    /// The last of them.
    through: Option<Ordinal>,
    /// Those up to it whose artifacts are still needed.
    kept: BTreeSet<ExecutionId>,
}

/// A step, with what it may still do.
struct Step<'a> {
    marks: &'a dyn ArtifactMarks,
    bucket: &'a str,
    left: usize,
    expired: Expired,
}

impl Step<'_> {
    async fn mark(&mut self, key: &str, expires: bool) -> Result<(), PortError> {
        self.marks.mark(self.bucket, key, expires).await?;
        self.left = self.left.saturating_sub(1);
        self.expired.marked += 1;
        Ok(())
    }
}

impl Control {
    /// The same control plane, on a host with a bucket of artifacts in which those that expire are marked.
    #[must_use]
    pub fn with_artifact_bucket(mut self, bucket: Option<String>) -> Self {
        self.artifact_bucket = bucket.map(Into::into);
        self
    }

    /// One step of the day's round: bounded, and gone on with by the next call. To be called every few minutes; a call
    /// after the day's round is done reads one item.
    ///
    /// # Errors
    /// A port failed: the next call does the step again.
    pub async fn expire(&self, marks: &dyn ArtifactMarks) -> Result<Expired, ControlError> {
        let key = Key { pk: self.place().expiry(), sk: "at".into() };
        let stored = self.table().get(&key).await?;
        let mut round: Round =
            stored.as_ref().map(|stored| decode(&stored.body, &key.sk)).transpose()?.unwrap_or_default();
        let day = self.now().0.div_euclid(DAY_MILLIS);
        if round.done && round.day == day {
            return Ok(Expired { done: true, ..Expired::default() });
        }
        if round.done {
            round = Round { day, ..Round::default() };
        }
        let mut expired = match self.artifact_bucket.clone() {
            Some(bucket) => {
                let mut step = Step { marks, bucket: &bucket, left: WORK_A_STEP, expired: Expired::default() };
                round.done = self.expire_artifacts(&mut step, &mut round.after).await?;
                step.expired
            }
            None => Expired { done: true, ..Expired::default() },
        };
        round.done |= expired.done;
        if round.done {
            round.day = day;
            expired.forgotten = self.forget_deliveries().await? + self.expire_records().await?;
        }
        self.put_unless_changed(key, stored.as_ref(), encode(&round)?, None).await?;
        Ok(Expired { done: round.done, ..expired })
    }

    /// Whether all pipelines behind `after` were gone through.
    async fn expire_artifacts(&self, step: &mut Step<'_>, after: &mut Option<String>) -> Result<bool, ControlError> {
        if !self.expire_gone(step).await? {
            return Ok(false);
        }
        let (pipelines, more) = self.list_pipelines(after.clone(), PIPELINES_A_STEP).await?;
        for pipeline in pipelines {
            match self.expire_of(pipeline.item.id, pipeline.item.version, step).await {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                // One pipeline must not keep the artifacts of the others.
                Err(error) => {
                    tracing::error!(%error, pipeline = %pipeline.name, "artifacts could not be gone through");
                    step.expired.failed += 1;
                }
            }
            *after = Some(pipeline.name.to_string());
        }
        Ok(!more)
    }

    /// Goes through a pipeline's executions, oldest first; false if there are more.
    async fn expire_of(&self, id: PipelineId, version: Version, step: &mut Step<'_>) -> Result<bool, ControlError> {
        let key = Key { pk: self.place().pipeline(id), sk: keys::GONE_THROUGH_SK.into() };
        let stored = self.table().get(&key).await?;
        let before: GoneThrough =
            stored.as_ref().map(|stored| decode(&stored.body, &key.sk)).transpose()?.unwrap_or_default();
        let mut state = before.clone();
        let mut more = true;
        while more && step.left > 0 {
            more = self.expire_page(id, version, &mut state, step).await?;
        }
        if state != before {
            let pipeline = Key { pk: key.pk.clone(), sk: keys::item_sk(&ItemKey::Pipeline) };
            self.put_unless_changed(key, stored.as_ref(), encode(&state)?, Some(pipeline)).await?;
        }
        Ok(!more)
    }

    /// Goes through those that were kept before, and a page of others; whether there are more.
    async fn expire_page(
        &self,
        id: PipelineId,
        version: Version,
        state: &mut GoneThrough,
        step: &mut Step<'_>,
    ) -> Result<bool, ControlError> {
        // Which there are is read before which are used: what starts or ends meanwhile counts as used.
        let (page, more) = self.executions_after(id, state.through).await?;
        let used = self.in_use(id, version).await?;
        for (execution, ordinal) in &used {
            if Some(*ordinal) <= state.through && state.kept.insert(*execution) {
                self.mark_artifacts(id, *execution, false, step).await?;
            }
        }
        for execution in state.kept.clone().into_iter().filter(|execution| !used.contains_key(execution)) {
            self.mark_artifacts(id, execution, true, step).await?;
            state.kept.remove(&execution);
        }
        for (ordinal, execution) in page {
            if step.left == 0 {
                return Ok(true);
            }
            step.left -= 1;
            if used.contains_key(&execution) {
                state.kept.insert(execution);
            } else {
                self.mark_artifacts(id, execution, true, step).await?;
            }
            state.through = Some(ordinal);
        }
        Ok(more)
    }

    /// Executions in the order of their starts, and whether there are more.
    async fn executions_after(
        &self,
        id: PipelineId,
        through: Option<Ordinal>,
    ) -> Result<(Vec<(Ordinal, ExecutionId)>, bool), ControlError> {
        let pk = self.place().pipeline(id);
        let after = through.map(keys::order_sk);
        let query = Query { pk, prefix: keys::ORDER_PREFIX.into(), after, limit: PAGE, backward: false };
        let page = self.table().query(&query).await?;
        let executions = page.items.iter().map(|(key, stored)| {
            let ordinal = key.sk.strip_prefix(keys::ORDER_PREFIX).and_then(|digits| digits.parse().ok());
            Ok((ordinal.ok_or_else(|| PortError::Corrupt(key.sk.clone()))?, decode(&stored.body, &key.sk)?))
        });
        Ok((executions.collect::<Result<_, PortError>>()?, page.more))
    }

    /// The executions whose artifacts somebody may need, with their ordinals.
    async fn in_use(&self, id: PipelineId, version: Version) -> Result<BTreeMap<ExecutionId, Ordinal>, ControlError> {
        let header = self.header(id, version).await?;
        let lanes = header.stages.iter().map(|stage| Read::Item(ItemKey::Lane(stage.clone())));
        let reads: Vec<_> = std::iter::once(Read::Item(ItemKey::Admission)).chain(lanes).collect();
        let mut loaded = Loaded::default();
        self.loader.load(id, &mut loaded, &reads).await?;
        let mut used = BTreeSet::new();
        if let Ok(Some(admission)) = loaded.slice.admission() {
            used.extend(admission.live.values().map(|live| live.id));
        }
        for stage in &header.stages {
            used.extend(loaded.slice.lane(stage).ok().flatten().and_then(|lane| lane.last));
            for body in self.last_of(id, keys::success_prefix(stage), KEPT_SUCCESSES).await? {
                used.insert(decode::<Success>(&body.body, "a success")?.execution);
            }
        }
        for body in self.last_of(id, keys::ORDER_PREFIX.into(), KEPT_NEWEST).await? {
            used.insert(decode(&body.body, "the order of starts")?);
        }
        let mut ordinals = BTreeMap::new();
        let targets = self.ordinals(id, &used, &mut ordinals).await?;
        // A target is never itself a rollback.
        self.ordinals(id, &targets, &mut ordinals).await?;
        Ok(ordinals)
    }

    async fn last_of(&self, id: PipelineId, prefix: String, limit: usize) -> Result<Vec<Stored>, ControlError> {
        let query = Query { pk: self.place().pipeline(id), prefix, after: None, limit, backward: true };
        Ok(self.table().query(&query).await?.items.into_iter().map(|(_, stored)| stored).collect())
    }

    /// Adds the ordinals of executions; what those of them that are rollbacks run with.
    async fn ordinals(
        &self,
        id: PipelineId,
        wanted: &BTreeSet<ExecutionId>,
        ordinals: &mut BTreeMap<ExecutionId, Ordinal>,
    ) -> Result<BTreeSet<ExecutionId>, ControlError> {
        let reads: Vec<_> = wanted.iter().map(|execution| Read::Item(ItemKey::Execution(*execution))).collect();
        let mut loaded = Loaded::default();
        self.loader.load(id, &mut loaded, &reads).await?;
        let mut targets = BTreeSet::new();
        for execution in wanted {
            if let Ok(Some(execution)) = loaded.slice.execution(*execution) {
                ordinals.insert(execution.id, execution.ordinal);
                targets.extend(execution.rollback_target);
            }
        }
        Ok(targets)
    }

    async fn mark_artifacts(
        &self,
        id: PipelineId,
        execution: ExecutionId,
        expires: bool,
        step: &mut Step<'_>,
    ) -> Result<(), ControlError> {
        let bucket = step.bucket;
        for action in self.actions_of(id, execution).await? {
            for output in action.outputs.iter().filter(|output| output.bucket == bucket) {
                step.mark(&output.key, expires).await?;
            }
        }
        Ok(())
    }

    /// What is written when items of a deleted pipeline are removed: which artifacts they named, so that those expire.
    pub(crate) fn artifacts_gone(
        &self,
        seed: model::Seed,
        items: &[(Key, Stored)],
    ) -> Result<Option<Write>, ControlError> {
        let Some(bucket) = self.artifact_bucket.as_deref() else { return Ok(None) };
        let mut gone: Vec<String> = Vec::new();
        for (key, stored) in items {
            let Some(item_key @ ItemKey::Action(_)) = keys::parse_item_sk(&key.sk) else { continue };
            if let Item::Action(action) = crate::stored::decode_item(&item_key, &stored.body)? {
                let outputs = action.outputs.into_iter().filter(|output| output.bucket == bucket);
                gone.extend(outputs.map(|output| output.key));
            }
        }
        if gone.is_empty() {
            return Ok(None);
        }
        let key = Key { pk: self.place().expiry(), sk: format!("{GONE}{}", seed.id("gone")) };
        Ok(Some(Write::Put { key, revision: 1, body: encode(&gone)?, condition: Condition::Always }))
    }

    /// Marks artifacts of deleted pipelines; false if there are more.
    async fn expire_gone(&self, step: &mut Step<'_>) -> Result<bool, ControlError> {
        let query = Query { pk: self.place().expiry(), prefix: GONE.into(), after: None, limit: PAGE, backward: false };
        let page = self.table().query(&query).await?;
        for (key, stored) in page.items {
            if step.left == 0 {
                return Ok(false);
            }
            for artifact in decode::<Vec<String>>(&stored.body, &key.sk)? {
                step.mark(&artifact, true).await?;
            }
            self.write(&[Write::Delete { key, condition: Condition::Always }]).await?;
        }
        Ok(!page.more)
    }

    /// Writes an item unless somebody else did meanwhile, or `with` is gone.
    async fn put_unless_changed(
        &self,
        key: Key,
        known: Option<&Stored>,
        body: bytes::Bytes,
        with: Option<Key>,
    ) -> Result<(), ControlError> {
        let condition = known.map_or(Condition::Absent, |stored| Condition::Revision(stored.revision));
        let revision = known.map_or(1, |stored| stored.revision + 1);
        let mut writes = vec![Write::Put { key, revision, body, condition }];
        writes.extend(with.map(|key| Write::Check { key, condition: Condition::Present }));
        match self.write(&writes).await {
            Err(ControlError::Port(PortError::Conflict)) => Ok(()),
            written => written,
        }
    }
}
