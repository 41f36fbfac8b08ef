use std::io::{Cursor, Write as _};
use std::sync::Arc;

use control::ports::ActionRunner as _;
use engine::SourceOverride;
use model::SourceRevisionType;
use serde_json::json;

use super::*;
use crate::git_source::MESSAGE_BYTES;
use crate::ports::Secret;
use crate::runner::ProviderRunner;
use crate::testing::{self, Asked, FakeAws, Fixed, Host};

const ARN: &str = "arn:aws:codeconnections:us-east-1:1:connection/c";
const NOW: &str = "2026-11-24T00:00:00Z";

fn id(letter: &str) -> String {
    letter.repeat(40)
}

fn request(settings: &[(&str, &str)]) -> ActionRequest {
    let mut all = vec![("ConnectionArn", ARN), ("FullRepositoryId", "own er/repo"), ("BranchName", "feature/x")];
    all.extend(settings);
    let mut request = testing::request("Source", "CodeStarSourceConnection", &all);
    request.action.outputs = vec![testing::artifact("Out", "pipe/Out/1")];
    request
}

fn at(kind: GitHost, host: &str) -> Connection {
    Connection { kind, host: host.into(), base_url: None, app_id: None, token: Some(Secret::new("t0ken")) }
}

/// A git archive of a commit.
fn archive(commit: &str) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file("repo-1234567/src/main.rs", zip::write::SimpleFileOptions::default()).unwrap();
    writer.write_all(b"fn main() {}").unwrap();
    writer.set_comment(commit).unwrap();
    writer.finish().unwrap().into_inner()
}

/// A host with one commit, whose archives are of `archived`.
fn host(commit: String, archived: String) -> FakeAws {
    let body = json!({
        // GitHub.
        "sha": commit, "html_url": "https://github.com/c",
        "commit": {
            "message": "Subject\n\nBody", "author": {"date": "2026-11-23T10:00:00Z"},
            "committer": {"date": "2026-11-23T11:00:00Z"},
            // GitLab's branches.
            "id": commit, "authored_date": "2026-11-23T10:00:00Z", "committed_date": "2026-11-23T11:00:00Z",
            "web_url": "https://gitlab.com/c",
        },
        // GitLab's commits.
        "id": commit, "message": "Subject\n\nBody", "authored_date": "2026-11-23T10:00:00Z",
        "committed_date": "2026-11-23T11:00:00Z", "web_url": "https://gitlab.com/c",
        // Bitbucket.
        "hash": commit, "date": "2026-11-23T10:00:00Z", "links": {"html": {"href": "https://bitbucket.org/c"}},
        "target": {"hash": commit, "message": "Subject\n\nBody", "date": "2026-11-23T10:00:00Z",
                   "links": {"html": {"href": "https://bitbucket.org/c"}}},
    });
    FakeAws::with(move |asked: &Asked| {
        if asked.uri.contains("amazonaws.com") {
            return Some((200, Vec::new(), Vec::new()));
        }
        match &asked.uri {
            uri if uri.contains("zipball") => {
                let location = ("location".to_owned(), "https://codeload.github.com/x?token=secret".to_owned());
                Some((302, vec![location], Vec::new()))
            }
            uri if uri.contains("codeload") || uri.contains("archive.zip") || uri.ends_with(".zip") => {
                Some((200, Vec::new(), archive(&archived)))
            }
            _ => Some((200, Vec::new(), body.to_string().into_bytes())),
        }
    })
}

async fn brought(connection: Connection, request: ActionRequest, fake: &FakeAws) -> ActionReply {
    let there = Arc::new(Host::default());
    *there.connection.lock().unwrap() = Some(connection);
    ProviderRunner::impatient(fake.parts(Fixed::at(NOW), there)).start(request).await
}

fn git_uris(fake: &FakeAws) -> Vec<String> {
    fake.requests().into_iter().map(|asked| asked.uri).filter(|uri| !uri.contains("amazonaws.com")).collect()
}

