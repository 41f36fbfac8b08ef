//! Sources that are looked at: those of `PollForSourceChanges`, and the branches that webhooks tell of, because a webhook
//! that was missed does not come again.

use std::collections::{BTreeMap, BTreeSet};

use engine::triggers::{Commit, ObjectChange, RepositoryChange, Verdict, judge};
use engine::{ItemKey, Origin, TriggerDetail};
use futures::stream::{self, StreamExt};
use model::{ExecutionId, PipelineName, Timestamp, TriggerType};
use serde::{Deserialize, Serialize};

use super::branches::moved;
use super::heads::SourceHeads;
use super::{Looks, Pointer, Resource};
use crate::control::{Control, ControlError};
use crate::intake::{Begin, Begun, trigger_token};
use crate::keys;
use crate::ports::{Condition, Key, PortError, Query, Stored, Write};
use crate::stored::{decode, encode};

/// After how many days without an execution a source is polled no more.
pub const IDLE_DAYS: i64 = 30;
/// How often the branches that webhooks tell of are looked at.
pub const RECONCILE_MINUTES: i64 = 15;
/// The most branches of a source that are remembered.
pub const MAX_BRANCHES: usize = 500;
/// The place of an object among what was seen.
const OBJECT: &str = "object";
/// How many sources are looked at at a time.
const AT_ONCE: usize = 8;

const MINUTE: i64 = 60_000;

/// A source action that is looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PolledSource {
    /// What to look at.
    pub resource: Resource,
    /// Whose source it is, and the role to look with.
    pub pointer: Pointer,
    /// Since when.
    pub since: Timestamp,
    /// When it was first looked at, or last for a reconciliation.
    pub looked_at: Option<Timestamp>,
    /// When it last started something.
    pub changed_at: Timestamp,
    /// Branch → commit, or the object's revision.
    pub seen: BTreeMap<String, String>,
    /// `pollingDisabledAt`: it was idle for too long.
    pub disabled_at: Option<Timestamp>,
}

impl PolledSource {
    /// A source that is to be looked at; none for one that only events tell of.
    pub(super) fn new(resource: &Resource, pointer: &Pointer, at: Timestamp) -> Option<Self> {
        let is_looked_at = pointer.polls || matches!(resource, Resource::Repository { .. });
        is_looked_at.then(|| Self {
            resource: resource.clone(),
            pointer: pointer.clone(),
            since: at,
            looked_at: None,
            changed_at: at,
            seen: BTreeMap::new(),
            disabled_at: None,
        })
    }

    /// The one branch that it is about, if it is one.
    pub(super) fn only(&self) -> Option<&str> {
        match &self.pointer.looks {
            Looks::Branch(branch) | Looks::Git(engine::triggers::Watch::Branch(branch)) => Some(branch),
            Looks::Git(engine::triggers::Watch::Trigger { .. }) | Looks::All => None,
        }
    }

    /// Whether pushes to a branch could start it.
    pub(super) fn is_watched(&self, branch: &str) -> bool {
        match &self.pointer.looks {
            Looks::Branch(watched) => watched == branch,
            Looks::All => false,
            Looks::Git(watch) => {
                let push = moved(branch, Some("0".into()), &Commit { id: "1".into(), ..Commit::default() });
                matches!(judge(watch, &RepositoryChange::Push(push)), Verdict::Starts(_) | Verdict::NeedsFiles)
            }
        }
    }
}

/// A source as stored, with what only looking at it needs.
#[derive(Serialize, Deserialize)]
struct Polled {
    #[serde(flatten)]
    source: PolledSource,
    /// When it could not be looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failed_at: Option<Timestamp>,
}

impl From<PolledSource> for Polled {
    fn from(source: PolledSource) -> Self {
        Self { source, failed_at: None }
    }
}

impl Polled {
    fn is_due(&self, now: Timestamp) -> bool {
        match self.source.looked_at.max(self.failed_at) {
            Some(at) if !self.source.pointer.polls => now.0 - at.0 >= RECONCILE_MINUTES * MINUTE,
            Some(_) | None => self.source.disabled_at.is_none(),
        }
    }
}

/// The place of a source action, beside its resource and among the polled.
pub(super) fn polled_sk(pointer: &Pointer) -> String {
    format!("{}#{}", pointer.pipeline.id, pointer.action)
}

/// What a round of looking did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Polls {
    /// Sources looked at.
    pub looked: usize,
    /// Executions started.
    pub started: Vec<(PipelineName, ExecutionId)>,
    /// Sources that are polled no more.
    pub disabled: usize,
    /// Sources that could not be looked at.
    pub failed: usize,
}

