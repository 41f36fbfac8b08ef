//! S3 deploys into directories.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use control::ports::{ActionRequest, Artifacts};
use engine::Outcome;
use local::deploy::deploy_to_bucket;
use local::process::{LogSink, log_path};
use model::Category;

use super::action::{Declare, Place, assert_succeeded, failure, request};

const BUCKETS: &str = "[bucket.site]\npath = 'out/site'\n[bucket.mirror]\npath = 'out/mirror'\n";

async fn run(place: &Place, request: &ActionRequest) -> Outcome {
    let path = log_path(&place.ctx.data, &request.pipeline, &request.action.key);
    let sink = LogSink::new(path, request.action.key.clone(), &[], 1 << 20, None).unwrap();
    deploy_to_bucket(&place.ctx, request, &sink).await
}

fn deploy(bucket: &str, extract: &str) -> ActionRequest {
    request(Category::Deploy, "S3").input("App").configure("BucketName", bucket).configure("Extract", extract)
}

fn listing(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        local::archive::tree(directory).unwrap().into_iter().map(|entry| entry.name.display().to_string()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn an_artifact_is_extracted_below_its_key_and_leaves_other_files() {
    let place = Place::with(BUCKETS);
    place.artifact("App", &[("index.html", "new"), ("a/b.css", "css"), ("latest@", "index.html")]).await;
    let site = place.path().join("out/site");
    fs::create_dir_all(site.join("v1")).unwrap();
    fs::write(site.join("v1/index.html"), "old").unwrap();
    fs::write(site.join("kept"), "x").unwrap();
    let request = deploy("site", "true").configure("ObjectKey", "/v1/").configure("CannedACL", "public-read");
    let outcome = run(&place, &request).await;
    assert_succeeded(&outcome);
    assert_eq!(listing(&site), ["kept", "v1/a/b.css", "v1/index.html", "v1/latest"]);
    assert_eq!(fs::read_to_string(site.join("v1/latest")).unwrap(), "new");
    assert!(outcome.summary.unwrap().starts_with("3 files to "));
    assert!(place.log(&request).contains("CannedACL means nothing for a directory"));
    // Again, over what a killed process left: it replaces itself.
    let left = site.join(format!(".penstock-{}", request.action.id));
    fs::create_dir(&left).unwrap();
    fs::write(left.join("half"), "x").unwrap();
    assert_succeeded(&run(&place, &request).await);
    assert_eq!(fs::read_dir(&site).unwrap().count(), 2, "nothing is left beside");
}

#[tokio::test]
async fn a_file_that_stands_in_for_the_bucket_is_named() {
    let place = Place::with("[bucket.site]\npath = 'site.zip'\n");
    place.artifact("App", &[("index.html", "new")]).await;
    fs::write(place.path().join("site.zip"), "kept").unwrap();
    let outcome = run(&place, &deploy("site", "true")).await;
    let (code, message) = failure(&outcome);
    assert_eq!(code, "ConfigurationError");
    assert!(message.contains("stands in for the bucket `site` and is a file; a deploy needs a directory"), "{message}");
    assert_eq!(fs::read_to_string(place.path().join("site.zip")).unwrap(), "kept");
}

#[tokio::test]
async fn an_archive_is_written_whole_at_its_key() {
    let place = Place::with(BUCKETS);
    place.artifact("App", &[("index.html", "new")]).await;
    let request = deploy("site", "false").configure("ObjectKey", "releases/app-{datetime}-{uuid}.zip");
    assert_succeeded(&run(&place, &request).await);
    let site = place.path().join("out/site");
    let names = listing(&site);
    let id = request.action.id.to_string();
    let pattern = format!(r"^releases/app-\d{{4}}-\d\d-\d\d_\d\d-\d\d-\d\d-{id}\.zip$");
    assert!(names.len() == 1 && regex::Regex::new(&pattern).unwrap().is_match(&names[0]), "{names:?}");
    let object = site.join(&names[0]);
    assert_eq!(fs::metadata(&object).unwrap().permissions().mode() & 0o777, 0o644);
    local::archive::unpack(&object, &place.path().join("back")).unwrap();
    assert_eq!(listing(&place.path().join("back")), ["index.html"]);
}

#[tokio::test]
async fn two_buckets_are_deployed_to_at_once() {
    let place = Place::with(BUCKETS);
    let files: Vec<(String, String)> = (0..200).map(|n| (format!("d{}/f{n}", n % 9), n.to_string())).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, content)| (name.as_str(), content.as_str())).collect();
    place.artifact("App", &files).await;
    let (site, mirror) = (deploy("site", "true"), deploy("mirror", "true"));
    let (one, two) = tokio::join!(run(&place, &site), run(&place, &mirror));
    assert_succeeded(&one);
    assert_succeeded(&two);
    let out = place.path().join("out");
    assert_eq!(listing(&out.join("site")).len(), 200);
    assert_eq!(listing(&out.join("site")), listing(&out.join("mirror")));
}

