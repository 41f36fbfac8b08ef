//! GitLab's push, tag and merge request payloads.

use engine::triggers::{Commit, PullRequest, PullRequestEvent, Push, RepositoryChange};
use serde_json::Value;

use super::accept::{Unreadable, capped_files, id_or_none, text, words};

/// What a delivery says; none for kinds that start nothing.
pub(super) fn read(body: &Value) -> Result<Option<(String, RepositoryChange)>, Unreadable> {
    let change = match body["object_kind"].as_str() {
        Some("push" | "tag_push") => Some(RepositoryChange::Push(push(body)?)),
        Some("merge_request") => merge_request(body)?.map(RepositoryChange::PullRequest),
        _ => None,
    };
    change.map(|change| Ok((text(body, "/project/path_with_namespace")?, change))).transpose()
}

fn push(body: &Value) -> Result<Push, Unreadable> {
    let after = id_or_none(&text(body, "/after")?);
    let commits = body["commits"].as_array().map(Vec::as_slice).unwrap_or_default();
    let told = u64::try_from(commits.len()).unwrap_or(u64::MAX);
    // It tells of twenty commits, and of how many there are.
    let is_whole = body["total_commits_count"].as_u64() == Some(told) && told > 0;
    let lists = commits.iter().flat_map(|commit| ["added", "removed", "modified"].map(|list| &commit[list]));
    let files = is_whole.then(|| lists.flat_map(words).collect()).and_then(capped_files);
    // For an annotated tag `after` is the tag itself.
    let id = body["checkout_sha"].as_str().map(str::to_owned).or_else(|| after.clone());
    let described = commits.iter().find(|commit| commit["id"].as_str() == id.as_deref());
    let maybe = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let author = |field: &str| maybe(described.and_then(|commit| commit.pointer(&format!("/author/{field}"))));
    let commit = id.map(|id| Commit {
        id,
        message: maybe(described.map(|commit| &commit["message"])).or_else(|| maybe(body.get("message"))),
        author_name: author("name").or_else(|| maybe(body.get("user_name"))),
        author_email: author("email").or_else(|| maybe(body.get("user_email"))),
        author_id: maybe(body.get("user_username")),
        author_date: maybe(described.map(|commit| &commit["timestamp"])),
    });
    Ok(Push {
        git_ref: text(body, "/ref")?,
        before: id_or_none(&text(body, "/before")?),
        commit: commit.filter(|_| after.is_some()),
        after,
        forced: false,
        files,
    })
}

fn merge_request(body: &Value) -> Result<Option<PullRequest>, Unreadable> {
    let request = &body["object_attributes"];
    let event = match request["action"].as_str() {
        Some("open" | "reopen") => PullRequestEvent::Open,
        // Only a revision says where its branch was before; a changed title is no update.
        Some("update") if request["oldrev"].is_string() => PullRequestEvent::Updated,
        Some("close" | "merge") => PullRequestEvent::Closed,
        _ => return Ok(None),
    };
    let project = |field: &str| request[field].as_u64().ok_or(Unreadable("/object_attributes/source_project_id"));
    let maybe = |pointer: &str| request.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    Ok(Some(PullRequest {
        number: request["iid"].as_u64().ok_or(Unreadable("/object_attributes/iid"))?,
        event,
        title: maybe("/title"),
        source_branch: text(request, "/source_branch")?,
        target_branch: text(request, "/target_branch")?,
        head: Commit {
            id: text(request, "/last_commit/id")?,
            message: maybe("/last_commit/message"),
            author_name: maybe("/last_commit/author/name"),
            author_email: maybe("/last_commit/author/email"),
            author_id: body.pointer("/user/username").and_then(Value::as_str).map(str::to_owned),
            author_date: maybe("/last_commit/timestamp"),
        },
        from_fork: project("source_project_id")? != project("target_project_id")?,
        files: None,
    }))
}
