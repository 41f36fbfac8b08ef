//! Sources that are looked at.

use std::sync::atomic::{AtomicUsize, Ordering};

use control::ports::PortError;
use control::sources::{BranchHead, IDLE_DAYS, ObjectHead, PolledSource, SourceHeads};
use engine::triggers::Commit;
use model::{Timestamp, TriggerType};
use serde_json::json;

use super::world::{NOW, World, declared, git_pipeline, pipeline, s3, world};

fn version(version: &str, modified: Timestamp) -> Option<ObjectHead> {
    Some(ObjectHead { version_id: Some(version.into()), etag: Some("\"e\"".into()), modified: Some(modified) })
}

fn heads(of: &[(&str, &str)]) -> Vec<BranchHead> {
    let head = |(branch, id): &(&str, &str)| BranchHead {
        branch: (*branch).into(),
        commit: Commit { id: (*id).into(), ..Commit::default() },
    };
    of.iter().map(head).collect()
}

impl World {
    /// How many executions a round of looking started.
    async fn poll(&self) -> usize {
        self.pass_minutes(1);
        let polls = self.control.poll_sources(&self.heads).await.unwrap();
        assert_eq!(polls.failed, 0);
        polls.started.len()
    }

    /// The same, a quarter of an hour later.
    async fn reconcile(&self) -> usize {
        self.pass_minutes(14);
        self.poll().await
    }
}

/// Absent means true (semantics.md 11).
#[tokio::test]
async fn an_object_is_polled_unless_it_is_said_not_to() {
    let world = world();
    let mut configuration = s3(json!({}));
    configuration.as_object_mut().unwrap().remove("PollForSourceChanges");
    world.create(pipeline("p", "S3", configuration)).await;
    world.create(pipeline("quiet", "S3", s3(json!({ "S3ObjectKey": "other" })))).await;
    assert_eq!(world.poll().await, 0, "nothing is there");
    world.heads.put_object(version("v1", NOW.plus_minutes(2)));
    assert_eq!((world.poll().await, world.poll().await), (1, 0));
    world.heads.put_object(version("v2", NOW.plus_minutes(4)));
    assert_eq!((world.poll().await, world.poll().await), (1, 0));
    let executions = world.executions().await;
    assert_eq!(executions[1].trigger.kind, TriggerType::PollForSourceChanges);
    assert_eq!(executions[1].origin.as_ref().unwrap().after.as_deref(), Some("v2"));
    assert_eq!(world.heads.asked(), 5);
}

#[tokio::test]
async fn what_was_there_before_the_pipeline_starts_nothing() {
    let world = world();
    world.heads.put_object(version("v1", Timestamp(NOW.0 - 1)));
    world.create(pipeline("p", "S3", s3(json!({ "PollForSourceChanges": "true" })))).await;
    assert_eq!(world.poll().await, 0);
    world.heads.put_object(version("v2", Timestamp(NOW.0 - 1)));
    assert_eq!(world.poll().await, 1, "it changed since the first look");
}

#[tokio::test]
async fn a_poll_and_an_event_that_see_the_same_start_once() {
    let world = world();
    world.create(pipeline("p", "S3", s3(json!({ "PollForSourceChanges": "true" })))).await;
    world.heads.put_object(version("v1", NOW.plus_minutes(1)));
    assert_eq!(world.poll().await, 1);
    let event = json!({ "id": "e", "detail-type": "Object Created", "source": "aws.s3", "detail": {
        "bucket": { "name": "in" }, "object": { "key": "app.zip", "version-id": "v1", "sequencer": "0A" } } });
    assert_eq!(world.event(event).await.repeated, 1);
}

#[tokio::test]
async fn polling_ends_after_idle_weeks_and_an_update_begins_it_again() {
    let world = world();
    let polled = || pipeline("p", "S3", s3(json!({ "PollForSourceChanges": "true" })));
    world.create(polled()).await;
    world.heads.put_object(version("v1", NOW));
    let day = 24 * 60;
    world.pass_minutes((IDLE_DAYS - 1) * day);
    // Somebody starts it: it is not idle.
    let start = engine::Start {
        trigger: engine::TriggerDetail { kind: TriggerType::StartPipelineExecution, detail: "me".into() },
        origin: None,
        variables: Default::default(),
        overrides: Vec::new(),
    };
    world.control.start_pipeline_execution(&"p".into(), start, None).await.unwrap();
    let id = world.control.pipeline_ref(&"p".into()).await.unwrap().id;
    world.pass_minutes(2 * day);
    world.poll().await;
    assert_eq!(world.control.polling_disabled_at(id).await.unwrap(), None);
    world.pass_minutes(IDLE_DAYS * day);
    world.poll().await;
    let disabled = world.control.polling_disabled_at(id).await.unwrap();
    assert!(disabled.is_some());
    let asked = world.heads.asked();
    world.heads.put_object(version("v2", NOW));
    assert_eq!((world.poll().await, world.heads.asked()), (0, asked));
    world.control.update_pipeline(declared(polled())).await.unwrap();
    assert_eq!(world.poll().await, 1);
    assert_eq!(world.control.polling_disabled_at(id).await.unwrap(), None);
}

