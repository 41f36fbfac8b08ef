//! GitHub's push and pull request payloads.

use engine::triggers::{Commit, PullRequest, PullRequestEvent, Push, RepositoryChange};
use serde_json::Value;

use super::accept::{Unreadable, capped_files, id_or_none, text, words};

/// What a delivery says; none for kinds that start nothing.
pub(super) fn read(kind: &str, body: &Value) -> Result<Option<(String, RepositoryChange)>, Unreadable> {
    let change = match kind {
        "push" => Some(RepositoryChange::Push(push(body)?)),
        "pull_request" => pull_request(body)?.map(RepositoryChange::PullRequest),
        _ => None,
    };
    change.map(|change| Ok((text(body, "/repository/full_name")?, change))).transpose()
}

/// A push.
pub(super) fn push(body: &Value) -> Result<Push, Unreadable> {
    let after = id_or_none(&text(body, "/after")?);
    let head = body.get("head_commit").filter(|head| !head.is_null());
    let commit = head.map(commit).transpose()?;
    let forced = body["forced"].as_bool().unwrap_or(false);
    let commits = body["commits"].as_array();
    let files = commits.map(|commits| {
        let lists = commits.iter().flat_map(|commit| ["added", "removed", "modified"].map(|list| &commit[list]));
        lists.flat_map(words).collect()
    });
    Ok(Push {
        git_ref: text(body, "/ref")?,
        before: id_or_none(&text(body, "/before")?),
        // A branch set back brings no commits, and so says nothing of what it changes.
        files: files.filter(|_| !forced).and_then(capped_files),
        commit: commit.filter(|_| after.is_some()),
        after,
        forced,
    })
}

fn commit(head: &Value) -> Result<Commit, Unreadable> {
    let maybe = |pointer: &str| head.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    Ok(Commit {
        id: text(head, "/id")?,
        message: maybe("/message"),
        author_name: maybe("/author/name"),
        author_email: maybe("/author/email"),
        author_id: maybe("/author/username"),
        author_date: maybe("/timestamp"),
    })
}

fn pull_request(body: &Value) -> Result<Option<PullRequest>, Unreadable> {
    let event = match text(body, "/action")?.as_str() {
        "opened" | "reopened" => PullRequestEvent::Open,
        "synchronize" => PullRequestEvent::Updated,
        "closed" => PullRequestEvent::Closed,
        _ => return Ok(None),
    };
    let request = &body["pull_request"];
    let home = text(request, "/base/repo/full_name")?;
    // The repository of a branch is null once it was deleted: a fork's, as a rule.
    let from = request.pointer("/head/repo/full_name").and_then(Value::as_str);
    Ok(Some(PullRequest {
        number: request["number"].as_u64().ok_or(Unreadable("/pull_request/number"))?,
        event,
        title: request["title"].as_str().map(str::to_owned),
        source_branch: text(request, "/head/ref")?,
        target_branch: text(request, "/base/ref")?,
        head: Commit {
            id: text(request, "/head/sha")?,
            author_id: request.pointer("/user/login").and_then(Value::as_str).map(str::to_owned),
            ..Commit::default()
        },
        from_fork: from != Some(home.as_str()),
        files: None,
    }))
}