#[tokio::test]
async fn what_cannot_be_deployed_whole_changes_nothing() {
    let place = Place::with(BUCKETS);
    let site = place.path().join("out/site");
    fs::create_dir_all(site.join("z")).unwrap();
    fs::write(site.join("a"), "old").unwrap();
    fs::write(site.join("file"), "x").unwrap();
    symlink(place.path(), site.join("link")).unwrap();
    let before = listing(&site);
    for (files, said) in [
        (&[("a", "new"), ("z", "a directory is there")][..], "a directory is there"),
        (&[("a", "new"), ("file/x", "x")], "file is there and no directory"),
        (&[("a", "new"), ("link/escaped", "x")], "link is there and no directory"),
    ] {
        let name = files[1].0.replace('/', "-");
        place.artifact(&name, files).await;
        let mut request = deploy("site", "true");
        request.action.inputs.clear();
        let outcome = run(&place, &request.input(&name)).await;
        let (code, message) = failure(&outcome);
        assert!(code == "JobFailed" && message.contains(said), "{message}");
        assert_eq!(listing(&site), before);
        assert_eq!(fs::read_to_string(site.join("a")).unwrap(), "old");
        assert!(!place.path().join("escaped").exists());
    }
}

#[tokio::test]
async fn hostile_and_broken_artifacts_are_refused() {
    let place = Place::with(BUCKETS);
    let zip = place.path().join("evil.zip");
    let script =
        "import zipfile,sys\nz=zipfile.ZipFile(sys.argv[1],'w')\nz.writestr('ok','x')\nz.writestr('../escaped','x')";
    assert!(Command::new("python3").args(["-c", script]).arg(&zip).status().unwrap().success());
    place.ctx.artifacts.store("bucket", "in/App", &zip).await.unwrap();
    let outcome = run(&place, &deploy("site", "true")).await;
    assert!(failure(&outcome).1.contains("`../escaped` has `..` in its path"), "{outcome:?}");
    fs::write(&zip, "a single file").unwrap();
    place.ctx.artifacts.store("bucket", "in/App", &zip).await.unwrap();
    let outcome = run(&place, &deploy("site", "true")).await;
    assert!(failure(&outcome).1.contains("it is no zip archive"), "{outcome:?}");
    assert_eq!(listing(&place.path().join("out")), Vec::<String>::new());
}

#[tokio::test]
async fn settings_that_make_no_sense_are_said() {
    let place = Place::with(BUCKETS);
    place.artifact("App", &[("a", "x")]).await;
    let mut without = request(Category::Deploy, "S3").input("App").configure("Extract", "true");
    for (request, said) in [
        (deploy("other", "true"), "penstock.toml:\n[bucket.\"other\"]\npath = "),
        (deploy("site", "yes"), "\"true\" or \"false\", not \"yes\""),
        (deploy("site", "false"), "needs `ObjectKey`"),
        (deploy("site", "true").configure("ObjectKey", "../x"), "no path below the bucket"),
        (deploy("site", "false").configure("ObjectKey", "/"), "no path below the bucket"),
        (without.clone(), "needs `BucketName`"),
    ] {
        let outcome = run(&place, &request).await;
        let (code, message) = failure(&outcome);
        assert!(code == "ConfigurationError" && message.contains(said), "{code} {message}");
    }
    without.action.inputs.clear();
    let outcome = run(&place, &without.input("Gone").configure("BucketName", "site")).await;
    assert_eq!(failure(&outcome), ("SystemUnavailable", "the artifact Gone was not found"));
}
