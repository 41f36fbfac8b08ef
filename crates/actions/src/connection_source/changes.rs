//! The changed files of a push or pull request, by the git host's API.

use engine::triggers::{MAX_FILES, RepositoryChange, RepositoryEvent};
use model::Timestamp;
use serde_json::Value;

use super::{Reading, Repository, Revision, escaped, escaped_path, is_full_id, text};
use crate::fault::Fault;
use crate::ports::{Connection, GitHost};
use crate::web::Web;

/// The changed files; none where the event says no commits to compare.
pub(crate) async fn files(
    web: &Web,
    connection: &Connection,
    event: &RepositoryEvent,
) -> Result<Option<Vec<String>>, Fault> {
    let is_request = matches!(event.change, RepositoryChange::PullRequest(_));
    let reading = if is_request { Reading::PullRequests } else { Reading::Contents };
    let repository = Repository::open_to(reading, web, connection, &event.repository, now()).await?;
    let Some(url) = url(connection.kind, &repository.api(), event) else { return Ok(None) };
    let what = match (&connection.app_id, is_request) {
        (Some(_), true) => "changed files, which an app reads by the permission `pull_requests: read`,",
        (Some(_) | None, _) => "changed files",
    };
    let answer = repository.ask(&url, "application/json", what).await?;
    let body: Value = serde_json::from_str(&answer.text().await?)
        .map_err(|_| Fault::Later(format!("{} answered what is no JSON", connection.host)))?;
    Ok(Some(read(connection.kind, &event.change, &body)))
}

/// The full id of a commit that is named by its first digits.
pub(crate) async fn full_id(
    web: &Web,
    connection: &Connection,
    event: &RepositoryEvent,
    short: &str,
) -> Result<Option<String>, Fault> {
    let is_short = short.len() >= 7 && short.bytes().all(|b| b.is_ascii_hexdigit());
    if connection.kind != GitHost::Bitbucket || !is_short {
        return Ok(None);
    }
    let repository = Repository::open(web, connection, &event.repository, now()).await?;
    let url = super::bitbucket::commit_url(&repository.api(), &event.repository, &Revision::Commit(short.into()));
    let answer = repository.ask(&url, "application/json", &format!("commit {short}")).await?;
    let body: Value = serde_json::from_str(&answer.text().await?)
        .map_err(|_| Fault::Later(format!("{} answered what is no JSON", connection.host)))?;
    Ok(text(&body, "/hash").filter(|id| is_full_id(id) && id.starts_with(short)))
}

fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}

/// Where the host tells of the files. Pages hold at least as many as filters look at.
fn url(kind: GitHost, api: &str, event: &RepositoryEvent) -> Option<String> {
    let id = &event.repository;
    let whole = |id: &&str| is_full_id(id);
    match &event.change {
        RepositoryChange::Push(push) => {
            let before = push.before.as_deref().filter(whole)?;
            let after = push.after.as_deref().filter(whole)?;
            Some(match kind {
                GitHost::GitHub => format!("{api}/repos/{}/compare/{before}...{after}", escaped_path(id)),
                GitHost::GitLab => {
                    format!("{api}/projects/{}/repository/compare?from={before}&to={after}", escaped(id))
                }
                // From the first to the second, which it writes the other way round.
                GitHost::Bitbucket => {
                    let path = escaped_path(id);
                    format!("{api}/repositories/{path}/diffstat/{after}..{before}?pagelen={MAX_FILES}")
                }
            })
        }
        RepositoryChange::PullRequest(request) => {
            let number = request.number;
            Some(match kind {
                GitHost::GitHub => {
                    format!("{api}/repos/{}/pulls/{number}/files?per_page={MAX_FILES}", escaped_path(id))
                }
                GitHost::GitLab => {
                    format!("{api}/projects/{}/merge_requests/{number}/diffs?per_page={MAX_FILES}", escaped(id))
                }
                GitHost::Bitbucket => {
                    let path = escaped_path(id);
                    format!("{api}/repositories/{path}/pullrequests/{number}/diffstat?pagelen={MAX_FILES}")
                }
            })
        }
    }
}

