//! Bitbucket's push and pull request payloads.

use engine::triggers::{Commit, PullRequest, PullRequestEvent, Push, RepositoryChange};
use serde_json::Value;

use super::accept::{Unreadable, text};

/// What a delivery says: a push may move many refs.
pub(super) fn read(kind: &str, body: &Value) -> Result<Option<(String, Vec<RepositoryChange>)>, Unreadable> {
    let changes = match kind {
        "repo:push" => pushes(body)?.into_iter().map(RepositoryChange::Push).collect(),
        // Declining is no CLOSED (pipelines-triggers, "Pull request events for triggers by provider").
        "pullrequest:created" => vec![request(body, PullRequestEvent::Open)?],
        "pullrequest:updated" => vec![request(body, PullRequestEvent::Updated)?],
        "pullrequest:fulfilled" => vec![request(body, PullRequestEvent::Closed)?],
        _ => return Ok(None),
    };
    Ok(Some((text(body, "/repository/full_name")?, changes)))
}

fn pushes(body: &Value) -> Result<Vec<Push>, Unreadable> {
    let changes = body.pointer("/push/changes").and_then(Value::as_array).ok_or(Unreadable("/push/changes"))?;
    changes.iter().map(push).collect()
}

fn push(change: &Value) -> Result<Push, Unreadable> {
    let side = |name: &str| change.get(name).filter(|side| !side.is_null());
    let known = side("new").or_else(|| side("old")).ok_or(Unreadable("/push/changes/0/new"))?;
    let kind = if known["type"] == "tag" { "tags" } else { "heads" };
    let hash = |side: Option<&Value>| side.map(|side| text(side, "/target/hash")).transpose();
    let after = hash(side("new"))?;
    let commit = side("new").zip(after.clone()).map(|(new, id)| {
        let maybe = |pointer: &str| new.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        Commit {
            id,
            message: maybe("/target/message"),
            author_name: maybe("/target/author/user/display_name").or_else(|| maybe("/target/author/raw")),
            author_email: None,
            author_id: maybe("/target/author/user/nickname"),
            author_date: maybe("/target/date"),
        }
    });
    Ok(Push {
        git_ref: format!("refs/{kind}/{}", text(known, "/name")?),
        before: hash(side("old"))?,
        after,
        commit,
        forced: change["forced"].as_bool().unwrap_or(false),
        files: None,
    })
}

fn request(body: &Value, event: PullRequestEvent) -> Result<RepositoryChange, Unreadable> {
    let request = &body["pullrequest"];
    let maybe = |pointer: &str| request.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    // The repository of a fork that was deleted is null.
    let from = maybe("/source/repository/full_name");
    Ok(RepositoryChange::PullRequest(PullRequest {
        number: request["id"].as_u64().ok_or(Unreadable("/pullrequest/id"))?,
        event,
        title: maybe("/title"),
        source_branch: text(request, "/source/branch/name")?,
        target_branch: text(request, "/destination/branch/name")?,
        head: Commit {
            id: text(request, "/source/commit/hash")?,
            author_name: maybe("/author/display_name"),
            author_id: maybe("/author/nickname"),
            ..Commit::default()
        },
        from_fork: from.is_none() || from != maybe("/destination/repository/full_name"),
        files: None,
    }))
}