#[tokio::test]
async fn a_polled_branch() {
    let world = world();
    world.create(pipeline("p", "CodeCommit", json!({ "RepositoryName": "app", "BranchName": "main" }))).await;
    world.heads.put_branches(vec![heads(&[("main", "a"), ("topic", "x")])]);
    assert_eq!((world.poll().await, world.poll().await), (0, 0));
    world.heads.put_branches(vec![heads(&[("main", "b"), ("topic", "y")])]);
    assert_eq!((world.poll().await, world.poll().await), (1, 0));
    let event = json!({ "id": "e", "detail-type": "CodeCommit Repository State Change", "source": "aws.codecommit",
        "detail": { "event": "referenceUpdated", "repositoryName": "app", "referenceType": "branch",
            "referenceName": "main", "commitId": "b", "oldCommitId": "a" } });
    assert_eq!(world.event(event).await.repeated, 1);
    let commits: Vec<_> = world.commits().await.into_iter().map(|(commit, _)| commit).collect();
    assert_eq!(commits, ["b"]);
}

/// Fails whenever it is asked, and counts how often.
struct Failing(AtomicUsize);

#[async_trait::async_trait]
impl SourceHeads for Failing {
    async fn object(&self, _: &PolledSource) -> Result<Option<ObjectHead>, PortError> {
        Err(PortError::Unavailable("the bucket".into()))
    }

    async fn branches(&self, _: &PolledSource, _: Option<&str>) -> Result<Vec<BranchHead>, PortError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Err(PortError::Unavailable("the git host".into()))
    }
}

/// A repository that cannot be looked at waits for its next turn, and its first look that succeeds only looks.
#[tokio::test]
async fn a_look_that_fails_is_not_repeated_each_minute() {
    let world = world();
    let arn = world.github().await;
    world.create(git_pipeline("p", &arn, None)).await;
    let failing = Failing(AtomicUsize::new(0));
    for _ in 0..20 {
        world.pass_minutes(1);
        world.control.poll_sources(&failing).await.unwrap();
    }
    assert_eq!(failing.0.load(Ordering::SeqCst), 2, "once a quarter of an hour");
    world.heads.put_branches(vec![heads(&[("main", "a")])]);
    assert_eq!(world.reconcile().await, 0, "the first look only looks");
    world.heads.put_branches(vec![heads(&[("main", "b")])]);
    assert_eq!((world.poll().await, world.reconcile().await), (0, 1));
}

/// A branch that is set back and pushed again makes the same move twice.
#[tokio::test]
async fn a_polled_branch_that_goes_back_and_forth() {
    let world = world();
    world.create(pipeline("p", "CodeCommit", json!({ "RepositoryName": "app", "BranchName": "main" }))).await;
    for (commit, started) in [("a", 0), ("b", 1), ("a", 1), ("b", 1), ("b", 0), ("a", 1)] {
        world.heads.put_branches(vec![heads(&[("main", commit)])]);
        assert_eq!(world.poll().await, started, "{commit}");
    }
}

/// The deletion was told, and that the branch is there again was missed.
#[tokio::test]
async fn a_look_finds_a_branch_that_is_there_again() {
    let world = world();
    let arn = world.github().await;
    world.create(git_pipeline("p", &arn, None)).await;
    world.heads.put_branches(vec![heads(&[("main", "a")])]);
    world.poll().await;
    assert_eq!(world.pushed(&arn, "a..b", "1").await.started.len(), 1);
    world.heads.put_branches(vec![heads(&[])]);
    world.pushed(&arn, "b..", "2").await;
    assert_eq!(world.reconcile().await, 0);
    world.heads.put_branches(vec![heads(&[("main", "b")])]);
    assert_eq!((world.reconcile().await, world.reconcile().await), (1, 0));
    assert_eq!(world.pushed(&arn, "..b", "3").await.repeated, 1);
    assert!(world.executions().await[1].origin.as_ref().unwrap().before.as_ref().unwrap().starts_with("000"));
}

