//! Pushes and pull requests: once each, in whatever order they come, and with exactly their commit.

use control::ControlError;
use control::connections::Connection;
use control::intake::{ChangedFiles, SourceEvent, Told};
use control::ports::PortError;
use engine::triggers::{Commit, PullRequest, PullRequestEvent, RepositoryChange, RepositoryEvent};
use model::{ExecutionStatus, TriggerType};
use serde_json::json;

use super::world::{git_pipeline, push, world, world_with};

#[tokio::test]
async fn two_pushes_in_the_wrong_order_in_each_mode() {
    for (mode, old) in [
        ("SUPERSEDED", ExecutionStatus::Superseded),
        ("QUEUED", ExecutionStatus::InProgress),
        ("PARALLEL", ExecutionStatus::InProgress),
    ] {
        let world = world();
        let arn = world.github().await;
        let mut declared = git_pipeline("p", &arn, None);
        declared["executionMode"] = json!(mode);
        world.create(declared).await;
        assert_eq!(world.pushed(&arn, "b..c", "2").await.started.len(), 1);
        assert_eq!(world.pushed(&arn, "a..b", "1").await.started.len(), 1);
        let expected = [("c".to_owned(), ExecutionStatus::InProgress), ("b".to_owned(), old)];
        assert_eq!(world.commits().await, expected, "{mode}");
    }
}

#[tokio::test]
async fn a_push_starts_once_however_often_it_is_told() {
    let world = world();
    let arn = world.github().await;
    world.create(git_pipeline("p", &arn, None)).await;
    assert_eq!(world.pushed(&arn, "a..b", "1").await.started.len(), 1);
    // Delivered again, and told by a second hook.
    assert_eq!(world.pushed(&arn, "a..b", "1").await.repeated, 1);
    assert_eq!(world.pushed(&arn, "a..b", "other").await.repeated, 1);
    assert_eq!(world.pushed(&arn, "b..c", "2").await.started.len(), 1);
    // Late: the branch has moved on.
    assert_eq!(world.pushed(&arn, "a..b", "1").await.repeated, 1);
    assert_eq!(world.pushed(&arn, "a..b", "third").await.repeated, 1);
    // Set back and pushed again: that is new.
    assert_eq!(world.pushed(&arn, "c..b", "4").await.started.len(), 1);
    assert_eq!(world.pushed(&arn, "b..c", "5").await.started.len(), 1);
    let commits: Vec<_> = world.commits().await.into_iter().map(|(commit, _)| commit).collect();
    assert_eq!(commits, ["b", "c", "b", "c"]);
}

/// In no mode is it taken for the push that was seen before it was deleted, nor for an older one.
#[tokio::test]
async fn a_branch_or_tag_that_was_deleted_and_pushed_again_starts_again() {
    let filters = json!({ "push": [{ "branches": { "includes": ["main"] } }, { "tags": { "includes": ["v*"] } }] });
    for (git_ref, mode) in ["refs/heads/main", "refs/tags/v1"]
        .into_iter()
        .flat_map(|git_ref| ["SUPERSEDED", "QUEUED", "PARALLEL"].map(|mode| (git_ref, mode)))
    {
        let world = world();
        let arn = world.github().await;
        let mut declared = git_pipeline("p", &arn, Some(filters.clone()));
        declared["executionMode"] = json!(mode);
        world.create(declared).await;
        let told = async |moved: &str, delivery: &str| {
            world.tell(&arn, RepositoryChange::Push(push(git_ref, moved)), delivery).await.started.len()
        };
        assert_eq!((told("..a", "1").await, told("a..b", "2").await), (1, 1));
        assert_eq!((told("b..", "3").await, told("b..", "3").await), (0, 0));
        assert_eq!((told("..a", "4").await, told("b..", "3").await, told("..a", "4").await), (1, 0, 0));
        let commits = world.commits().await;
        let last = ("a".to_owned(), ExecutionStatus::InProgress);
        assert_eq!((commits.len(), commits.last()), (3, Some(&last)), "{git_ref} {mode}");
    }
}

/// What a new branch changes cannot be told, so it starts nothing; what is pushed to it after that does.
#[tokio::test]
async fn a_branch_that_is_there_again_without_starting_anything() {
    let filters =
        json!({ "push": [{ "branches": { "includes": ["main"] }, "filePaths": { "includes": ["src/**"] } }] });
    let world = world();
    let arn = world.github().await;
    world.create(git_pipeline("p", &arn, Some(filters))).await;
    assert_eq!(world.pushed(&arn, "a..b", "1").await.started.len(), 1);
    for (moved, delivery) in [("b..", "2"), ("..a", "3")] {
        assert_eq!(world.pushed(&arn, moved, delivery).await.passed.len(), 1);
    }
    assert_eq!(world.pushed(&arn, "a..b", "4").await.started.len(), 1);
}

#[tokio::test]
async fn many_at_once_start_once() {
    let world = world();
    let arn = world.github().await;
    world.create(git_pipeline("p", &arn, None)).await;
    let told = async |delivery: &str| world.pushed(&arn, "a..b", delivery).await.started.len();
    let (one, two, three) = tokio::join!(told("1"), told("1"), told("2"));
    assert_eq!(one + two + three, 1);
    assert_eq!(world.executions().await.len(), 1);
}

