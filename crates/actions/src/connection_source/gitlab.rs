//! GitLab's API, at gitlab.com or self-managed.

use serde_json::Value;

use super::{Commit, Revision, escaped, text};

fn project(api: &str, full_id: &str) -> String {
    format!("{api}/projects/{}/repository", escaped(full_id))
}

pub(super) fn commit_url(api: &str, full_id: &str, revision: &Revision) -> String {
    match revision {
        Revision::Commit(id) => format!("{}/commits/{id}", project(api, full_id)),
        Revision::Branch(name) => format!("{}/branches/{}", project(api, full_id), escaped(name)),
    }
}

pub(super) fn archive_url(api: &str, full_id: &str, id: &str) -> String {
    format!("{}/archive.zip?sha={id}", project(api, full_id))
}

pub(super) fn commit(body: &Value, revision: &Revision) -> Option<Commit> {
    let body = match revision {
        Revision::Commit(_) => body,
        Revision::Branch(_) => body.get("commit")?,
    };
    Some(Commit {
        id: text(body, "/id")?,
        message: text(body, "/message").unwrap_or_default(),
        authored: text(body, "/authored_date").unwrap_or_default(),
        committed: text(body, "/committed_date"),
        url: text(body, "/web_url"),
    })
}