/// A webhook that was missed does not come again.
#[tokio::test]
async fn missed_pushes_are_found_every_quarter_of_an_hour() {
    let world = world();
    let arn = world.github().await;
    let filters = json!({ "push": [{ "branches": { "includes": ["main", "release/*"] } }] });
    world.create(git_pipeline("p", &arn, Some(filters))).await;
    world.heads.put_branches(vec![heads(&[("main", "a"), ("topic", "t")])]);
    assert_eq!(world.poll().await, 0, "the first look only looks");
    let asked = world.heads.asked();
    assert_eq!((world.poll().await, world.heads.asked()), (0, asked), "it is not a quarter of an hour yet");
    // Told by webhook, and seen: once.
    assert_eq!(world.pushed(&arn, "a..b", "1").await.started.len(), 1);
    world.heads.put_branches(vec![heads(&[("main", "b")])]);
    assert_eq!(world.reconcile().await, 0);
    // Missed; the webhook comes after all: once.
    world.heads.put_branches(vec![heads(&[("main", "c"), ("topic", "u")])]);
    assert_eq!(world.reconcile().await, 1);
    assert_eq!(world.pushed(&arn, "b..c", "2").await.repeated, 1);
    // Several pushes missed, of which the last comes late.
    world.heads.put_branches(vec![heads(&[("main", "e")])]);
    assert_eq!(world.reconcile().await, 1);
    assert_eq!(world.pushed(&arn, "d..e", "4").await.repeated, 1);
    assert_eq!(world.pushed(&arn, "e..f", "5").await.started.len(), 1);
    // A branch that is new.
    world.heads.put_branches(vec![heads(&[("main", "f"), ("release/1", "r"), ("topic", "v")])]);
    assert_eq!((world.reconcile().await, world.reconcile().await), (1, 0));
    let commits: Vec<_> = world.commits().await.into_iter().map(|(commit, _)| commit).collect();
    assert_eq!(commits, ["b", "c", "e", "f", "r"]);
    assert!(world.executions().await.iter().all(|execution| execution.trigger.kind == TriggerType::WebhookV2));
}

/// The branch was read, then a push came by webhook: what was read before does not set it back.
#[tokio::test]
async fn a_push_between_two_looks_is_not_undone() {
    let world = world();
    let arn = world.github().await;
    world.create(git_pipeline("p", &arn, None)).await;
    world.heads.put_branches(vec![heads(&[("main", "a")])]);
    world.poll().await;
    world.pushed(&arn, "a..b", "1").await;
    // A provider that still gives the older head at the first look, and the newer at the second.
    world.heads.put_branches(vec![heads(&[("main", "a")]), heads(&[("main", "b")])]);
    assert_eq!(world.reconcile().await, 0);
    let commits: Vec<_> = world.commits().await.into_iter().map(|(commit, _)| commit).collect();
    assert_eq!(commits, ["b"]);
}

/// Answers with what it saw before a push came by webhook.
struct Late<'a> {
    world: &'a World,
    arn: &'a str,
    looks: AtomicUsize,
}

#[async_trait::async_trait]
impl SourceHeads for Late<'_> {
    async fn object(&self, _: &PolledSource) -> Result<Option<ObjectHead>, PortError> {
        Ok(None)
    }

    async fn branches(&self, _: &PolledSource, _: Option<&str>) -> Result<Vec<BranchHead>, PortError> {
        if self.looks.fetch_add(1, Ordering::SeqCst) == 1 {
            assert_eq!(self.world.pushed(self.arn, "b..d", "2").await.started.len(), 1);
        }
        Ok(heads(&[("main", "b")]))
    }
}

/// A push came while the branch was being looked at: what was seen before it is not run after it.
#[tokio::test]
async fn a_push_during_a_look_is_not_followed_by_an_older_commit() {
    let world = world();
    let arn = world.github().await;
    let mut queued = git_pipeline("p", &arn, None);
    queued["executionMode"] = json!("QUEUED");
    world.create(queued).await;
    world.heads.put_branches(vec![heads(&[("main", "a")])]);
    world.poll().await;
    world.pass_minutes(15);
    let late = Late { world: &world, arn: &arn, looks: AtomicUsize::new(0) };
    assert!(world.control.poll_sources(&late).await.unwrap().started.is_empty());
    assert_eq!(late.looks.load(Ordering::SeqCst), 2);
    let commits: Vec<_> = world.commits().await.into_iter().map(|(commit, _)| commit).collect();
    assert_eq!(commits, ["d"]);
}

/// File paths cannot be judged where nobody tells the files.
#[tokio::test]
async fn reconciliation_honours_file_paths() {
    let filters =
        json!({ "push": [{ "branches": { "includes": ["main"] }, "filePaths": { "includes": ["doc/**"] } }] });
    for (files, starts) in [(None, 0), (Some(vec!["doc/x"]), 1), (Some(vec!["src/x"]), 0)] {
        let world = super::world::world_with(files, 300);
        let arn = world.github().await;
        world.create(git_pipeline("p", &arn, Some(filters.clone()))).await;
        world.heads.put_branches(vec![heads(&[("main", "a")])]);
        world.poll().await;
        world.heads.put_branches(vec![heads(&[("main", "b")])]);
        assert_eq!(world.reconcile().await, starts);
    }
}