#[tokio::test]
async fn executions_say_what_started_them() {
    let world = world();
    let arn = world.github().await;
    let filters = json!({ "push": [{ "branches": { "includes": ["main"] } }, { "tags": { "includes": ["v*"] } }] });
    world.create(git_pipeline("p", &arn, Some(filters))).await;
    let mut tag = push("refs/tags/v1", "..tagobject");
    tag.commit = Some(Commit { id: "c0ffee".into(), message: Some("Ship".into()), ..Commit::default() });
    world.tell(&arn, RepositoryChange::Push(tag), "1").await;
    let execution = world.executions().await.remove(0);
    assert_eq!((execution.trigger.kind, execution.trigger.detail.as_str()), (TriggerType::WebhookV2, arn.as_str()));
    let origin = execution.origin.unwrap();
    assert_eq!((origin.action.as_ref().unwrap().as_str(), origin.after.as_deref()), ("Src", Some("c0ffee")));
    assert_eq!((origin.trigger["tag-name"].as_str(), origin.trigger["commit-message"].as_str()), ("v1", "Ship"));
    assert!(!origin.trigger.contains_key("branch-name"));
}

/// Without a trigger, and in V1, pushes to the configured branch start, as those of any webhook.
#[tokio::test]
async fn the_default_trigger() {
    for kind in ["V1", "V2"] {
        let world = world();
        let arn = world.github().await;
        let mut declared = git_pipeline("p", &arn, None);
        declared["pipelineType"] = json!(kind);
        world.create(declared).await;
        let other = world.tell(&arn, RepositoryChange::Push(push("refs/heads/topic", "a..b")), "1").await;
        assert_eq!((other.started.len(), other.passed.len()), (0, 1));
        world.pushed(&arn, "a..b", "2").await;
        let execution = world.executions().await.remove(0);
        assert_eq!(execution.trigger.kind, TriggerType::Webhook);
        assert_eq!(execution.origin.unwrap().trigger.is_empty(), kind == "V1");
    }
}

#[tokio::test]
async fn file_paths_ask_the_provider_where_the_event_does_not_say() {
    let filters =
        json!({ "push": [{ "branches": { "includes": ["main"] }, "filePaths": { "includes": ["doc/**"] } }] });
    for (files, starts) in [(Some(vec!["doc/a.md"]), 1), (Some(vec!["src/a.rs"]), 0), (None, 0)] {
        let world = world_with(files.clone(), 300);
        let arn = world.github().await;
        world.create(git_pipeline("p", &arn, Some(filters.clone()))).await;
        let mut unknown = push("refs/heads/main", "a..b");
        unknown.files = None;
        let received = world.tell(&arn, RepositoryChange::Push(unknown), "1").await;
        assert_eq!(received.started.len(), starts, "{files:?}");
        // What the event says is not asked for.
        let said = world.pushed(&arn, "b..c", "2").await;
        assert_eq!(said.started.len(), 0);
    }
}

/// A git host that cannot say which files changed.
struct NoFiles;

#[async_trait::async_trait]
impl ChangedFiles for NoFiles {
    async fn changed_files(
        &self,
        _: Option<&Connection>,
        _: &RepositoryEvent,
    ) -> Result<Option<Vec<String>>, PortError> {
        Err(PortError::Unavailable("the git host".into()))
    }
}

/// It is told again, and then starts what it could not be judged for.
#[tokio::test]
async fn a_pipeline_whose_files_cannot_be_asked_for_keeps_no_other() {
    let filters =
        json!({ "push": [{ "branches": { "includes": ["main"] }, "filePaths": { "includes": ["doc/**"] } }] });
    let mut world = world_with(Some(vec!["doc/a.md"]), 300);
    let arn = world.github().await;
    for name in ["a", "b"] {
        world.create(git_pipeline(name, &arn, Some(filters.clone()))).await;
    }
    // Pipelines are gone through by their ids: some come after those.
    for name in ["c", "d", "e", "f", "g", "p"] {
        world.create(git_pipeline(name, &arn, None)).await;
    }
    let mut unknown = push("refs/heads/main", "a..b");
    unknown.files = None;
    let well = world.control.clone();
    world.control = well.clone().with_files(std::sync::Arc::new(NoFiles));
    let event = RepositoryEvent {
        provider: "GitHub".into(),
        connection: arn.clone(),
        repository: "owner/repo".into(),
        delivery: Some("1".into()),
        change: RepositoryChange::Push(unknown.clone()),
    };
    let failed = world.control.receive(&SourceEvent::Repository(event), &Told::default()).await;
    assert!(matches!(failed, Err(ControlError::Port(PortError::Unavailable(_)))), "{failed:?}");
    assert_eq!(world.executions().await.len(), 1);
    world.control = well;
    let again = world.tell(&arn, RepositoryChange::Push(unknown), "1").await;
    assert_eq!((again.started.len(), again.repeated), (2, 6), "{again:?}");
}