impl Polls {
    fn add(&mut self, one: Self) {
        self.looked += one.looked;
        self.started.extend(one.started);
        self.disabled += one.disabled;
        self.failed += one.failed;
    }
}

/// What was found of a source.
#[derive(Default)]
pub(super) struct Found {
    pub seen: BTreeMap<String, String>,
    pub started: Vec<ExecutionId>,
}

impl Control {
    /// Looks at every source that is due and starts what changed. One that cannot be looked at does not keep others.
    ///
    /// # Errors
    /// The list of sources cannot be read.
    pub async fn poll_sources(&self, heads: &dyn SourceHeads) -> Result<Polls, ControlError> {
        let mut polls = Polls::default();
        let mut after = None;
        loop {
            let query = Query { pk: self.place().polled(), prefix: String::new(), after, limit: 100, backward: false };
            let page = self.table().query(&query).await?;
            after = page.items.last().map(|(key, _)| key.sk.clone());
            let looks = page.items.into_iter().map(|(key, stored)| self.poll_stored(heads, key, stored));
            // One that is silent keeps a place, not all who come after it.
            let mut looks = stream::iter(looks).buffer_unordered(AT_ONCE);
            while let Some(one) = looks.next().await {
                polls.add(one);
            }
            if !page.more {
                return Ok(polls);
            }
        }
    }

    async fn poll_stored(&self, heads: &dyn SourceHeads, key: Key, stored: Stored) -> Polls {
        match self.poll_due(heads, &key, &stored).await {
            Ok(polls) => polls,
            Err(error) => {
                tracing::warn!(%error, source = key.sk, "a source could not be looked at");
                Polls { looked: 1, failed: 1, ..Polls::default() }
            }
        }
    }

    async fn poll_due(&self, heads: &dyn SourceHeads, key: &Key, stored: &Stored) -> Result<Polls, ControlError> {
        let polled: Polled = decode(&stored.body, &key.sk)?;
        let now = self.now();
        if !polled.is_due(now) {
            return Ok(Polls::default());
        }
        let polls = self.poll_source(heads, polled.source.clone(), stored.revision).await;
        // A branch that webhooks tell of can wait for its next turn.
        if polls.is_err() && !polled.source.pointer.polls {
            self.put_polled(&Polled { failed_at: Some(now), ..polled }, stored.revision).await?;
        }
        polls
    }

    /// Has the branches of these repositories looked at in the next round, not only when their quarter of an hour is over.
    pub(crate) async fn look_soon(&self, repositories: BTreeSet<Resource>) -> Result<(), ControlError> {
        for resource in repositories {
            for pointer in self.pointers(&resource).await? {
                let key = self.polled_key(&pointer);
                let Some(stored) = self.table().get(&key).await? else { continue };
                let polled: PolledSource = decode(&stored.body, &key.sk)?;
                // One that was never looked at is due.
                if polled.looked_at.is_some() {
                    let due = PolledSource { looked_at: Some(Timestamp(0)), ..polled };
                    self.put_polled(&due.into(), stored.revision).await?;
                }
            }
        }
        Ok(())
    }

    /// When polling of a pipeline's source stopped because it was idle: `pollingDisabledAt`.
    pub async fn polling_disabled_at(&self, pipeline: model::PipelineId) -> Result<Option<Timestamp>, ControlError> {
        let prefix = format!("{pipeline}#");
        let query = Query { pk: self.place().polled(), prefix, after: None, limit: 50, backward: false };
        let mut disabled = None;
        for (key, stored) in self.table().query(&query).await?.items {
            let source: PolledSource = decode(&stored.body, &key.sk)?;
            disabled = disabled.max(source.disabled_at);
        }
        Ok(disabled)
    }

    async fn poll_source(
        &self,
        heads: &dyn SourceHeads,
        source: PolledSource,
        revision: u64,
    ) -> Result<Polls, ControlError> {
        let now = self.now();
        if self.is_idle(&source, now).await? {
            self.put_polled(&PolledSource { disabled_at: Some(now), ..source }.into(), revision).await?;
            return Ok(Polls { disabled: 1, ..Polls::default() });
        }
        let found = match &source.resource {
            Resource::Object { bucket, key } => self.poll_object(heads, &source, bucket, key).await?,
            Resource::Repository { .. } | Resource::CodeCommit { .. } => self.poll_branches(heads, &source).await?,
            Resource::Image { .. } => Found { seen: source.seen.clone(), ..Found::default() },
        };
        let is_started = !found.started.is_empty();
        let name = &source.pointer.pipeline.name;
        let started = found.started.into_iter().map(|id| (name.clone(), id)).collect();
        // A poll is written only where it brought something new: most do not.
        if !source.pointer.polls || source.looked_at.is_none() || found.seen != source.seen {
            let changed_at = if is_started { now } else { source.changed_at };
            let next = PolledSource { looked_at: Some(now), changed_at, seen: found.seen, ..source };
            self.put_polled(&next.into(), revision).await?;
        }
        Ok(Polls { looked: 1, started, ..Polls::default() })
    }

