//! Bitbucket Cloud's API.

use serde_json::Value;

use super::{Commit, Revision, escaped, escaped_path, text};
use crate::ports::Connection;

pub(super) fn commit_url(api: &str, full_id: &str, revision: &Revision) -> String {
    let repository = format!("{api}/repositories/{}", escaped_path(full_id));
    match revision {
        Revision::Commit(id) => format!("{repository}/commit/{id}"),
        Revision::Branch(name) => format!("{repository}/refs/branches/{}", escaped(name)),
    }
}

/// Archives lie at the site, not at its API.
pub(super) fn archive_url(connection: &Connection, full_id: &str, id: &str) -> String {
    let site = connection.base_url.clone().unwrap_or_else(|| format!("https://{}", connection.host));
    format!("{site}/{}/get/{id}.zip", escaped_path(full_id))
}

pub(super) fn commit(body: &Value, revision: &Revision) -> Option<Commit> {
    let body = match revision {
        Revision::Commit(_) => body,
        Revision::Branch(_) => body.get("target")?,
    };
    // It knows one date of a commit only.
    let date = text(body, "/date");
    Some(Commit {
        id: text(body, "/hash")?,
        message: text(body, "/message").unwrap_or_default(),
        authored: date.clone().unwrap_or_default(),
        committed: date,
        url: text(body, "/links/html/href"),
    })
}
