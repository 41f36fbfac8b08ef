//! Source actions from real git repositories, directories and files.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use control::ports::{ActionRequest, artifact_location};
use engine::{Outcome, SourceOverride};
use local::archive::unpack;
use local::artifacts::{Durability, LocalArtifacts};
use local::config::LocalConfig;
use local::process::{LogSink, log_path};
use local::sources::Sources;
use model::{Category, Owner, SourceRevisionType};
use tempfile::TempDir;

use super::action::{Declare, assert_succeeded, failure, request};

struct Place {
    dir: TempDir,
    artifacts: LocalArtifacts,
    sources: Sources,
    config: LocalConfig,
}

impl Place {
    fn new(configuration: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let artifacts = LocalArtifacts::open(dir.path().join("data/artifacts"), Durability::Buffered).unwrap();
        let sources = Sources::new(&dir.path().join("data"), artifacts.clone());
        let config = LocalConfig::parse(&dir.path().join("penstock.toml"), configuration).unwrap();
        Self { dir, artifacts, sources, config }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    async fn run(&self, request: &ActionRequest) -> Outcome {
        let log = self.log_file(request);
        let sink = LogSink::new(log, request.action.key.clone(), &[], 1 << 20, None).unwrap();
        self.sources.run(request, &self.config, &Arc::new(sink)).await
    }

    fn log_file(&self, request: &ActionRequest) -> PathBuf {
        log_path(&self.path("data"), &request.pipeline, &request.action.key)
    }

    /// The output artifact, unpacked.
    fn unpacked(&self, request: &ActionRequest, to: &str) -> PathBuf {
        let to = self.path(to);
        unpack(&self.stored(request), &to).unwrap();
        to
    }

    fn stored(&self, request: &ActionRequest) -> PathBuf {
        let output = &request.action.outputs[0];
        self.artifacts.path(&output.bucket, &output.key).unwrap()
    }
}

fn git(directory: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.current_dir(directory).args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]).args(arguments);
    command.env("GIT_AUTHOR_DATE", "2024-05-06T07:08:09+02:00").env("GIT_COMMITTER_DATE", "2024-05-07T00:00:00Z");
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    let output = command.output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A repository with a program, a link and what is not exported.
fn repository(path: &Path) -> String {
    fs::create_dir_all(path.join("bin")).unwrap();
    git(path, &["init", "-q", "-b", "main"]);
    fs::write(path.join("bin/run"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(path.join("bin/run"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("bin/run", path.join("go")).unwrap();
    fs::write(path.join("secret-plans"), "x").unwrap();
    fs::write(path.join(".gitattributes"), "secret-plans export-ignore\n").unwrap();
    commit(path, "First\n\nWith a body.\n")
}

fn commit(path: &Path, message: &str) -> String {
    git(path, &["add", "-A"]);
    git(path, &["commit", "-q", "--allow-empty", "-m", message]);
    git(path, &["rev-parse", "HEAD"])
}

fn codecommit(branch: &str) -> ActionRequest {
    let mut request = request(Category::Source, "CodeCommit").output("Src", &[]);
    request.declaration.name = "Checkout".into();
    request.configure("RepositoryName", "shop").configure("BranchName", branch)
}

fn keyed(mut request: ActionRequest, key: &str) -> ActionRequest {
    request.action.outputs = vec![artifact_location("Src", "bucket", format!("shop/Src/{key}"))];
    request
}

const REPO: &str = "[source.Checkout]\npath = 'repo'\n";

#[tokio::test]
async fn a_branch_brings_its_commit_with_modes_links_and_variables() {
    let place = Place::new(REPO);
    let id = repository(&place.path("repo"));
    let request = codecommit("main");
    let outcome = place.run(&request).await;
    assert_succeeded(&outcome);
    let variables: Vec<_> = outcome.variables.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(
        variables,
        [
            ("AuthorDate", "2024-05-06T05:08:09Z"),
            ("BranchName", "main"),
            ("CommitId", id.as_str()),
            ("CommitMessage", "First\n\nWith a body."),
            ("CommitterDate", "2024-05-07T00:00:00Z"),
            ("RepositoryName", "shop"),
        ]
    );
    let revision = outcome.revision.unwrap();
    assert_eq!((revision.revision_id, revision.summary.unwrap()), (id.clone(), "First\n\nWith a body.".into()));
    assert_eq!(revision.artifact.unwrap(), "Src");
    let made = &outcome.outputs[0];
    assert_eq!(made.revision.as_ref(), Some(&id));
    assert_eq!(made.size, Some(fs::metadata(place.stored(&request)).unwrap().len()));

    let files = place.unpacked(&request, "out");
    assert_eq!(fs::metadata(files.join("bin/run")).unwrap().permissions().mode() & 0o777, 0o755);
    assert_eq!(fs::read_link(files.join("go")).unwrap(), PathBuf::from("bin/run"));
    assert!(!files.join("secret-plans").exists(), "export-ignore holds, as at the providers");
    assert!(!files.join(".git").exists());
}

#[tokio::test]
async fn each_provider_has_its_own_variables() {
    let place = Place::new(REPO);
    let id = repository(&place.path("repo"));
    let names = |outcome: &Outcome| outcome.variables.keys().cloned().collect::<Vec<_>>().join(" ");

    let mut star = codecommit("main").configure("ConnectionArn", "arn:c").configure("FullRepositoryId", "me/shop");
    star.declaration.action_type_id.provider = "CodeStarSourceConnection".into();
    let outcome = place.run(&star).await;
    assert_eq!(names(&outcome), "AuthorDate BranchName CommitId CommitMessage ConnectionArn FullRepositoryName");
    assert_eq!(
        (outcome.variables["ConnectionArn"].as_str(), outcome.variables["FullRepositoryName"].as_str()),
        ("arn:c", "me/shop")
    );

    let mut hub = request(Category::Source, "GitHub").output("Src", &[]).configure("Branch", "main");
    hub.declaration.name = "Checkout".into();
    hub.declaration.action_type_id.owner = Owner::ThirdParty;
    let hub = hub.configure("Owner", "me").configure("Repo", "shop").configure("OAuthToken", "hush");
    let outcome = place.run(&hub).await;
    assert_eq!(names(&outcome), "AuthorDate BranchName CommitId CommitMessage CommitUrl CommitterDate RepositoryName");
    let url = format!("https://github.com/me/shop/commit/{id}");
    assert_eq!((&outcome.variables["CommitUrl"], outcome.external_url.as_ref()), (&url, Some(&url)));
    assert!(!format!("{outcome:?}").contains("hush"));
}

#[tokio::test]
async fn the_branch_is_read_afresh_and_the_same_commit_is_packed_once() {
    use std::os::unix::fs::MetadataExt;
    let place = Place::new(REPO);
    let repo = place.path("repo");
    let first = repository(&repo);
    let (one, two, three) =
        (keyed(codecommit("main"), "1"), keyed(codecommit("main"), "2"), keyed(codecommit("main"), "3"));
    assert_eq!(place.run(&one).await.variables["CommitId"], first);
    let again = place.run(&two).await;
    assert_eq!(again.variables["CommitId"], first);
    let inode = |request: &ActionRequest| fs::metadata(place.stored(request)).unwrap().ino();
    assert_eq!(inode(&one), inode(&two), "the archive is shared");

    fs::write(repo.join("new"), "x").unwrap();
    let second = commit(&repo, "Second");
    assert_eq!(place.run(&three).await.variables["CommitId"], second);
    assert!(place.unpacked(&three, "out").join("new").exists());

    // What was shared may be gone: it is made again.
    let back = SourceOverride { action: "Checkout".into(), kind: SourceRevisionType::CommitId, value: first.clone() };
    fs::remove_file(place.stored(&one)).unwrap();
    let mut four = keyed(codecommit("main"), "4");
    four.source_override = Some(back);
    let outcome = place.run(&four).await;
    assert_eq!((outcome.error.clone(), &outcome.variables["CommitId"]), (None, &first));
    assert!(!place.unpacked(&four, "back").join("new").exists());
}

#[tokio::test]
async fn many_at_once_all_get_their_artifact() {
    let place = Arc::new(Place::new(REPO));
    repository(&place.path("repo"));
    let runs: Vec<_> = (0..50)
        .map(|number| {
            let place = place.clone();
            tokio::spawn(async move {
                let request = keyed(codecommit("main"), &number.to_string());
                let outcome = place.run(&request).await;
                assert_succeeded(&outcome);
                (fs::read(place.stored(&request)).unwrap(), outcome.outputs[0].digest.clone())
            })
        })
        .collect();
    let mut all = Vec::new();
    for run in runs {
        all.push(run.await.unwrap());
    }
    assert!(all.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test]
async fn packed_refs_worktrees_bare_repositories_and_detached_heads_are_read() {
    let place = Place::new(
        "[source.Checkout]\npath = 'repo'\n[source.\"shop/Bare\"]\npath = 'bare.git'\n[source.Tree]\npath = 'tree'\n[source.Dot]\npath = 'repo/.git'\n",
    );
    let repo = place.path("repo");
    let id = repository(&repo);
    git(&repo, &["branch", "release/1.x"]);
    git(&repo, &["worktree", "add", "-q", "../tree", "-b", "topic"]);
    let topic = commit(&place.path("tree"), "Topic");
    git(&repo, &["checkout", "-q", "--detach"]);
    git(place.dir.path(), &["clone", "-q", "--bare", "repo", "bare.git"]);
    git(&repo, &["pack-refs", "--all"]);
    git(&repo, &["gc", "-q"]);
    for (action, branch, expected) in [
        ("Checkout", "main", &id),
        ("Checkout", "release/1.x", &id),
        ("Checkout", "topic", &topic),
        ("Bare", "release/1.x", &id),
        ("Tree", "main", &id),
        ("Tree", "topic", &topic),
        ("Dot", "topic", &topic),
    ] {
        let mut request = codecommit(branch);
        request.declaration.name = action.into();
        let outcome = place.run(&request).await;
        assert_eq!(
            (outcome.error.clone(), outcome.variables.get("CommitId")),
            (None, Some(expected)),
            "{action} {branch}"
        );
    }
}

#[tokio::test]
async fn repositories_with_sha256_or_reftable_are_read_where_git_makes_them() {
    for options in [&["--object-format=sha256"][..], &["--ref-format=reftable"]] {
        let place = Place::new(REPO);
        let repo = place.path("repo");
        fs::create_dir(&repo).unwrap();
        let made = Command::new("git").args(["init", "-q", "-b", "main"]).args(options).arg(&repo).output().unwrap();
        if !made.status.success() {
            println!("SKIPPED: this git has no {options:?}");
            continue;
        }
        fs::write(repo.join("a"), "x").unwrap();
        let id = commit(&repo, "One");
        let outcome = place.run(&codecommit("main")).await;
        assert_eq!((outcome.error.clone(), outcome.variables.get("CommitId")), (None, Some(&id)), "{options:?}");
        let outcome = place.run(&codecommit("other")).await;
        assert!(failure(&outcome).1.contains("its branches: main"), "{outcome:?}");
        let cloned =
            place.run(&keyed(codecommit("main").configure("OutputArtifactFormat", "CODEBUILD_CLONE_REF"), "c")).await;
        assert_succeeded(&cloned);
    }
}

#[tokio::test]
async fn an_override_wins_over_the_pushed_commit_which_wins_over_the_branch() {
    let place = Place::new(REPO);
    let repo = place.path("repo");
    let (first, second, third) = (repository(&repo), commit(&repo, "Second"), commit(&repo, "Third"));
    let mut request = codecommit("main");
    assert_eq!(place.run(&request).await.variables["CommitId"], third);
    request.pushed_commit = Some(second.clone());
    assert_eq!(place.run(&request).await.variables["CommitId"], second);
    let asked = |kind, value: &str| Some(SourceOverride { action: "Checkout".into(), kind, value: value.into() });
    request.source_override = asked(SourceRevisionType::CommitId, &first.to_uppercase());
    let outcome = place.run(&request).await;
    assert_eq!(outcome.variables["CommitId"], first);
    assert_eq!(outcome.variables["BranchName"], "main");

    for (asked, code, said) in [
        (asked(SourceRevisionType::CommitId, &"0".repeat(40)), "RevisionUnavailable", "has no commit 0000"),
        (asked(SourceRevisionType::CommitId, &first[..8]), "RevisionUnavailable", "no full commit id of 40 digits"),
        (asked(SourceRevisionType::CommitId, "--output=/tmp/x"), "RevisionUnavailable", "no full commit id"),
        (asked(SourceRevisionType::ImageDigest, "sha256:1"), "ConfigurationError", "takes a COMMIT_ID"),
    ] {
        request.source_override = asked;
        let outcome = place.run(&request).await;
        let (found, message) = failure(&outcome);
        assert!(found == code && message.contains(said), "{found} {message}");
    }
}

#[tokio::test]
async fn what_is_missing_is_said() {
    let place = Place::new(
        "[source.Checkout]\npath = 'repo'\n[source.Gone]\npath = 'gone'\n[source.Plain]\npath = 'plain'\n[source.Unborn]\npath = 'unborn'\n",
    );
    repository(&place.path("repo"));
    git(&place.path("repo"), &["branch", "dev"]);
    fs::create_dir(place.path("plain")).unwrap();
    git(place.dir.path(), &["init", "-q", "-b", "main", "unborn"]);
    for (action, branch, code, said) in [
        ("Checkout", "mian", "RevisionUnavailable", "has no branch `mian`; its branches: dev, main"),
        ("Checkout", "../../HEAD", "RevisionUnavailable", "has no branch `../../HEAD`"),
        ("Checkout", "", "ConfigurationError", "needs `BranchName`"),
        ("Gone", "main", "ConfigurationError", "gone stands in for `Gone`, but it is not there"),
        ("Plain", "main", "ConfigurationError", "plain is no git repository"),
        ("Unborn", "main", "RevisionUnavailable", "nothing is committed there yet"),
        ("Other", "main", "ConfigurationError", "penstock.toml:\n[source.\"Other\"]\npath = "),
    ] {
        let mut request = codecommit(branch);
        request.declaration.name = action.into();
        let outcome = place.run(&request).await;
        let (found, message) = failure(&outcome);
        assert!(found == code && message.contains(said), "{action}: {found} {message}");
        assert!(!place.stored(&request).exists());
    }
    let mut outside = codecommit("../../../escaped").configure("OutputArtifactFormat", "CODEBUILD_CLONE_REF");
    outside.pushed_commit = Some(git(&place.path("repo"), &["rev-parse", "HEAD"]));
    assert!(failure(&place.run(&outside).await).1.contains("has no branch `../../../escaped`"));
    let wrong = codecommit("main").configure("OutputArtifactFormat", "TARBALL");
    assert!(failure(&place.run(&wrong).await).1.contains("CODE_ZIP or CODEBUILD_CLONE_REF"));
    let left = fs::read_dir(place.path("data/artifacts/.incoming")).unwrap().count();
    assert_eq!(left, 0, "nothing is left of what failed");
}

#[tokio::test]
async fn nothing_that_the_repository_configures_is_run() {
    let place = Place::new(REPO);
    let repo = place.path("repo");
    repository(&repo);
    fs::write(repo.join(".gitattributes"), "* filter=evil\n").unwrap();
    commit(&repo, "Attributes");
    let mark = place.path("ran");
    let evil = format!("sh -c 'touch {}; cat'", mark.display());
    for key in [
        "filter.evil.smudge",
        "filter.evil.clean",
        "core.fsmonitor",
        "core.sshCommand",
        "uploadpack.packObjectsHook",
        "core.pager",
    ] {
        git(&repo, &["config", key, &evil]);
    }
    for hook in ["post-checkout", "reference-transaction", "post-index-change", "pre-auto-gc"] {
        let path = repo.join(".git/hooks").join(hook);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\ntouch {}\n", mark.display())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::write(repo.join("dirty"), "x").unwrap();
    for format in ["CODE_ZIP", "CODEBUILD_CLONE_REF"] {
        let request = keyed(codecommit("main").configure("OutputArtifactFormat", format), format);
        assert_succeeded(&place.run(&request).await);
    }
    wait_for(&place.log_file(&codecommit("main")), "uncommitted").await;
    assert!(!mark.exists());
}

#[tokio::test]
async fn uncommitted_changes_are_left_out_and_that_is_said() {
    let place = Place::new(REPO);
    let repo = place.path("repo");
    repository(&repo);
    fs::write(repo.join("bin/run"), "changed").unwrap();
    fs::write(repo.join("untracked"), "x").unwrap();
    let request = codecommit("main");
    assert_succeeded(&place.run(&request).await);
    let files = place.unpacked(&request, "out");
    assert_eq!(fs::read_to_string(files.join("bin/run")).unwrap(), "#!/bin/sh\n");
    assert!(!files.join("untracked").exists());
    wait_for(&place.log_file(&request), "repo has uncommitted changes: they are not part").await;
}

/// Waits until a log says something: it is said in its own time.
async fn wait_for(log: &Path, said: &str) {
    for _ in 0..500 {
        if fs::read_to_string(log).is_ok_and(|text| text.contains(said)) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("{}: {:?}", log.display(), fs::read_to_string(log));
}

#[tokio::test]
async fn a_full_clone_has_its_history_branches_and_tags() {
    let place = Place::new(REPO);
    let repo = place.path("repo");
    let first = repository(&repo);
    git(&repo, &["tag", "v1", "-a", "-m", "one"]);
    let second = commit(&repo, "Second");
    git(&repo, &["branch", "dev", &first]);
    let mut request = codecommit("main").configure("OutputArtifactFormat", "CODEBUILD_CLONE_REF");
    assert_succeeded(&place.run(&request).await);
    let clone = place.unpacked(&request, "clone");
    // It stands on its own.
    fs::rename(&repo, place.path("elsewhere")).unwrap();
    assert_eq!(git(&clone, &["rev-parse", "HEAD"]), second);
    assert_eq!(git(&clone, &["status", "--porcelain"]), "");
    assert_eq!(git(&clone, &["symbolic-ref", "HEAD"]), "refs/heads/main");
    assert_eq!(git(&clone, &["rev-list", "--count", "HEAD"]), "2");
    assert_eq!(git(&clone, &["rev-parse", "origin/dev", "v1^{commit}"]), format!("{first}\n{first}"));
    assert_eq!(git(&clone, &["fsck", "--no-progress"]), "");
    assert_eq!(fs::read_link(clone.join("go")).unwrap(), PathBuf::from("bin/run"));
    fs::rename(place.path("elsewhere"), &repo).unwrap();

    request = keyed(request, "2");
    request.pushed_commit = Some(first.clone());
    assert_succeeded(&place.run(&request).await);
    let older = place.unpacked(&request, "older");
    assert_eq!(git(&older, &["rev-parse", "HEAD", "origin/main"]), format!("{first}\n{second}"));
    assert_eq!(git(&older, &["status", "--porcelain"]), "");
}

fn s3(key: &str) -> ActionRequest {
    let request = request(Category::Source, "S3").output("Src", &[]);
    request.configure("S3Bucket", "in").configure("S3ObjectKey", key)
}

#[tokio::test]
async fn an_s3_source_takes_an_object_as_it_is_and_a_directory_packed() {
    use std::os::unix::fs::MetadataExt;
    let place = Place::new("[bucket.in]\npath = 'files'\n");
    let files = place.path("files");
    fs::create_dir_all(files.join("app/src")).unwrap();
    fs::write(files.join("app/src/main"), "1").unwrap();
    fs::write(files.join("object.bin"), "not a zip").unwrap();

    let object = s3("object.bin");
    let outcome = place.run(&object).await;
    assert_succeeded(&outcome);
    assert_eq!(fs::read(place.stored(&object)).unwrap(), b"not a zip");
    let version = outcome.variables["VersionId"].clone();
    assert_eq!(outcome.outputs[0].digest.as_ref(), Some(&version));
    assert_eq!(
        (outcome.variables["BucketName"].as_str(), outcome.variables["ObjectKey"].as_str()),
        ("in", "object.bin")
    );
    assert_eq!(outcome.variables["ETag"].len(), 32);
    assert_eq!(outcome.revision.unwrap().summary.unwrap(), format!("Amazon S3 version id: {version}"));

    let below = keyed(s3("app"), "below");
    assert_succeeded(&place.run(&below).await);
    assert!(place.unpacked(&below, "below").join("src/main").exists());
    let whole = keyed(s3("app.zip"), "whole");
    let outcome = place.run(&whole).await;
    assert_succeeded(&outcome);
    let taken = format!("; all files below {}", files.display());
    assert!(outcome.summary.as_ref().unwrap().ends_with(&taken), "{outcome:?}");
    assert!(place.unpacked(&whole, "whole").join("app/src/main").exists());

    // Files this young may change once more without their times showing it: nothing is shared yet.
    let again = keyed(s3("app"), "again");
    assert_succeeded(&place.run(&again).await);
    let inode = |request: &ActionRequest| fs::metadata(place.stored(request)).unwrap().ino();
    assert_ne!(inode(&below), inode(&again));
    fs::write(files.join("app/src/main"), "2").unwrap();
    let after = keyed(s3("app"), "after");
    assert_succeeded(&place.run(&after).await);
    assert_eq!(fs::read_to_string(place.unpacked(&after, "after").join("src/main")).unwrap(), "2");
}

#[tokio::test]
async fn settled_files_are_packed_once() {
    use std::os::unix::fs::MetadataExt;
    let place = Place::new("[bucket.in]\npath = 'files'\n");
    fs::create_dir(place.path("files")).unwrap();
    fs::write(place.path("files/a"), "1").unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(2100)).await;
    let (one, two) = (keyed(s3("x.zip"), "1"), keyed(s3("x.zip"), "2"));
    assert_succeeded(&place.run(&one).await);
    assert_succeeded(&place.run(&two).await);
    let inode = |request: &ActionRequest| fs::metadata(place.stored(request)).unwrap().ino();
    assert_eq!(inode(&one), inode(&two));
    fs::write(place.path("files/b"), "1").unwrap();
    let three = keyed(s3("x.zip"), "3");
    assert_succeeded(&place.run(&three).await);
    assert!(place.unpacked(&three, "out").join("b").exists());
}

#[tokio::test]
async fn an_s3_source_on_a_repository_takes_what_is_committed() {
    let place = Place::new("[source.Run]\npath = 'repo'\n");
    let id = repository(&place.path("repo"));
    fs::write(place.path("repo/untracked"), "x").unwrap();
    let request = s3("app.zip");
    let outcome = place.run(&request).await;
    assert_succeeded(&outcome);
    assert_eq!(outcome.variables["VersionId"], id);
    let files = place.unpacked(&request, "out");
    assert!(files.join("go").exists() && !files.join("untracked").exists() && !files.join(".git").exists());
}

#[tokio::test]
async fn s3_overrides_and_faults() {
    let place = Place::new("[bucket.in]\npath = 'files'\n[bucket.gone]\npath = 'gone'\n");
    fs::create_dir(place.path("files")).unwrap();
    fs::write(place.path("files/a"), "1").unwrap();
    fs::write(place.path("files/b"), "2").unwrap();
    for directory in ["files/k", "files/l"] {
        fs::create_dir(place.path(directory)).unwrap();
    }
    fs::write(place.path("files/l/other.zip"), "").unwrap();
    fs::write(place.path("files/l/apps.zip"), "").unwrap();
    let asked = |kind, value: &str| Some(SourceOverride { action: "Run".into(), kind, value: value.into() });
    let version = place.run(&s3("a")).await.variables["VersionId"].clone();

    let mut request = s3("a").configure("AllowOverrideForS3ObjectKey", "true");
    request.source_override = asked(SourceRevisionType::S3ObjectKey, "b");
    let outcome = place.run(&request).await;
    assert_eq!(outcome.variables["ObjectKey"], "b");
    assert_eq!(fs::read(place.stored(&request)).unwrap(), b"2");
    request = s3("a");
    request.source_override = asked(SourceRevisionType::S3ObjectVersionId, &version);
    assert_succeeded(&place.run(&request).await);

    for (request, code, said) in [
        (
            with(s3("a"), asked(SourceRevisionType::S3ObjectKey, "b")),
            "ConfigurationError",
            "AllowOverrideForS3ObjectKey",
        ),
        (
            with(s3("a"), asked(SourceRevisionType::S3ObjectVersionId, "old")),
            "RevisionUnavailable",
            "only the present one",
        ),
        (with(s3("a"), asked(SourceRevisionType::CommitId, "x")), "ConfigurationError", "not a COMMIT_ID"),
        (s3("k/app.zip"), "ConfigurationError", "/files/k there is nothing"),
        (s3("l/app.zip"), "ConfigurationError", "/files/l there is apps.zip, other.zip"),
        (s3("../data/secret"), "ConfigurationError", "no object key below"),
        (s3("a").configure("S3Bucket", "gone"), "ConfigurationError", "but it is not there"),
        (s3("a").configure("S3Bucket", "other"), "ConfigurationError", "[bucket.\"other\"]\npath ="),
    ] {
        let outcome = place.run(&request).await;
        let (found, message) = failure(&outcome);
        assert!(found == code && message.contains(said), "{found} {message}");
    }
}

fn with(mut request: ActionRequest, asked: Option<SourceOverride>) -> ActionRequest {
    request.source_override = asked;
    request
}
