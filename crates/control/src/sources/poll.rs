//! Sources that are looked at: those of `PollForSourceChanges`, and the branches that webhooks tell of, because a webhook
//! that was missed does not come again.

use std::collections::{BTreeMap, BTreeSet};

use engine::triggers::{
    Commit, ObjectChange, Push, ReferenceChange, RepositoryChange, RepositoryEvent, Verdict, is_gone, judge, tip,
};
use engine::{ItemKey, Origin, TriggerDetail};
use model::{ExecutionId, PipelineName, Timestamp, TriggerType};
use serde::{Deserialize, Serialize};

use super::heads::{BranchHead, SourceHeads};
use super::{Looks, Pointer, Resource};
use crate::control::{Control, ControlError};
use crate::intake::{Begin, Begun, repository_trigger, trigger_token};
use crate::keys;
use crate::ports::{Condition, PortError, Query, Write};
use crate::stored::{decode, encode};

/// After how many days without an execution a source is polled no more.
pub const IDLE_DAYS: i64 = 30;
/// How often the branches that webhooks tell of are looked at.
pub const RECONCILE_MINUTES: i64 = 15;
/// The most branches of a source that are remembered.
pub const MAX_BRANCHES: usize = 500;
/// The place of an object among what was seen.
const OBJECT: &str = "object";

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

    fn is_due(&self, now: Timestamp) -> bool {
        match self.looked_at {
            Some(at) if !self.pointer.polls => now.0 - at.0 >= RECONCILE_MINUTES * MINUTE,
            Some(_) | None => self.disabled_at.is_none(),
        }
    }

    /// The one branch that it is about, if it is one.
    fn only(&self) -> Option<&str> {
        match &self.pointer.looks {
            Looks::Branch(branch) | Looks::Git(engine::triggers::Watch::Branch(branch)) => Some(branch),
            Looks::Git(engine::triggers::Watch::Trigger { .. }) | Looks::All => None,
        }
    }

    /// Whether pushes to a branch could start it.
    fn is_watched(&self, branch: &str) -> bool {
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

/// What was found of a source.
struct Found {
    seen: BTreeMap<String, String>,
    started: Vec<ExecutionId>,
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
            for (key, stored) in &page.items {
                let source: PolledSource = decode(&stored.body, &key.sk)?;
                if source.is_due(self.now())
                    && let Err(error) = self.poll_source(heads, source, stored.revision, &mut polls).await
                {
                    tracing::warn!(%error, source = key.sk, "a source could not be looked at");
                    polls.failed += 1;
                }
            }
            if !page.more {
                return Ok(polls);
            }
        }
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
                    self.put_polled(&due, stored.revision).await?;
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
        polls: &mut Polls,
    ) -> Result<(), ControlError> {
        let now = self.now();
        if self.is_idle(&source, now).await? {
            polls.disabled += 1;
            return self.put_polled(&PolledSource { disabled_at: Some(now), ..source }, revision).await;
        }
        polls.looked += 1;
        let found = match &source.resource {
            Resource::Object { bucket, key } => self.poll_object(heads, &source, bucket, key).await?,
            Resource::Repository { .. } | Resource::CodeCommit { .. } => self.poll_branches(heads, &source).await?,
            Resource::Image { .. } => return Ok(()),
        };
        let started = !found.started.is_empty();
        let name = &source.pointer.pipeline.name;
        polls.started.extend(found.started.into_iter().map(|id| (name.clone(), id)));
        // A poll is written only where it brought something new: most do not.
        let is_written = !source.pointer.polls || source.looked_at.is_none() || found.seen != source.seen;
        if !is_written {
            return Ok(());
        }
        let changed_at = if started { now } else { source.changed_at };
        let next = PolledSource { looked_at: Some(now), changed_at, seen: found.seen, ..source };
        self.put_polled(&next, revision).await
    }

    async fn put_polled(&self, source: &PolledSource, revision: u64) -> Result<(), ControlError> {
        let condition = Condition::Revision(revision);
        let key = self.polled_key(&source.pointer);
        let put = Write::Put { key, revision: revision + 1, body: encode(source)?, condition };
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

    async fn poll_branches(&self, heads: &dyn SourceHeads, source: &PolledSource) -> Result<Found, ControlError> {
        let mut found = Found { seen: BTreeMap::new(), started: Vec::new() };
        let watched = |heads: Vec<BranchHead>| {
            heads.into_iter().filter(|head| source.is_watched(&head.branch)).take(MAX_BRANCHES).collect::<Vec<_>>()
        };
        let mut candidates = BTreeMap::new();
        for head in watched(heads.branches(source, source.only()).await?) {
            let (revision, known) = self.known_commit(source, &head.branch).await?;
            found.seen.insert(head.branch.clone(), head.commit.id.clone());
            // What was there at the first look starts nothing by itself; a branch that is new since then does.
            let is_new = known.as_ref().map_or(source.looked_at.is_some(), |known| *known != head.commit.id);
            if is_new {
                candidates.insert(head.branch, (revision, known));
            }
        }
        if candidates.is_empty() {
            return Ok(found);
        }
        // Once more, now that it is known what was noted: a push that came between is not undone by what was seen before it.
        for head in watched(heads.branches(source, source.only()).await?) {
            let Some((revision, known)) = candidates.remove(&head.branch) else { continue };
            found.seen.insert(head.branch.clone(), head.commit.id.clone());
            if known.as_ref() == Some(&head.commit.id) {
                continue;
            }
            let push = moved(&head.branch, known, &head.commit);
            found.started.extend(self.begin_moved(source, push, revision).await?);
        }
        Ok(found)
    }

    /// The commit that a branch was last known to be at: what starts noted, else what an earlier look saw.
    async fn known_commit(&self, source: &PolledSource, branch: &str) -> Result<(u64, Option<String>), ControlError> {
        let place = ItemKey::SourceHead(source.pointer.action.clone(), format!("refs/heads/{branch}"));
        let (revision, head) = self.noted(&source.pointer.pipeline, Some(&place)).await?;
        // One that was deleted is new when it is there again.
        let known = tip(&head).or_else(|| source.seen.get(branch).map(String::as_str));
        let known = known.filter(|_| !is_gone(&head)).map(str::to_owned);
        Ok((revision, known))
    }

    async fn begin_moved(
        &self,
        source: &PolledSource,
        push: Push,
        revision: u64,
    ) -> Result<Option<ExecutionId>, ControlError> {
        // A branch may make the same move again: what was noted before it is part of what names it.
        let noted = revision.to_string();
        let token = [crate::intake::push_token(&push, None), vec![&noted]].concat();
        let token = trigger_token(&source.pointer.action, &token);
        let (origin, trigger) = match &source.resource {
            Resource::Repository { connection, name } => {
                let Some(mut origin) = self.judge_moved(source, connection, name, push).await? else { return Ok(None) };
                if source.pointer.kind == model::PipelineType::V1 {
                    origin.trigger.clear();
                }
                (origin, repository_trigger(&source.pointer, connection))
            }
            Resource::CodeCommit { repository } => {
                let change = ReferenceChange { repository: repository.clone(), push };
                (change.origin(), self.polled_trigger(source))
            }
            Resource::Object { .. } | Resource::Image { .. } => return Ok(None),
        };
        let begin = Begin { origin: Some(origin), token, judged_at: Some(revision), ..Begin::default() };
        self.begin_polled(source, begin, trigger).await
    }

    /// The origin of a move that no webhook told of, if it passes the trigger's filters.
    async fn judge_moved(
        &self,
        source: &PolledSource,
        connection: &str,
        repository: &str,
        push: Push,
    ) -> Result<Option<Origin>, ControlError> {
        let Looks::Git(watch) = &source.pointer.looks else { return Ok(None) };
        let known = self.connection_by_arn(connection).await?;
        let mut event = RepositoryEvent {
            provider: known.as_ref().map(|known| known.provider.as_str()).unwrap_or_default().into(),
            connection: connection.into(),
            repository: repository.into(),
            delivery: None,
            change: RepositoryChange::Push(push),
        };
        let mut verdict = judge(watch, &event.change);
        if let (Verdict::NeedsFiles, Some(port)) = (&verdict, &self.detection().files) {
            let files = port.changed_files(known.as_ref(), &event).await?;
            if let RepositoryChange::Push(push) = &mut event.change {
                push.files = files;
            }
            verdict = judge(watch, &event.change);
        }
        Ok(matches!(verdict, Verdict::Starts(_)).then(|| event.origin()))
    }

    fn polled_trigger(&self, source: &PolledSource) -> TriggerDetail {
        TriggerDetail { kind: TriggerType::PollForSourceChanges, detail: source.pointer.action.as_str().to_owned() }
    }

    async fn begin_polled(
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

fn moved(branch: &str, before: Option<String>, commit: &Commit) -> Push {
    Push {
        git_ref: format!("refs/heads/{branch}"),
        before,
        after: Some(commit.id.clone()),
        commit: Some(commit.clone()),
        forced: false,
        files: None,
    }
}