#[tokio::test]
async fn the_newest_commit_of_a_branch_is_asked_of_each_hosts_api() {
    let c = id("c");
    for (connection, expected) in [
        (
            at(GitHost::GitHub, "github.com"),
            vec![
                "https://api.github.com/repos/own%20er/repo/commits/heads%2Ffeature%2Fx".to_owned(),
                format!("https://api.github.com/repos/own%20er/repo/zipball/{c}"),
                "https://codeload.github.com/x?token=secret".to_owned(),
            ],
        ),
        (
            at(GitHost::GitHub, "git.example.com"),
            vec![
                "https://git.example.com/api/v3/repos/own%20er/repo/commits/heads%2Ffeature%2Fx".to_owned(),
                format!("https://git.example.com/api/v3/repos/own%20er/repo/zipball/{c}"),
                "https://codeload.github.com/x?token=secret".to_owned(),
            ],
        ),
        (
            at(GitHost::GitLab, "gitlab.com"),
            vec![
                "https://gitlab.com/api/v4/projects/own%20er%2Frepo/repository/branches/feature%2Fx".to_owned(),
                format!("https://gitlab.com/api/v4/projects/own%20er%2Frepo/repository/archive.zip?sha={c}"),
            ],
        ),
        (
            at(GitHost::Bitbucket, "bitbucket.org"),
            vec![
                "https://api.bitbucket.org/2.0/repositories/own%20er/repo/refs/branches/feature%2Fx".to_owned(),
                format!("https://bitbucket.org/own%20er/repo/get/{c}.zip"),
            ],
        ),
    ] {
        let fake = host(c.clone(), c.clone());
        let outcome = testing::outcome(brought(connection.clone(), request(&[]), &fake).await);
        assert_eq!(outcome.error, None, "{connection:?}");
        assert_eq!(git_uris(&fake), expected);
        let revision = outcome.revision.unwrap();
        assert_eq!((&revision.revision_id, revision.summary.as_deref()), (&c, Some("Subject\n\nBody")));
        assert!(revision.created.is_some());
    }
}

#[tokio::test]
async fn exactly_the_pushed_commit_is_brought() {
    let (pushed, asked) = (id("a"), id("b"));
    let fake = host(pushed.clone(), pushed.clone());
    let mut wanted = ActionRequest { pushed_commit: Some(pushed.clone()), ..request(&[]) };
    let outcome = testing::outcome(brought(at(GitHost::GitLab, "gitlab.com"), wanted.clone(), &fake).await);
    assert_eq!(outcome.variables["CommitId"], pushed);
    assert!(git_uris(&fake)[0].ends_with(&format!("/repository/commits/{pushed}")));
    // An override wins.
    let fake = host(asked.clone(), asked.clone());
    let kind = SourceRevisionType::CommitId;
    wanted.source_override = Some(SourceOverride { action: "Act".into(), kind, value: asked.to_uppercase() });
    let outcome = testing::outcome(brought(at(GitHost::GitLab, "gitlab.com"), wanted, &fake).await);
    assert_eq!(outcome.variables["CommitId"], asked);
}

#[tokio::test]
async fn another_commit_than_the_wanted_one_is_refused() {
    for (told, archived) in [(id("b"), id("a")), (id("a"), id("b"))] {
        let fake = host(told, archived);
        let wanted = ActionRequest { pushed_commit: Some(id("a")), ..request(&[]) };
        let (code, message) = testing::error(brought(at(GitHost::GitHub, "github.com"), wanted, &fake).await);
        assert_eq!(code, "RevisionUnavailable", "{message}");
        assert!(!fake.requests().iter().any(|asked| asked.method == "PUT"));
    }
}

#[tokio::test]
async fn variables_are_the_documented_ones() {
    let fake = host(id("c"), id("c"));
    let outcome = testing::outcome(brought(at(GitHost::GitHub, "github.com"), request(&[]), &fake).await);
    let expected = [
        ("AuthorDate", "2026-11-23T10:00:00Z"),
        ("BranchName", "feature/x"),
        ("CommitId", &id("c")),
        ("CommitMessage", "Subject\n\nBody"),
        ("ConnectionArn", ARN),
        ("FullRepositoryName", "own er/repo"),
    ];
    let expected: StringMap = expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    assert_eq!(outcome.variables, expected);
    assert_eq!(outcome.external_url.as_deref(), Some("https://github.com/c"));
    let output = &outcome.outputs[0];
    assert_eq!((output.revision.clone(), output.digest.is_some()), (Some(id("c")), true));
}

