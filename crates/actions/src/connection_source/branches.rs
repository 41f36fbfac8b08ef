//! The heads of a repository's branches, by the git host's API.

use control::sources::{BranchHead, MAX_BRANCHES};
use engine::triggers::Commit;
use model::Timestamp;
use serde_json::Value;

use super::{Repository, Revision, escaped_path, is_full_id, text};
use crate::fault::Fault;
use crate::ports::{Connection, GitHost};
use crate::web::Web;

/// How many branches a page has.
const PAGE: usize = 100;

/// The heads of one branch, or of the first [`MAX_BRANCHES`].
pub(crate) async fn of(
    web: &Web,
    connection: &Connection,
    full_id: &str,
    only: Option<&str>,
) -> Result<Vec<BranchHead>, Fault> {
    let now = Timestamp(jiff::Timestamp::now().as_millisecond());
    let repository = Repository::open(web, connection, full_id, now).await?;
    if let Some(branch) = only {
        let commit = repository.commit(&Revision::Branch(branch.to_owned())).await?;
        let commit = Commit { id: commit.id, message: Some(commit.message), ..Commit::default() };
        return Ok(vec![BranchHead { branch: branch.to_owned(), commit }]);
    }
    let mut heads = Vec::new();
    for page in 1..=MAX_BRANCHES / PAGE {
        let url = page_url(connection.kind, &repository.api(), full_id, page);
        let answer = repository.ask(&url, "application/json", "branches").await?;
        let body: Value = serde_json::from_str(&answer.text().await?)
            .map_err(|_| Fault::Later(format!("{} answered what is no JSON", connection.host)))?;
        let found = read(connection.kind, &body);
        let count = found.len();
        heads.extend(found);
        if count < PAGE {
            break;
        }
    }
    Ok(heads)
}

fn page_url(kind: GitHost, api: &str, full_id: &str, page: usize) -> String {
    match kind {
        GitHost::GitHub => format!("{api}/repos/{}/branches?per_page={PAGE}&page={page}", escaped_path(full_id)),
        GitHost::GitLab => {
            format!("{api}/projects/{}/repository/branches?per_page={PAGE}&page={page}", super::escaped(full_id))
        }
        GitHost::Bitbucket => {
            format!("{api}/repositories/{}/refs/branches?pagelen={PAGE}&page={page}", escaped_path(full_id))
        }
    }
}

/// The branches of a page. One whose commit is not named in full is left out.
fn read(kind: GitHost, body: &Value) -> Vec<BranchHead> {
    let (list, id) = match kind {
        GitHost::GitHub => (body, "/commit/sha"),
        GitHost::GitLab => (body, "/commit/id"),
        GitHost::Bitbucket => (&body["values"], "/target/hash"),
    };
    let branches = list.as_array().into_iter().flatten();
    branches
        .filter_map(|branch| {
            let id = text(branch, id).filter(|id| is_full_id(id))?;
            Some(BranchHead { branch: text(branch, "/name")?, commit: Commit { id, ..Commit::default() } })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_host_names_branches_in_its_way() {
        let id = "a".repeat(40);
        let pages = [
            (GitHost::GitHub, serde_json::json!([{ "name": "main", "commit": { "sha": id } }, { "name": "odd" }])),
            (GitHost::GitLab, serde_json::json!([{ "name": "main", "commit": { "id": id } }])),
            (GitHost::Bitbucket, serde_json::json!({ "values": [{ "name": "main", "target": { "hash": id } }] })),
        ];
        for (kind, body) in pages {
            let heads = read(kind, &body);
            assert_eq!(heads.len(), 1, "{kind:?}");
            assert_eq!((heads[0].branch.as_str(), heads[0].commit.id.as_str()), ("main", id.as_str()), "{kind:?}");
        }
    }

    #[test]
    fn pages_are_asked_for_by_number() {
        let url = page_url(GitHost::GitLab, "https://gitlab.com/api/v4", "acme/shop", 2);
        assert_eq!(url, "https://gitlab.com/api/v4/projects/acme%2Fshop/repository/branches?per_page=100&page=2");
    }
}
