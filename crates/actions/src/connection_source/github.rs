//! GitHub's API, and GitHub Enterprise Server's.

use serde_json::Value;

use super::{Commit, Revision, escaped, escaped_path, text};

pub(super) fn commit_url(api: &str, full_id: &str, revision: &Revision) -> String {
    let wanted = match revision {
        Revision::Commit(id) => id.clone(),
        // In full, so that a tag of the same name is not taken.
        Revision::Branch(name) => escaped(&format!("heads/{name}")),
    };
    format!("{api}/repos/{}/commits/{wanted}", escaped_path(full_id))
}

pub(super) fn archive_url(api: &str, full_id: &str, id: &str) -> String {
    format!("{api}/repos/{}/zipball/{id}", escaped_path(full_id))
}

pub(super) fn commit(body: &Value) -> Option<Commit> {
    Some(Commit {
        id: text(body, "/sha")?,
        message: text(body, "/commit/message").unwrap_or_default(),
        authored: text(body, "/commit/author/date").unwrap_or_default(),
        committed: text(body, "/commit/committer/date"),
        url: text(body, "/html_url"),
    })
}