/// The files of an answer. A file that was moved counts under both of its names.
fn read(kind: GitHost, change: &RepositoryChange, body: &Value) -> Vec<String> {
    let is_push = matches!(change, RepositoryChange::Push(_));
    let (list, names) = match (kind, is_push) {
        (GitHost::GitHub, true) => (&body["files"], ["/filename", "/previous_filename"]),
        (GitHost::GitHub, false) => (body, ["/filename", "/previous_filename"]),
        (GitHost::GitLab, true) => (&body["diffs"], ["/new_path", "/old_path"]),
        (GitHost::GitLab, false) => (body, ["/new_path", "/old_path"]),
        (GitHost::Bitbucket, _) => (&body["values"], ["/new/path", "/old/path"]),
    };
    let mut files: Vec<String> = Vec::new();
    for entry in list.as_array().into_iter().flatten() {
        for name in names.iter().filter_map(|at| text(entry, at)) {
            if !files.contains(&name) {
                files.push(name);
            }
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use engine::triggers::{Commit, PullRequest, PullRequestEvent, Push};
    use serde_json::json;

    use super::*;
    use crate::ports::Secret;
    use crate::testing::{Asked, FakeAws};

    fn id(letter: &str) -> String {
        letter.repeat(40)
    }

    fn event(change: RepositoryChange) -> RepositoryEvent {
        let (provider, connection) = ("GitHub".into(), "arn".into());
        RepositoryEvent { provider, connection, repository: "own er/repo".into(), delivery: None, change }
    }

    fn push() -> RepositoryEvent {
        let (before, after) = (Some(id("a")), Some(id("b")));
        event(RepositoryChange::Push(Push { git_ref: "refs/heads/main".into(), before, after, ..Push::default() }))
    }

    fn request(head: &str) -> RepositoryEvent {
        event(RepositoryChange::PullRequest(PullRequest {
            number: 7,
            event: PullRequestEvent::Open,
            title: None,
            source_branch: "topic".into(),
            target_branch: "main".into(),
            head: Commit { id: head.into(), ..Commit::default() },
            from_fork: false,
            files: None,
        }))
    }

    fn connection(kind: GitHost) -> Connection {
        let host = match kind {
            GitHost::GitHub => "github.com",
            GitHost::GitLab => "gitlab.com",
            GitHost::Bitbucket => "bitbucket.org",
        };
        let token = Some(Secret::new("t0ken"));
        Connection { kind, host: host.into(), base_url: None, app_id: None, token }
    }

    /// A host that answers this, and what it was asked.
    async fn asked(kind: GitHost, event: &RepositoryEvent, body: Value) -> (Option<Vec<String>>, Vec<String>) {
        let fake = FakeAws::new(move |_: &Asked| (200, body.to_string()));
        let found = files(&Web::with(fake.clone()), &connection(kind), event).await.unwrap();
        (found, fake.requests().into_iter().map(|asked| asked.uri).collect())
    }

    #[tokio::test]
    async fn each_host_is_asked_in_its_way() {
        let (a, b) = (id("a"), id("b"));
        let moved = ["new.rs".to_owned(), "old.rs".to_owned()];
        let github = json!([{ "filename": "new.rs", "previous_filename": "old.rs" }]);
        let gitlab =
            json!([{ "new_path": "new.rs", "old_path": "old.rs" }, { "new_path": "new.rs", "old_path": "new.rs" }]);
        let bitbucket =
            json!({ "values": [{ "new": { "path": "new.rs" }, "old": { "path": "old.rs" } }, { "new": null }] });
        for (kind, event, body, url) in [
            (
                GitHost::GitHub,
                push(),
                json!({ "files": github }),
                format!("https://api.github.com/repos/own%20er/repo/compare/{a}...{b}"),
            ),
            (
                GitHost::GitHub,
                request("x"),
                github.clone(),
                "https://api.github.com/repos/own%20er/repo/pulls/7/files?per_page=100".into(),
            ),
            (
                GitHost::GitLab,
                push(),
                json!({ "diffs": gitlab }),
                format!("https://gitlab.com/api/v4/projects/own%20er%2Frepo/repository/compare?from={a}&to={b}"),
            ),
            (
                GitHost::GitLab,
                request("x"),
                gitlab.clone(),
                "https://gitlab.com/api/v4/projects/own%20er%2Frepo/merge_requests/7/diffs?per_page=100".into(),
            ),
            (
                GitHost::Bitbucket,
                push(),
                bitbucket.clone(),
                format!("https://api.bitbucket.org/2.0/repositories/own%20er/repo/diffstat/{b}..{a}?pagelen=100"),
            ),
            (
                GitHost::Bitbucket,
                request("x"),
                bitbucket.clone(),
                "https://api.bitbucket.org/2.0/repositories/own%20er/repo/pullrequests/7/diffstat?pagelen=100".into(),
            ),
        ] {
            let (found, uris) = asked(kind, &event, body).await;
            assert_eq!((found.as_deref(), uris), (Some(&moved[..]), vec![url]), "{kind:?}");
        }
    }

    #[tokio::test]
    async fn an_app_reads_pull_requests_by_a_permission_of_its_own() {
        let fake = FakeAws::new(|asked: &Asked| match (asked.method.as_str(), asked.uri.ends_with("/installation")) {
            ("POST", _) => (201, json!({"token": "ghs_1"}).to_string()),
            (_, true) => (200, json!({"id": 42}).to_string()),
            (_, false) => (403, json!({"message": "Resource not accessible by integration"}).to_string()),
        });
        let (_, pem) = super::super::app::tests::key();
        let app = Connection { app_id: Some("7".into()), token: Some(pem), ..connection(GitHost::GitHub) };
        for (event, reads) in [(push(), false), (request("x"), true)] {
            let told = files(&Web::with(fake.clone()), &app, &event).await;
            let Err(Fault::Ends { message, .. }) = told else { panic!("{told:?}") };
            let made = fake.requests().into_iter().rfind(|asked| asked.method == "POST").unwrap();
            assert_eq!(made.json()["permissions"]["pull_requests"] == "read", reads);
            assert_eq!(message.contains("`pull_requests: read`"), reads, "{message}");
        }
    }

    #[tokio::test]
    async fn a_new_branch_has_nothing_to_compare() {
        let new = event(RepositoryChange::Push(Push { after: Some(id("b")), ..Push::default() }));
        let (found, uris) = asked(GitHost::GitHub, &new, json!({})).await;
        assert_eq!((found, uris.len()), (None, 0));
    }

    #[tokio::test]
    async fn bitbucket_tells_the_whole_id() {
        let whole = id("b");
        let answer = json!({ "hash": whole }).to_string();
        let fake = FakeAws::new(move |_: &Asked| (200, answer.clone()));
        let web = Web::with(fake.clone());
        let short = "b".repeat(12);
        let found = full_id(&web, &connection(GitHost::Bitbucket), &request(&short), &short).await.unwrap();
        assert_eq!(found, Some(whole));
        let other = full_id(&web, &connection(GitHost::Bitbucket), &request("a"), "aaaaaaaaaaaa").await.unwrap();
        assert_eq!(other, None, "another commit than was asked for");
        assert_eq!(full_id(&web, &connection(GitHost::GitHub), &request("a"), &short).await.unwrap(), None);
    }
}