    async fn put_polled(&self, polled: &Polled, revision: u64) -> Result<(), ControlError> {
        let condition = Condition::Revision(revision);
        let key = self.polled_key(&polled.source.pointer);
        let put = Write::Put { key, revision: revision + 1, body: encode(polled)?, condition };
        match self.write(&[put]).await {
            // An update or a removal came between.
            Err(ControlError::Port(PortError::Conflict)) => Ok(()),
            written => written,
        }
    }

    /// Whether nothing has started the pipeline for so long that it is polled no more.
    async fn is_idle(&self, source: &PolledSource, now: Timestamp) -> Result<bool, ControlError> {
        let limit = IDLE_DAYS * 24 * 60 * MINUTE;
        if !source.pointer.polls || now.0 - source.changed_at.0 < limit {
            return Ok(false);
        }
        let last = self.last_start(&source.pointer).await?;
        Ok(last.is_none_or(|last| now.0 - last.0 >= limit))
    }

    async fn last_start(&self, pointer: &Pointer) -> Result<Option<Timestamp>, ControlError> {
        let pipeline = pointer.pipeline.id;
        let pk = self.place().pipeline(pipeline);
        let query = Query { pk, prefix: keys::ORDER_PREFIX.into(), after: None, limit: 1, backward: true };
        let page = self.table().query(&query).await?;
        let Some((key, stored)) = page.items.first() else { return Ok(None) };
        let id: ExecutionId = decode(&stored.body, &key.sk)?;
        let mut loaded = crate::load::Loaded::default();
        let read = engine::Read::Item(ItemKey::Execution(id));
        self.loader.load(pipeline, &mut loaded, &[read]).await?;
        Ok(loaded.slice.execution(id).ok().flatten().map(|execution| execution.started_at))
    }

    async fn poll_object(
        &self,
        heads: &dyn SourceHeads,
        source: &PolledSource,
        bucket: &str,
        key: &str,
    ) -> Result<Found, ControlError> {
        let mut found = Found { seen: source.seen.clone(), started: Vec::new() };
        let Some(head) = heads.object(source).await? else { return Ok(found) };
        let change = ObjectChange {
            bucket: bucket.into(),
            key: key.into(),
            version_id: head.version_id,
            etag: head.etag.map(|etag| etag.trim_matches('"').to_owned()),
            sequencer: None,
        };
        let Some(revision) = change.revision() else { return Ok(found) };
        // What was there before the pipeline starts nothing by itself.
        let is_new = match source.seen.get(OBJECT) {
            Some(seen) => seen != revision,
            None => head.modified.is_some_and(|modified| modified > source.since),
        };
        found.seen.insert(OBJECT.into(), revision.into());
        if is_new {
            let token = trigger_token(&source.pointer.action, &["s3", revision]);
            let begin = Begin { origin: Some(change.origin()), token, ..Begin::default() };
            found.started.extend(self.begin_polled(source, begin, self.polled_trigger(source)).await?);
        }
        Ok(found)
    }

    pub(super) fn polled_trigger(&self, source: &PolledSource) -> TriggerDetail {
        TriggerDetail { kind: TriggerType::PollForSourceChanges, detail: source.pointer.action.as_str().to_owned() }
    }

    pub(super) async fn begin_polled(
        &self,
        source: &PolledSource,
        begin: Begin,
        trigger: TriggerDetail,
    ) -> Result<Option<ExecutionId>, ControlError> {
        let action = Some(source.pointer.action.clone());
        let origin = begin.origin.map(|origin| Origin { action, ..origin });
        let begun = self.begin(&source.pointer.pipeline, Begin { origin, trigger, ..begin }).await?;
        Ok(match begun {
            Begun::Started(id) => Some(id),
            Begun::Repeated | Begun::Moved => None,
            Begun::Refused(why) => {
                tracing::warn!(pipeline = %source.pointer.pipeline.name, why, "a polled change could not start it");
                None
            }
        })
    }
}