#[tokio::test]
async fn one_push_starts_every_pipeline_of_its_repository() {
    let world = world();
    let arn = world.github().await;
    for name in ["p", "q"] {
        world.create(git_pipeline(name, &arn, None)).await;
    }
    world.create(git_pipeline("docs", &arn, Some(json!({ "push": [{ "branches": { "includes": ["docs"] } }] })))).await;
    let received = world.pushed(&arn, "a..b", "1").await;
    assert_eq!(received.started.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["p", "q"]);
    assert_eq!(received.passed.len(), 1);
    // One that is full does not keep others.
    let mut queued = git_pipeline("p", &arn, None);
    queued["executionMode"] = json!("QUEUED");
    world.control.update_pipeline(super::world::declared(queued)).await.unwrap();
    for count in 0..50 {
        world.pushed(&arn, &format!("x{count}..y{count}"), &format!("d{count}")).await;
    }
    let full = world.pushed(&arn, "last..one", "full").await;
    assert_eq!((full.started.len(), full.passed.len()), (1, 2), "{full:?}");
}

fn request(from_fork: bool, event: PullRequestEvent) -> RepositoryChange {
    RepositoryChange::PullRequest(PullRequest {
        number: 12,
        event,
        title: Some("Add it".into()),
        source_branch: "topic".into(),
        target_branch: "main".into(),
        head: Commit { id: "head".into(), ..Commit::default() },
        from_fork,
        files: None,
    })
}

#[tokio::test]
async fn pull_requests_run_the_head_and_forks_need_leave() {
    let filters = json!({ "pullRequest": [{ "events": ["OPEN", "CLOSED"], "branches": { "includes": ["main"] } }] });
    let world = world();
    let made = world.connection(control::connections::Provider::GitHub, |new| new.allow_forks = true).await;
    let (strict, open) = (world.github().await, world.control.connection_arn(&made.connection.id));
    world.create(git_pipeline("p", &strict, Some(filters.clone()))).await;
    world.create(git_pipeline("q", &open, Some(filters))).await;
    assert_eq!(world.tell(&strict, request(true, PullRequestEvent::Open), "1").await.passed.len(), 1);
    assert_eq!(world.tell(&open, request(true, PullRequestEvent::Open), "1").await.started.len(), 1);
    assert_eq!(world.tell("arn:unknown", request(true, PullRequestEvent::Open), "1").await.started.len(), 0);
    assert_eq!(world.tell(&strict, request(false, PullRequestEvent::Updated), "2").await.started.len(), 0);
    assert_eq!(world.tell(&strict, request(false, PullRequestEvent::Open), "3").await.started.len(), 1);
    assert_eq!(world.tell(&strict, request(false, PullRequestEvent::Open), "3").await.repeated, 1);
    assert_eq!(world.tell(&strict, request(false, PullRequestEvent::Closed), "4").await.started.len(), 1);
    let execution = world.executions().await.remove(0);
    let origin = execution.origin.unwrap();
    assert_eq!(origin.after.as_deref(), Some("head"));
    assert_eq!((origin.trigger["pull-request-id"].as_str(), origin.trigger["commit-id"].as_str()), ("12", "head"));
}

/// Bitbucket names the head of a pull request by its first digits.
#[tokio::test]
async fn a_short_commit_id_is_completed() {
    let filters = json!({ "pullRequest": [{ "branches": { "includes": ["main"] } }] });
    let world = world_with(Some(vec![]), 300);
    let arn = world.github().await;
    world.create(git_pipeline("p", &arn, Some(filters))).await;
    world.tell(&arn, request(false, PullRequestEvent::Open), "1").await;
    assert_eq!(world.commits().await[0].0, format!("{:0<40}", "head"));
}

/// A declaration goes where its events are matched: made, changed and removed in one commit with it.
#[tokio::test]
async fn what_starts_a_pipeline_changes_with_it() {
    let world = world();
    let arn = world.github().await;
    world.create(git_pipeline("p", &arn, None)).await;
    assert_eq!(world.pointers(), [format!("git#{arn}#owner/repo")]);
    let filters = json!({ "push": [{ "branches": { "includes": ["next"] } }] });
    world.control.update_pipeline(super::world::declared(git_pipeline("p", &arn, Some(filters)))).await.unwrap();
    assert_eq!(world.pushed(&arn, "a..b", "1").await.started.len(), 0);
    let mut quiet = git_pipeline("p", &arn, None);
    quiet["stages"][0]["actions"][0]["configuration"]["DetectChanges"] = json!("false");
    world.control.update_pipeline(super::world::declared(quiet)).await.unwrap();
    assert!(world.pointers().is_empty() && world.polled().is_empty());
    world.control.update_pipeline(super::world::declared(git_pipeline("p", &arn, None))).await.unwrap();
    assert_eq!((world.pointers().len(), world.polled().len()), (1, 1));
    world.control.delete_pipeline(&"p".into()).await.unwrap();
    assert!(world.pointers().is_empty() && world.polled().is_empty());
    assert_eq!(world.pushed(&arn, "a..b", "2").await, Default::default());
}
