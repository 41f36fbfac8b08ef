//! Branches that are looked at: a move that nobody told of starts what a push would have started.

use std::collections::BTreeMap;

use engine::Origin;
use engine::triggers::{
    Commit, Push, ReferenceChange, RepositoryChange, RepositoryEvent, Verdict, is_gone, judge, tip,
};
use model::ExecutionId;

use super::heads::{BranchHead, SourceHeads};
use super::poll::{Found, MAX_BRANCHES, PolledSource};
use super::{Looks, Resource};
use crate::control::{Control, ControlError};
use crate::intake::{Begin, head_place, push_token, repository_trigger, trigger_token};

impl Control {
    pub(super) async fn poll_branches(
        &self,
        heads: &dyn SourceHeads,
        source: &PolledSource,
    ) -> Result<Found, ControlError> {
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
        let repository = match &source.resource {
            Resource::Repository { name, .. } => name,
            Resource::CodeCommit { repository } | Resource::Image { repository, .. } => repository,
            Resource::Object { bucket, .. } => bucket,
        };
        let origin = Origin {
            action: Some(source.pointer.action.clone()),
            repository: Some(repository.clone()),
            git_ref: Some(format!("refs/heads/{branch}")),
            ..Origin::default()
        };
        let (revision, head) = self.noted(&source.pointer.pipeline, head_place(&origin).as_ref()).await?;
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
        let token = [push_token(&push, None), vec![&noted]].concat();
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
}

/// The push that moved a branch, as far as a look tells.
pub(super) fn moved(branch: &str, before: Option<String>, commit: &Commit) -> Push {
    Push {
        git_ref: format!("refs/heads/{branch}"),
        before,
        after: Some(commit.id.clone()),
        commit: Some(commit.clone()),
        forced: false,
        files: None,
    }
}
