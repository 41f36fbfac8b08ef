//! Deliveries: from whom they must be, once, and with the commit that they say.

use control::connections::Provider;
use control::rows::Task;
use control::webhooks::{Accepted, FilterRule, MAX_WEBHOOK_BYTES, NewWebhook, WebhookError};
use engine::triggers::{PullRequestEvent, RepositoryChange};
use hmac::{Hmac, KeyInit, Mac};
use model::{ExecutionStatus, TriggerType};
use serde_json::{Value, json};

use super::world::{SECRET, World, git_pipeline, pipeline, s3, world};

const PEER: &str = "192.0.2.7";
const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const ZERO: &str = "0000000000000000000000000000000000000000";

fn sha256(secret: &str, body: &[u8]) -> String {
    let mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(body).finalize();
    format!("sha256={}", hex(&mac.into_bytes()))
}

fn sha1(secret: &str, body: &[u8]) -> String {
    let mac = Hmac::<sha1::Sha1>::new_from_slice(secret.as_bytes()).unwrap().chain_update(body).finalize();
    format!("sha1={}", hex(&mac.into_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn github_push(git_ref: &str, before: &str, after: &str) -> Value {
    json!({
        "ref": git_ref, "before": before, "after": after, "created": before == ZERO, "deleted": after == ZERO,
        "forced": false, "repository": { "full_name": "owner/repo" }, "pusher": { "name": "ada" },
        "commits": [
            { "id": A, "added": ["src/new.rs"], "removed": [], "modified": ["doc/a.md"] },
            { "id": after, "added": [], "removed": ["old.txt"], "modified": ["doc/a.md"] }],
        "head_commit": if after == ZERO { Value::Null } else { json!({ "id": after, "message": "Do it",
            "timestamp": "2026-11-24T10:00:00Z",
            "author": { "name": "Ada", "email": "ada@example.org", "username": "ada" } }) }
    })
}

impl World {
    /// A genuine delivery of GitHub.
    async fn github_sends(&self, hook: &str, event: &str, body: &Value) -> Accepted {
        let body = body.to_string();
        let signature = sha256(SECRET, body.as_bytes());
        self.accept(hook, &[("x-github-event", event), ("x-hub-signature-256", &signature)], body.as_bytes(), PEER)
            .await
    }

    async fn put(&self, change: impl FnOnce(&mut NewWebhook)) -> Result<String, WebhookError> {
        let mut new = NewWebhook {
            name: "hook".into(),
            target_pipeline: "p".into(),
            target_action: "Src".into(),
            filters: vec![],
            authentication: "UNAUTHENTICATED".into(),
            secret_token: None,
            allowed_ip_range: None,
            tags: None,
        };
        change(&mut new);
        Ok(self.control.put_webhook(new).await?.hook)
    }
}

fn rule(path: &str, equals: Option<&str>) -> FilterRule {
    FilterRule { json_path: path.into(), match_equals: equals.map(str::to_owned) }
}

fn signed(new: &mut NewWebhook) {
    new.authentication = "GITHUB_HMAC".into();
    new.secret_token = Some(SECRET.into());
}

#[tokio::test]
async fn a_signed_push_starts_the_pipeline_once() {
    let world = world();
    let made = world.connection(Provider::GitHub, |_| {}).await;
    let hook = made.connection.hook.as_str();
    let arn = world.control.connection_arn(&made.connection.id);
    let filters =
        json!({ "push": [{ "branches": { "includes": ["main"] }, "filePaths": { "includes": ["doc/**"] } }] });
    world.create(git_pipeline("p", &arn, Some(filters))).await;
    let body = github_push("refs/heads/main", A, B);
    assert_eq!(world.github_sends(hook, "push", &body).await, Accepted::Stored);
    assert_eq!(world.github_sends(hook, "push", &body).await, Accepted::Repeated);
    // The same bytes under another header are the same delivery.
    assert_eq!(world.github_sends(hook, "pull_request", &body).await.status(), 400);
    let rows = world.webhook_rows();
    assert_eq!(rows.len(), 1);
    let Task::Webhook(delivery) = &rows[0].task else { panic!() };
    // Matched twice, as after a crash: once.
    assert_eq!(world.control.match_delivery(&rows[0], delivery).await.unwrap().started.len(), 1);
    assert_eq!(world.control.match_delivery(&rows[0], delivery).await.unwrap().repeated, 1);
    assert_eq!(world.github_sends(hook, "push", &body).await, Accepted::Repeated);
    let execution = world.executions().await.remove(0);
    assert_eq!((execution.trigger.kind, execution.trigger.detail.as_str()), (TriggerType::WebhookV2, arn.as_str()));
    let origin = execution.origin.unwrap();
    assert_eq!((origin.before.as_deref(), origin.after.as_deref()), (Some(A), Some(B)));
    let expected = json!({
        "provider-type": "GitHub", "full-repository-name": "owner/repo", "connection-arn": arn, "branch-name": "main",
        "commit-id": B, "commit-message": "Do it", "author-display-name": "Ada", "author-email": "ada@example.org",
        "author-id": "ada", "author-date": "2026-11-24T10:00:00Z"
    });
    assert_eq!(json!(origin.trigger), expected);
    // No row is left, and no body anywhere.
    for (key, stored) in world.table.items() {
        let text = String::from_utf8_lossy(&stored.body);
        assert!(!key.pk.contains("/w/") || !text.contains("Webhook"), "{key:?}");
        assert!(!text.contains("pusher"), "{key:?}");
    }
}

#[tokio::test]
async fn deliveries_are_forgotten_and_still_start_nothing_twice() {
    let world = world();
    let made = world.connection(Provider::GitHub, |_| {}).await;
    let arn = world.control.connection_arn(&made.connection.id);
    world.create(git_pipeline("p", &arn, None)).await;
    world.create(pipeline("q", "S3", s3(json!({})))).await;
    let open = world.put(|new| new.target_pipeline = "q".into()).await.unwrap();
    let body = github_push("refs/heads/main", A, B);
    let send = async || world.github_sends(&made.connection.hook, "push", &body).await;
    assert_eq!(send().await, Accepted::Stored);
    for n in 0..100 {
        world.accept(&open, &[], format!("{{\"n\":{n}}}").as_bytes(), PEER).await;
    }
    world.matched().await;
    world.pass_minutes(29 * 24 * 60);
    assert_eq!(world.control.forget_deliveries().await.unwrap(), 0);
    assert_eq!(send().await, Accepted::Repeated);
    world.pass_minutes(2 * 24 * 60);
    assert_eq!(world.control.forget_deliveries().await.unwrap(), 101);
    assert_eq!(send().await, Accepted::Stored);
    let again = world.matched().await;
    assert_eq!((again.started.len(), again.repeated), (0, 1));
}

/// Set back and pushed again: another delivery, which says the same move.
#[tokio::test]
async fn the_same_move_twice_is_two_pushes() {
    let world = world();
    let made = world.connection(Provider::GitHub, |_| {}).await;
    let arn = world.control.connection_arn(&made.connection.id);
    world.create(git_pipeline("p", &arn, None)).await;
    for (time, before, after) in [(1, A, B), (2, B, A), (3, A, B)] {
        let mut body = github_push("refs/heads/main", before, after);
        body["repository"]["pushed_at"] = json!(time);
        assert_eq!(world.github_sends(&made.connection.hook, "push", &body).await, Accepted::Stored);
        assert_eq!(world.matched().await.started.len(), 1, "{time}");
    }
}

#[tokio::test]
async fn forged_deliveries_are_refused_without_saying_why() {
    let world = world();
    let hook = world.connection(Provider::GitHub, |_| {}).await.connection.hook;
    let text = github_push("refs/heads/main", A, B).to_string();
    let body = text.as_bytes();
    let good = sha256(SECRET, body);
    let flipped = good.replace(|c: char| c.is_ascii_digit(), "0");
    let forged: &[&[(&str, &str)]] = &[
        &[],
        &[("x-hub-signature-256", "")],
        &[("x-hub-signature-256", "sha256=")],
        &[("x-hub-signature-256", &good["sha256=".len()..])],
        &[("x-hub-signature-256", &good[..good.len() - 2])],
        &[("x-hub-signature-256", &flipped)],
        &[("x-hub-signature-256", &sha256("another secret", body))],
        // A connection takes nothing older, and one signature only.
        &[("x-hub-signature", &sha1(SECRET, body))],
        &[("x-hub-signature-256", &good), ("x-hub-signature-256", &good)],
    ];
    for headers in forged {
        let headers = [&[("x-github-event", "push")], *headers].concat();
        let answer = world.accept(&hook, &headers, body, PEER).await;
        assert_eq!((answer.status(), answer.text()), (401, "unauthorized"), "{headers:?}");
    }
    let changed = text.replace("Do it", "Do It");
    let headers = [("x-github-event", "push"), ("x-hub-signature-256", good.as_str())];
    assert_eq!(world.accept(&hook, &headers, changed.as_bytes(), PEER).await.status(), 401);
    assert_eq!(world.accept("0123456789abcdef0123456789abcdef", &headers, body, PEER).await.status(), 404);
    assert_eq!(world.accept("../names", &headers, body, PEER).await.status(), 404);
    assert_eq!(world.accept(&hook, &headers, &vec![b' '; MAX_WEBHOOK_BYTES + 1], PEER).await.status(), 413);
    assert!(world.webhook_rows().is_empty());
    assert_eq!(world.accept(&hook, &headers, body, PEER).await, Accepted::Stored, "the genuine one is taken");
}

#[tokio::test]
async fn genuine_deliveries_that_say_nothing_to_start() {
    let world = world();
    let hook = world.connection(Provider::GitHub, |_| {}).await.connection.hook;
    assert_eq!(world.github_sends(&hook, "ping", &json!({ "zen": "x" })).await, Accepted::Nothing);
    assert_eq!(world.github_sends(&hook, "issues", &json!({ "action": "opened" })).await, Accepted::Nothing);
    let labelled = json!({ "action": "labeled", "repository": { "full_name": "owner/repo" } });
    assert_eq!(world.github_sends(&hook, "pull_request", &labelled).await, Accepted::Nothing);
    let lacking = world.github_sends(&hook, "push", &json!({ "ref": "refs/heads/main" })).await;
    assert_eq!(lacking, Accepted::Unreadable("the payload has no /after".into()));
    let signature = sha256(SECRET, b"{");
    let broken = world.accept(&hook, &[("x-hub-signature-256", &signature)], b"{", PEER).await;
    assert_eq!(broken.status(), 400);
    // As a form: signed is the form.
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("payload", &github_push("refs/heads/main", A, B).to_string())
        .finish();
    let headers = [
        ("x-github-event", "push"),
        ("content-type", "application/x-www-form-urlencoded"),
        ("x-hub-signature-256", &sha256(SECRET, form.as_bytes())),
    ];
    assert_eq!(world.accept(&hook, &headers, form.as_bytes(), PEER).await, Accepted::Stored);
}

/// The changes that a provider's payload is read as.
async fn changes(provider: Provider, headers: &[(&str, &str)], body: Value) -> Vec<RepositoryChange> {
    let world = world();
    let hook = world.connection(provider, |_| {}).await.connection.hook;
    let text = body.to_string();
    let signature = sha256(SECRET, text.as_bytes());
    let mut all =
        vec![("x-hub-signature", signature.as_str()), ("x-hub-signature-256", &signature), ("x-gitlab-token", SECRET)];
    all.extend(headers);
    let answer = world.accept(&hook, &all, text.as_bytes(), PEER).await;
    if answer == Accepted::Nothing {
        return Vec::new();
    }
    assert_eq!(answer, Accepted::Stored);
    let stored = world.table.items().into_iter().find(|(key, _)| key.pk.contains("/deliveries/")).unwrap().1;
    let stored: control::webhooks::StoredDelivery = control::stored::decode(&stored.body, "it").unwrap();
    let control::webhooks::Content::Changes(events) = stored.content else { panic!() };
    assert!(events.iter().all(|event| event.repository == "owner/repo" && event.provider == provider.as_str()));
    events.into_iter().map(|event| event.change).collect()
}

async fn one_push(provider: Provider, headers: &[(&str, &str)], body: Value) -> engine::triggers::Push {
    match changes(provider, headers, body).await.remove(0) {
        RepositoryChange::Push(push) => push,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn githubs_payloads() {
    let event = [("x-github-event", "push")];
    let push = one_push(Provider::GitHub, &event, github_push("refs/heads/main", A, B)).await;
    assert_eq!(push.files.unwrap(), ["src/new.rs", "doc/a.md", "old.txt"]);
    assert!(one_push(Provider::GitHub, &event, github_push("refs/heads/x", ZERO, B)).await.created());
    let gone = one_push(Provider::GitHub, &event, github_push("refs/heads/x", A, ZERO)).await;
    assert!(gone.deleted() && gone.commit.is_none());
    let mut forced = github_push("refs/heads/x", A, B);
    forced["forced"] = json!(true);
    assert_eq!(one_push(Provider::GitHub, &event, forced).await.files, None, "a branch set back says no files");
    let mut tag = github_push("refs/tags/v1", ZERO, A);
    tag["head_commit"]["id"] = json!(B);
    assert_eq!(one_push(Provider::GitHub, &event, tag).await.commit_id(), Some(B), "the commit, not the tag");
    let request = |action: &str, from: Value| {
        json!({ "action": action, "number": 5, "repository": { "full_name": "owner/repo" },
            "pull_request": { "number": 5, "title": "T", "user": { "login": "ada" },
                "head": { "ref": "topic", "sha": B, "repo": from },
                "base": { "ref": "main", "repo": { "full_name": "owner/repo" } } } })
    };
    let home = json!({ "full_name": "owner/repo" });
    let event = [("x-github-event", "pull_request")];
    for (action, from, expected, is_fork) in [
        ("opened", home.clone(), PullRequestEvent::Open, false),
        ("synchronize", home.clone(), PullRequestEvent::Updated, false),
        ("closed", json!({ "full_name": "mallory/repo" }), PullRequestEvent::Closed, true),
        ("reopened", Value::Null, PullRequestEvent::Open, true),
    ] {
        let found = changes(Provider::GitHub, &event, request(action, from)).await;
        let [RepositoryChange::PullRequest(found)] = &found[..] else { panic!("{found:?}") };
        assert_eq!((found.event, found.from_fork, found.head.id.as_str()), (expected, is_fork, B));
        assert_eq!((found.source_branch.as_str(), found.target_branch.as_str(), found.number), ("topic", "main", 5));
    }
}

#[tokio::test]
async fn gitlabs_payloads() {
    let push = |total: u64| {
        json!({ "object_kind": "push", "ref": "refs/heads/main", "before": A, "after": B, "checkout_sha": B,
            "user_username": "ada", "project": { "path_with_namespace": "owner/repo" }, "total_commits_count": total,
            "commits": [{ "id": B, "message": "Do it", "timestamp": "t", "author": { "name": "Ada", "email": "a@b" },
                "added": ["a"], "modified": ["b"], "removed": ["c"] }] })
    };
    let whole = one_push(Provider::GitLab, &[], push(1)).await;
    assert_eq!(whole.files.unwrap(), ["a", "c", "b"]);
    assert_eq!(whole.commit.unwrap().author_email.as_deref(), Some("a@b"));
    assert_eq!(one_push(Provider::GitLab, &[], push(21)).await.files, None, "it tells of twenty commits only");
    let tag = json!({ "object_kind": "tag_push", "ref": "refs/tags/v1", "before": ZERO, "after": A, "checkout_sha": B,
        "project": { "path_with_namespace": "owner/repo" }, "commits": [], "total_commits_count": 0 });
    assert_eq!(one_push(Provider::GitLabSelfManaged, &[], tag).await.commit_id(), Some(B));
    let merge = |action: &str, oldrev: Value, from: u64| {
        json!({ "object_kind": "merge_request", "user": { "username": "ada" },
            "project": { "path_with_namespace": "owner/repo" },
            "object_attributes": { "iid": 3, "action": action, "oldrev": oldrev, "title": "T", "source_branch": "topic",
                "target_branch": "main", "source_project_id": from, "target_project_id": 1, "last_commit": { "id": B } } })
    };
    for (action, oldrev, expected) in [
        ("open", Value::Null, Some(PullRequestEvent::Open)),
        ("update", json!(A), Some(PullRequestEvent::Updated)),
        ("update", Value::Null, None),
        ("merge", Value::Null, Some(PullRequestEvent::Closed)),
        ("approved", Value::Null, None),
    ] {
        let found = changes(Provider::GitLab, &[], merge(action, oldrev, 2)).await;
        let found = found.first().map(|change| match change {
            RepositoryChange::PullRequest(request) => (request.event, request.from_fork),
            other => panic!("{other:?}"),
        });
        assert_eq!(found, expected.map(|expected| (expected, true)), "{action}");
    }
    let world = world();
    let hook = world.connection(Provider::GitLab, |_| {}).await.connection.hook;
    for token in ["", "wrong", &format!("{SECRET}x"), &SECRET[..5]] {
        assert_eq!(world.accept(&hook, &[("x-gitlab-token", token)], b"{}", PEER).await.status(), 401, "{token}");
    }
}

#[tokio::test]
async fn bitbuckets_payloads() {
    let side = |kind: &str, name: &str, hash: &str| {
        json!({ "type": kind, "name": name, "target": { "hash": hash, "message": "Do it", "date": "t",
            "author": { "raw": "Ada <a@b>", "user": { "display_name": "Ada", "nickname": "ada" } } } })
    };
    let body = json!({ "repository": { "full_name": "owner/repo" }, "push": { "changes": [
        { "old": side("branch", "main", A), "new": side("branch", "main", B), "forced": false },
        { "old": null, "new": side("tag", "v1", B), "created": true },
        { "old": side("branch", "topic", A), "new": null, "closed": true } ] } });
    let found = changes(Provider::Bitbucket, &[("x-event-key", "repo:push")], body).await;
    let refs: Vec<_> = found
        .iter()
        .map(|change| match change {
            RepositoryChange::Push(push) => (push.git_ref.as_str(), push.created(), push.deleted()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        refs,
        [("refs/heads/main", false, false), ("refs/tags/v1", true, false), ("refs/heads/topic", false, true)]
    );
    let request = json!({ "repository": { "full_name": "owner/repo" }, "pullrequest": { "id": 4, "title": "T",
        "source": { "branch": { "name": "topic" }, "commit": { "hash": "b1b2" }, "repository": { "full_name": "owner/repo" } },
        "destination": { "branch": { "name": "main" }, "repository": { "full_name": "owner/repo" } } } });
    for (key, count) in [("pullrequest:created", 1), ("pullrequest:fulfilled", 1), ("pullrequest:rejected", 0)] {
        assert_eq!(changes(Provider::Bitbucket, &[("x-event-key", key)], request.clone()).await.len(), count, "{key}");
    }
}

fn gitlab_push(git_ref: &str, before: &str, after: &str) -> String {
    let id = if after == ZERO { Value::Null } else { json!(after) };
    json!({ "object_kind": if git_ref.starts_with("refs/tags/") { "tag_push" } else { "push" }, "ref": git_ref,
        "before": before, "after": after, "checkout_sha": id, "commits": [], "total_commits_count": 0,
        "project": { "path_with_namespace": "owner/repo" } })
    .to_string()
}

/// GitLab's payloads say no time: a tag that was deleted and made again, a branch that went back and forth.
#[tokio::test]
async fn the_same_bytes_of_gitlab_may_be_two_pushes() {
    for header in ["idempotency-key", "x-gitlab-event-uuid"] {
        let world = world();
        let made = world.connection(Provider::GitLab, |_| {}).await;
        let arn = world.control.connection_arn(&made.connection.id);
        let filters = json!({ "push": [{ "branches": { "includes": ["main"] } }, { "tags": { "includes": ["v*"] } }] });
        world.create(git_pipeline("p", &arn, Some(filters))).await;
        let send = async |id: &str, git_ref: &str, before: &str, after: &str| {
            let headers = [("x-gitlab-token", SECRET), (header, id)];
            let body = gitlab_push(git_ref, before, after);
            let accepted = world.accept(&made.connection.hook, &headers, body.as_bytes(), PEER).await;
            (accepted, world.matched().await.started.len())
        };
        let (tag, main) = ("refs/tags/v1", "refs/heads/main");
        for (id, git_ref, before, after, started) in [
            ("1", tag, ZERO, A, 1),
            ("2", tag, A, ZERO, 0),
            ("3", tag, ZERO, A, 1),
            ("4", main, A, B, 1),
            ("5", main, B, A, 1),
            ("6", main, A, B, 1),
        ] {
            assert_eq!(send(id, git_ref, before, after).await, (Accepted::Stored, started), "{header} {id}");
            assert_eq!(send(id, git_ref, before, after).await, (Accepted::Repeated, 0), "{header} {id}");
        }
        // Events that follow from one another share an id.
        assert_eq!(send("6", main, B, A).await, (Accepted::Stored, 1));
    }
}

/// Bitbucket's payloads say no time either, and only they are signed: one that comes again starts nothing by itself,
/// whatever id it comes with. But the branch is looked at.
#[tokio::test]
async fn the_same_bytes_of_bitbucket_have_the_branch_looked_at() {
    let world = world();
    let made = world.connection(Provider::Bitbucket, |_| {}).await;
    let arn = world.control.connection_arn(&made.connection.id);
    world.create(git_pipeline("p", &arn, None)).await;
    let stands_at = |commit: &str| {
        let head = control::sources::BranchHead {
            branch: "main".into(),
            commit: engine::triggers::Commit { id: commit.into(), ..Default::default() },
        };
        world.heads.put_branches(vec![vec![head]]);
    };
    let poll = async || {
        world.pass_minutes(1);
        world.control.poll_sources(&world.heads).await.unwrap().started.len()
    };
    let send = async |id: &str, before: &str, after: &str| {
        let side = |hash: &str| json!({ "type": "branch", "name": "main", "target": { "hash": hash } });
        let change = json!({ "old": side(before), "new": side(after) });
        let body = json!({ "repository": { "full_name": "owner/repo" }, "push": { "changes": [change] } }).to_string();
        let signature = sha256(SECRET, body.as_bytes());
        let headers = [("x-hub-signature", signature.as_str()), ("x-event-key", "repo:push"), ("x-request-uuid", id)];
        let accepted = world.accept(&made.connection.hook, &headers, body.as_bytes(), PEER).await;
        (accepted, world.matched().await.started.len())
    };
    stands_at(A);
    assert_eq!(poll().await, 0);
    assert_eq!(send("1", A, B).await, (Accepted::Stored, 1));
    assert_eq!(send("2", B, A).await, (Accepted::Stored, 1));
    // Somebody sends a recorded one: nothing, however often.
    assert_eq!(send("3", A, B).await, (Accepted::Repeated, 0));
    assert_eq!((poll().await, poll().await), (0, 0));
    // It is pushed indeed.
    stands_at(B);
    assert_eq!(send("4", A, B).await, (Accepted::Repeated, 0));
    assert_eq!((poll().await, poll().await), (1, 0));
    let commits: Vec<_> = world.commits().await.into_iter().map(|(commit, _)| commit).collect();
    assert_eq!(commits, [B, A, B]);
}

fn v1_pipeline() -> Value {
    let settings = json!({ "Owner": "owner", "Repo": "repo", "Branch": "main", "OAuthToken": "x" });
    let mut declared = pipeline("p", "GitHub", settings);
    declared["pipelineType"] = json!("V1");
    declared
}

#[tokio::test]
async fn a_webhook_of_put_webhook_runs_exactly_the_pushed_commit() {
    let world = world();
    world.create(v1_pipeline()).await;
    let hook = world
        .put(|new| {
            signed(new);
            new.filters = vec![rule("$.ref", Some("refs/heads/{Branch}")), rule("$.head_commit", None)];
        })
        .await
        .unwrap();
    assert_eq!(world.github_sends(&hook, "push", &github_push("refs/heads/main", A, B)).await, Accepted::Stored);
    assert_eq!(world.github_sends(&hook, "push", &github_push("refs/heads/topic", A, B)).await, Accepted::Stored);
    assert_eq!(world.github_sends(&hook, "ping", &json!({})).await, Accepted::Nothing);
    let received = world.matched().await;
    assert_eq!((received.started.len(), received.passed.len()), (1, 1), "{received:?}");
    let execution = world.executions().await.remove(0);
    assert_eq!(execution.trigger.kind, TriggerType::Webhook);
    assert_eq!(execution.trigger.detail, "arn:aws:codepipeline:eu-west-1:123456789012:webhook:hook");
    let origin = execution.origin.unwrap();
    assert_eq!((origin.after.as_deref(), origin.trigger.is_empty()), (Some(B), true));
    let (listed, _) = world.control.list_webhooks(None, 10).await.unwrap();
    assert!(listed[0].1.is_some());
}

/// The deletion starts nothing, whatever the filters say of it.
#[tokio::test]
async fn a_branch_of_a_webhook_that_was_deleted_and_pushed_again_starts_again() {
    for filters in [vec![rule("$.ref", Some("refs/heads/{Branch}"))], vec![rule("$.head_commit.id", None)]] {
        for mode in ["SUPERSEDED", "QUEUED", "PARALLEL"] {
            let world = world();
            let mut declared = v1_pipeline();
            declared["pipelineType"] = json!("V2");
            declared["executionMode"] = json!(mode);
            world.create(declared).await;
            let filters = filters.clone();
            let hook = world
                .put(|new| {
                    signed(new);
                    new.filters = filters;
                })
                .await
                .unwrap();
            for (time, before, after, started) in [(1, ZERO, A, 1), (2, A, B, 1), (3, B, ZERO, 0), (4, ZERO, A, 1)] {
                let mut body = github_push("refs/heads/main", before, after);
                body["repository"]["pushed_at"] = json!(time);
                assert_eq!(world.github_sends(&hook, "push", &body).await, Accepted::Stored);
                assert_eq!(world.matched().await.started.len(), started, "{mode} {time}");
            }
            assert_eq!(world.commits().await[2], (A.to_owned(), ExecutionStatus::InProgress), "{mode}");
        }
    }
}

/// "SHA-256 whenever present, no fallback."
#[tokio::test]
async fn sha1_counts_only_where_nothing_newer_is_sent() {
    let world = world();
    world.create(v1_pipeline()).await;
    let hook = world.put(signed).await.unwrap();
    let send = async |body: &str, headers: &[(&str, &str)]| world.accept(&hook, headers, body.as_bytes(), PEER).await;
    let (old, new) = (|body: &str| sha1(SECRET, body.as_bytes()), |body: &str| sha256(SECRET, body.as_bytes()));
    assert_eq!(send("{\"n\":1}", &[("x-hub-signature", &old("{\"n\":1}"))]).await, Accepted::Stored);
    assert_eq!(send("{\"n\":2}", &[("x-hub-signature-256", &new("{\"n\":2}"))]).await, Accepted::Stored);
    let both = [("x-hub-signature", old("{\"n\":3}")), ("x-hub-signature-256", new("other"))];
    let both: Vec<(&str, &str)> = both.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(send("{\"n\":3}", &both).await, Accepted::Forbidden);
    assert_eq!(send("{\"n\":4}", &[("x-hub-signature", &old("other"))]).await, Accepted::Forbidden);
    assert_eq!(send("{\"n\":5}", &[]).await, Accepted::Forbidden);
}

#[tokio::test]
async fn addresses_are_the_connections_own() {
    let world = world();
    world.create(pipeline("p", "S3", s3(json!({})))).await;
    let range = |range: &'static str| {
        move |new: &mut NewWebhook| {
            new.authentication = "IP".into();
            new.allowed_ip_range = Some(range.into());
        }
    };
    let hook = world.put(range("192.0.2.0/24")).await.unwrap();
    assert_eq!(world.accept(&hook, &[], b"{\"n\":1}", "192.0.2.200").await, Accepted::Stored);
    assert_eq!(world.accept(&hook, &[], b"{\"n\":2}", "::ffff:192.0.2.200").await, Accepted::Stored);
    let pretends = [("x-forwarded-for", "192.0.2.200")];
    assert_eq!(world.accept(&hook, &pretends, b"{\"n\":3}", "198.51.100.1").await, Accepted::Forbidden);
    assert_eq!(world.put(range("2001:db8::/32")).await.unwrap(), hook, "a change keeps the URL");
    assert_eq!(world.accept(&hook, &[], b"{\"n\":4}", "2001:db8::9").await, Accepted::Stored);
    assert_eq!(world.accept(&hook, &[], b"{\"n\":5}", "192.0.2.200").await, Accepted::Forbidden);
}

/// Unsigned deliveries are told apart by the sender's own id, where there is one.
#[tokio::test]
async fn an_unauthenticated_hook_is_known_by_its_url_alone() {
    let world = world();
    world.create(pipeline("p", "S3", s3(json!({})))).await;
    let hook = world.put(|_| {}).await.unwrap();
    assert_eq!(hook.len(), 32);
    let send = async |id: Option<&str>| {
        let headers: Vec<_> = id.map(|id| ("x-github-delivery", id)).into_iter().collect();
        world.accept(&hook, &headers, b"{}", PEER).await
    };
    assert_eq!((send(None).await, send(None).await), (Accepted::Stored, Accepted::Repeated));
    assert_eq!((send(Some("1")).await, send(Some("1")).await), (Accepted::Stored, Accepted::Repeated));
    assert_eq!(send(Some("2")).await, Accepted::Stored);
    assert_eq!(world.matched().await.started.len(), 3);
    world.control.delete_webhook("hook").await.unwrap();
    assert_eq!(send(Some("3")).await, Accepted::Unknown);
    world.control.delete_webhook("hook").await.unwrap();
    assert_ne!(world.put(|_| {}).await.unwrap(), hook, "made anew, it has another URL");
}

#[tokio::test]
async fn filters_must_all_hold() {
    let body =
        json!({ "ref": "refs/heads/main", "n": 7, "ok": true, "list": [{ "v": "a" }, { "v": "b" }], "none": null });
    let rows: &[(&str, Option<&str>, bool)] = &[
        ("$.ref", Some("refs/heads/{Branch}"), true),
        ("$.ref", Some("{Repo}"), false),
        ("$.n", Some("7"), true),
        ("$.ok", Some("true"), true),
        ("$.list[*].v", Some("b"), true),
        ("$.list[*].v", Some("c"), false),
        ("$.list[?@.v == 'a'].v", Some("a"), true),
        ("$.none", None, true),
        ("$.missing", None, false),
        ("$.missing", Some(""), false),
        ("$['ref']", None, true),
    ];
    for (path, equals, holds) in rows {
        let world = world();
        world.create(v1_pipeline()).await;
        let hook = world.put(|new| new.filters = vec![rule("$.ref", None), rule(path, *equals)]).await.unwrap();
        world.accept(&hook, &[], body.to_string().as_bytes(), PEER).await;
        assert_eq!(world.matched().await.started.len(), usize::from(*holds), "{path} {equals:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_a_webhook_is_refused() {
    let world = world();
    world.create(v1_pipeline()).await;
    let wrong: [fn(&mut NewWebhook); 6] = [
        |new| new.authentication = "GITHUB_HMAC".into(),
        |new| new.authentication = "IP".into(),
        |new| {
            new.authentication = "IP".into();
            new.allowed_ip_range = Some("192.0.2.0/99".into());
        },
        |new| new.secret_token = Some("x".into()),
        |new| new.allowed_ip_range = Some("192.0.2.0/24".into()),
        |new| {
            new.authentication = "GITHUB_HMAC".into();
            new.secret_token = Some("****".into());
        },
    ];
    for change in wrong {
        assert!(matches!(world.put(change).await, Err(WebhookError::Authentication(_))));
    }
    for filter in
        [rule("ref", None), rule("$.", None), rule("$.ref", Some("{Nope}")), rule("$.ref", Some("{OAuthToken}"))]
    {
        let refused = world.put(|new| new.filters = vec![filter.clone()]).await;
        assert!(matches!(refused, Err(WebhookError::Filter(_))), "{filter:?}");
    }
    assert!(matches!(world.put(|new| new.target_pipeline = "q".into()).await, Err(WebhookError::PipelineNotFound(_))));
    assert!(matches!(world.put(|new| new.target_action = "Sign".into()).await, Err(WebhookError::Invalid(_))));
    assert!(world.control.list_webhooks(None, 10).await.unwrap().0.is_empty());
    // "****" keeps the secret.
    let hook = world.put(signed).await.unwrap();
    world
        .put(|new| {
            signed(new);
            new.secret_token = Some("****".into());
        })
        .await
        .unwrap();
    assert_eq!(world.github_sends(&hook, "push", &github_push("refs/heads/main", A, B)).await, Accepted::Stored);
    world.put(|_| {}).await.unwrap();
    assert!(world.vault.names().is_empty(), "a secret that is not needed is not kept");
}