#[tokio::test]
async fn the_token_goes_to_the_connections_host_alone() {
    let fake = host(id("c"), id("c"));
    testing::outcome(brought(at(GitHost::GitHub, "github.com"), request(&[]), &fake).await);
    for asked in fake.requests().iter().filter(|asked| !asked.uri.contains("amazonaws.com")) {
        let expected = if asked.uri.starts_with("https://api.github.com/") { "Bearer t0ken" } else { "" };
        assert_eq!(asked.authorization(), expected, "{}", asked.uri);
    }
}

#[tokio::test]
async fn a_reference_is_left_instead_of_files() {
    let fake = host(id("c"), id("c"));
    let wanted = request(&[("OutputArtifactFormat", "CODEBUILD_CLONE_REF")]);
    let outcome = testing::outcome(brought(at(GitHost::GitHub, "github.com"), wanted, &fake).await);
    assert_eq!(outcome.error, None);
    let put = fake.requests().into_iter().find(|asked| asked.method == "PUT").unwrap();
    assert_eq!(put.header("x-amz-meta-penstock-artifact-format"), "CODEBUILD_CLONE_REF");
    assert_eq!(git_uris(&fake).len(), 1, "no archive is fetched");
}

#[tokio::test]
async fn answers_of_hosts_are_told_apart() {
    for (status, code, part) in [
        (401, "PermissionError", "refuses the connection's token"),
        (403, "PermissionError", "refuses the connection's token"),
        (404, "RevisionUnavailable", "has no branch feature/x in own er/repo"),
        (410, "JobFailed", "answered 410"),
    ] {
        let fake = FakeAws::new(move |_| (status, String::new()));
        let reply = brought(at(GitHost::GitHub, "github.com"), request(&[]), &fake).await;
        let (found, message) = testing::error(reply);
        assert_eq!(found, code);
        assert!(message.contains(part), "{message}");
    }
    for status in [429, 500, 503] {
        let fake = FakeAws::new(move |_| (status, String::new()));
        let reply = brought(at(GitHost::GitHub, "github.com"), request(&[]), &fake).await;
        let (started, _) = testing::pending(reply);
        assert!(started.summary.unwrap().starts_with("not started yet: github.com"), "{status}");
    }
}

#[tokio::test]
async fn a_host_that_wants_to_be_left_alone_is_asked_later() {
    for header in [("x-ratelimit-remaining", "0"), ("retry-after", "60")] {
        let (key, value) = (header.0.to_owned(), header.1.to_owned());
        let fake = FakeAws::with(move |_| Some((403, vec![(key.clone(), value.clone())], Vec::new())));
        let (started, _) = testing::pending(brought(at(GitHost::GitHub, "github.com"), request(&[]), &fake).await);
        assert!(started.summary.unwrap().contains("asks to wait"), "{header:?}");
    }
}

#[test]
fn repositories_are_named_in_full_and_nothing_else() {
    for (id, fine) in
        [("o/r", true), ("group/sub/r", true), ("r", false), ("../user", false), ("o/..", false), ("/r", false)]
    {
        let request = request(&[("FullRepositoryId", id)]);
        assert_eq!(full_id(Settings(&request)).is_ok(), fine, "{id}");
    }
}

#[tokio::test]
async fn an_unknown_connection_says_how_to_make_one() {
    let fake = FakeAws::with(|_| None);
    let (code, message) = testing::error(fake.runner(Fixed::at(NOW)).start(request(&[])).await);
    assert_eq!(code, "ConfigurationError");
    assert!(message.contains("penstock connection create"), "{message}");
}

#[test]
fn commits_are_named_in_full() {
    let wanted = ActionRequest { pushed_commit: Some("abc123".into()), ..request(&[]) };
    assert_eq!(revision(&wanted, "main"), Err(Fault::revision("`abc123` is no full commit id")));
    assert_eq!(revision(&request(&[]), "main"), Ok(Revision::Branch("main".into())));
}

#[test]
fn messages_are_cut_between_letters() {
    let long = "ä".repeat(MESSAGE_BYTES);
    assert_eq!(cut(&format!("x{long}")).len(), MESSAGE_BYTES - 1);
    assert_eq!(cut("short"), "short");
}
