use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use control::ports::ActionRunner as _;
use serde_json::{Value, json};

use super::*;
use crate::testing::{self, Asked, FakeAws, Fixed};

const NOW: &str = "2026-11-24T00:00:00Z";

fn id() -> String {
    "c0".repeat(20)
}

fn request(more: &[(&str, &str)]) -> ActionRequest {
    let settings = [&[("RepositoryName", "shop"), ("BranchName", "main")], more].concat();
    let mut request = testing::request("Source", "CodeCommit", &settings);
    request.action.outputs = vec![testing::artifact("Out", "pipe/Out/abcdefg")];
    request
}

/// What CodeCommit says of a repository with a folder, a program and a link.
fn told(asked: &Asked) -> (u16, Value) {
    let file =
        |path: &str, mode: &str| json!({ "absolutePath": path, "blobId": format!("b-{path}"), "fileMode": mode });
    let input = asked.json();
    match asked.operation() {
        "GetBranch" if input["branchName"] == "main" => {
            (200, json!({ "branch": { "branchName": "main", "commitId": id() } }))
        }
        "GetBranch" => (400, json!({ "__type": "BranchDoesNotExistException", "message": "no such branch" })),
        "GetCommit" if input["commitId"] == id() => {
            let ada = json!({ "name": "Ada", "email": "ada@example.com", "date": "1484167798 -0800" });
            let commit = json!({ "commitId": id(), "treeId": "t", "message": "Sell more\n", "author": ada,
                "committer": { "name": "Bob", "date": "1484167800 +0000" }, "parents": [] });
            (200, json!({ "commit": commit }))
        }
        "GetCommit" => (400, json!({ "__type": "CommitIdDoesNotExistException", "message": "no such commit" })),
        "GetFolder" if input["folderPath"] == "" => (
            200,
            json!({ "commitId": id(), "folderPath": "", "treeId": "t",
            "files": [file("run.sh", "EXECUTABLE"), file("a.txt", "NORMAL")],
            "symbolicLinks": [{ "absolutePath": "link", "blobId": "b-link", "fileMode": "SYMLINK" }],
            "subFolders": [{ "absolutePath": "src", "relativePath": "src", "treeId": "t2" }],
            "subModules": [{ "absolutePath": "other", "commitId": id() }] }),
        ),
        "GetFolder" => {
            (200, json!({ "commitId": id(), "folderPath": "src", "files": [file("src/main.rs", "NORMAL")] }))
        }
        "GetBlob" => {
            let blob = input["blobId"].as_str().unwrap_or_default();
            let content = if blob == "b-link" { "src/main.rs".to_owned() } else { format!("content of {blob}") };
            (200, json!({ "content": STANDARD.encode(content) }))
        }
        // S3.
        _ => (200, json!({})),
    }
}

fn codecommit() -> FakeAws {
    FakeAws::new(|asked| {
        let (status, body) = told(asked);
        (status, body.to_string())
    })
}

/// What an archive holds: path, mode, content.
fn entries(archive: &std::path::Path) -> Vec<(String, u32, String)> {
    let mut zip = zip::ZipArchive::new(std::fs::File::open(archive).unwrap()).unwrap();
    let mut entries = Vec::new();
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index).unwrap();
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        entries.push((entry.name().unwrap().into_owned(), entry.unix_mode().unwrap(), content));
    }
    entries
}

#[tokio::test]
async fn the_newest_commit_of_the_branch_is_brought() {
    let fake = codecommit();
    let outcome = testing::outcome(fake.runner(Fixed::at(NOW)).start(request(&[])).await);
    assert_eq!(outcome.error, None);
    let expected = [
        ("AuthorDate", "2017-01-11T20:49:58Z"),
        ("BranchName", "main"),
        ("CommitId", &id()),
        ("CommitMessage", "Sell more\n"),
        ("CommitterDate", "2017-01-11T20:50:00Z"),
        ("RepositoryName", "shop"),
    ];
    assert_eq!(outcome.variables, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    let revision = outcome.revision.unwrap();
    assert_eq!((revision.revision_id, revision.summary), (id(), Some("Sell more\n".into())));
    assert_eq!(revision.created, Some(testing::time("2017-01-11T20:50:00Z")));
    assert!(outcome.outputs[0].digest.is_some());
    let put = fake.requests().into_iter().find(|asked| asked.method == "PUT").unwrap();
    assert!(put.uri.contains("/pipe/Out/abcdefg"), "{}", put.uri);
}

#[tokio::test]
async fn the_archive_holds_the_files_with_modes_and_links() {
    let directory = tempfile::tempdir().unwrap();
    let config = codecommit().config();
    let repository = Repository::new(&config, "shop", "role", "arn".into());
    let (first, second) = (directory.path().join("1"), directory.path().join("2"));
    files::archive(&repository, &id(), &first).await.unwrap();
    let entry = |path: &str, mode: u32, content: &str| (path.to_owned(), mode, content.to_owned());
    assert_eq!(
        entries(&first),
        [
            entry("a.txt", 0o100_644, "content of b-a.txt"),
            entry("link", 0o120_777, "src/main.rs"),
            entry("run.sh", 0o100_755, "content of b-run.sh"),
            entry("src/main.rs", 0o100_644, "content of b-src/main.rs"),
        ]
    );
    // A second driver puts the same archive under the same key.
    files::archive(&repository, &id(), &second).await.unwrap();
    assert_eq!(std::fs::read(&first).unwrap(), std::fs::read(&second).unwrap());
}

#[tokio::test]
async fn exactly_the_pushed_commit_is_brought() {
    let fake = codecommit();
    let pushed = ActionRequest { pushed_commit: Some(id()), ..request(&[]) };
    let outcome = testing::outcome(fake.runner(Fixed::at(NOW)).start(pushed.clone()).await);
    assert_eq!((outcome.error, outcome.external_id), (None, Some(id())));
    assert_eq!(fake.count("GetBranch"), 0);
    let gone = ActionRequest { pushed_commit: Some("d0".repeat(20)), ..pushed };
    let (code, message) = testing::error(fake.runner(Fixed::at(NOW)).start(gone).await);
    assert_eq!(code, "RevisionUnavailable");
    assert_eq!(message, format!("the CodeCommit repository shop has no commit {}", "d0".repeat(20)));
}

#[tokio::test]
async fn a_clone_is_left_to_codebuild() {
    let fake = codecommit();
    let asked = request(&[("OutputArtifactFormat", "CODEBUILD_CLONE_REF")]);
    let outcome = testing::outcome(fake.runner(Fixed::at(NOW)).start(asked.clone()).await);
    assert_eq!(outcome.error, None);
    assert_eq!((fake.count("GetFolder"), fake.count("GetBlob")), (0, 0));
    let put = fake.requests().into_iter().find(|asked| asked.method == "PUT").unwrap();
    assert_eq!(put.header("x-amz-meta-penstock-artifact-format"), "CODEBUILD_CLONE_REF");
    let reference = clone_ref(&asked, "shop", "main", &id());
    assert_eq!(reference.clone_url, "https://git-codecommit.us-east-1.amazonaws.com/v1/repos/shop");
    assert!(reference.is_of_codecommit() && !reference.is_of_aws());
}

#[tokio::test]
async fn what_cannot_be_brought_says_why() {
    let fake = codecommit();
    let mut other = request(&[]);
    other.declaration.configuration.insert("BranchName".into(), "gone".into());
    let (code, message) = testing::error(fake.runner(Fixed::at(NOW)).start(other).await);
    assert_eq!(
        (code.as_str(), message.as_str()),
        ("RevisionUnavailable", "the CodeCommit repository shop has no branch `gone`",)
    );
    for (failing, kind, code, says) in [
        (
            "GetBranch",
            "AccessDeniedException",
            "PermissionError",
            "may not codecommit:GetBranch on arn:aws:codecommit:us-east-1:111122223333:shop; add to its policies",
        ),
        ("GetFolder", "AccessDeniedException", "PermissionError", "may not codecommit:GetFolder"),
        (
            "GetBlob",
            "FileTooLargeException",
            "JobFailed",
            "`a.txt` is larger than CodeCommit's API gives; \
            OutputArtifactFormat CODEBUILD_CLONE_REF",
        ),
    ] {
        let fake = FakeAws::new(move |asked| {
            let (status, body) = match asked.operation() {
                operation if operation == failing => (400, json!({ "__type": kind, "message": "it says" })),
                _ => told(asked),
            };
            (status, body.to_string())
        });
        let failed = testing::error(fake.runner(Fixed::at(NOW)).start(request(&[])).await);
        assert_eq!(failed.0, code, "{}", failed.1);
        assert!(failed.1.contains(says), "{}", failed.1);
        assert!(fake.requests().iter().all(|asked| asked.method != "PUT"), "{failing}");
    }
}
