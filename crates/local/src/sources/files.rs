//! S3 source actions, from a file or a directory on this machine.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use control::ports::ActionRequest;
use engine::ArtifactLocation;
use model::{SourceRevisionType, StringMap, Timestamp};
use sha2::{Digest, Sha256};

use super::ready::{Made, Ready, Wanted};
use super::repository::Repository;
use super::{Found, SourceError, Sources, required};
use crate::archive::{self, Entry};
use crate::config::{LocalConfig, bucket_lines};
use crate::process::LogSink;

/// Files changed this shortly before they are looked at may change once more without their times showing it.
const SETTLED: Duration = Duration::from_secs(1);

/// What stands in for an object.
enum Object {
    File(PathBuf),
    Directory(PathBuf),
    /// The directory that stands in for the bucket, as nothing lies at the key.
    Whole(PathBuf),
    Repository(Box<Repository>),
}

impl Sources {
    pub(super) async fn bring_object(
        &self,
        request: &ActionRequest,
        config: &LocalConfig,
        output: &ArtifactLocation,
        sink: &Arc<LogSink>,
    ) -> Result<Found, SourceError> {
        let (bucket, key) = (required(request, "S3Bucket")?, object_key(request)?);
        let (object, path) = find(request, config, bucket, &key)?;
        let mut taken = String::new();
        let ready = match object {
            Object::Repository(repository) => {
                let head = repository.resolve(&self.git, "HEAD").await?;
                let id = head.ok_or_else(|| {
                    SourceError::Revision(format!("nothing is committed in {} yet", repository.path.display()))
                })?;
                sink.remark(&format!("commit {id} in {}", path.display()));
                self.files_of(&repository, &id, output, sink).await?
            }
            Object::File(file) => {
                sink.remark(&format!("the file {}", file.display()));
                self.files_at(file.clone(), Some(file), output).await?
            }
            Object::Directory(directory) => {
                sink.remark(&format!("the files below {}", directory.display()));
                self.files_at(directory, None, output).await?
            }
            Object::Whole(directory) => {
                sink.remark(&format!(
                    "nothing is at {}: all files of the directory are taken",
                    path.join(&key).display()
                ));
                taken = format!("; all files below {}", directory.display());
                self.files_at(directory, None, output).await?
            }
        };
        let version = ready.commit.as_ref().map_or_else(|| ready.sha256.clone(), |commit| commit.id.clone());
        check_override(request, &version, &path)?;
        let variables = StringMap::from([
            ("BucketName".into(), bucket.to_owned()),
            // Opaque, as S3's own is for most objects.
            ("ETag".into(), ready.sha256.chars().take(32).collect()),
            ("ObjectKey".into(), key),
            ("VersionId".into(), version.clone()),
        ]);
        let summary = format!("Amazon S3 version id: {version}{taken}");
        Ok(Found { ready, revision_id: version, summary, url: None, variables })
    }

    /// Files as they lie, at the output's key: `as_is`, or all below `path` as an archive.
    async fn files_at(
        &self,
        path: PathBuf,
        as_is: Option<PathBuf>,
        output: &ArtifactLocation,
    ) -> Result<Arc<Ready>, SourceError> {
        let (root, data) = (path.clone(), self.data.clone());
        let (entries, look) = blocking(&path, move || look_at(&root, &data)).await?;
        let wanted = match look.settled {
            true => Wanted::Files { path: path.clone(), fingerprint: look.fingerprint },
            // Under its output's own name it is never found again.
            false => Wanted::Files { path: path.clone(), fingerprint: output.key.clone() },
        };
        let created = look.newest;
        let make = async |to: PathBuf| {
            let root = path.clone();
            let (sha256, size) = blocking(&path, move || match as_is {
                Some(object) => copy(&object, &to),
                None => {
                    archive::pack(&root, entries, &to).map(|packed| (packed.sha256, packed.size)).map_err(Into::into)
                }
            })
            .await?;
            Ok(Made { sha256, size, created, commit: None })
        };
        self.prepared.deliver(&self.artifacts, wanted, output, make).await
    }
}

fn copy(object: &Path, to: &Path) -> Result<(String, u64), SourceError> {
    let fault = |source| SourceError::Io { path: object.into(), source };
    fs::copy(object, to).map_err(fault)?;
    archive::digest_of(to).map_err(fault)
}

/// The key of the object: the configured one, or the one asked for where that is allowed.
fn object_key(request: &ActionRequest) -> Result<String, SourceError> {
    let configured = required(request, "S3ObjectKey")?;
    let Some(asked) = request.source_override.as_ref().filter(|a| a.kind == SourceRevisionType::S3ObjectKey) else {
        return Ok(configured.to_owned());
    };
    match request.declaration.configuration.get("AllowOverrideForS3ObjectKey").map(String::as_str) {
        Some("true") => Ok(asked.value.clone()),
        _ => Err(SourceError::Configuration(format!(
            "the source action `{}` takes another object key only with `AllowOverrideForS3ObjectKey` set to \"true\"",
            request.declaration.name
        ))),
    }
}

fn check_override(request: &ActionRequest, version: &str, path: &Path) -> Result<(), SourceError> {
    match &request.source_override {
        Some(asked) if asked.kind == SourceRevisionType::S3ObjectVersionId && asked.value != version => {
            let path = path.display();
            Err(SourceError::Revision(format!(
                "the version {} is asked for, but {path} has only the present one, {version}",
                asked.value
            )))
        }
        Some(asked)
            if !matches!(asked.kind, SourceRevisionType::S3ObjectVersionId | SourceRevisionType::S3ObjectKey) =>
        {
            let kind = asked.kind;
            let what = format!("an S3 source takes an S3_OBJECT_VERSION_ID or S3_OBJECT_KEY, not a {kind}");
            Err(SourceError::Configuration(what))
        }
        _ => Ok(()),
    }
}

/// What stands in for the object, and the path that messages name: `[source]` wins over `[bucket]`; an object below the
/// directory is taken as it is, and without one, nor a directory that it would be in, the directory itself is packed.
fn find(
    request: &ActionRequest,
    config: &LocalConfig,
    bucket: &str,
    key: &str,
) -> Result<(Object, PathBuf), SourceError> {
    let action = request.declaration.name.as_str();
    let own = config.source(request.pipeline.as_str(), action);
    let path = own.or_else(|| config.buckets.get(bucket).map(PathBuf::as_path)).ok_or_else(|| {
        let what = format!("nothing stands in for the bucket `{bucket}`, which the source action `{action}` reads");
        SourceError::Configuration(config.advise(&what, &bucket_lines(bucket)))
    })?;
    if !Path::new(key).components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(SourceError::Configuration(format!("`{key}` is no object key below {}", path.display())));
    }
    let about = |path: &Path| fs::metadata(path).ok();
    let object = path.join(key);
    let found = match (about(path), about(&object)) {
        (None, _) => {
            let (config, path) = (config.shown(), path.display());
            let what = format!("{config} says that {path} stands in for the bucket `{bucket}`, but it is not there");
            return Err(SourceError::Configuration(what));
        }
        (Some(there), _) if there.is_file() => Object::File(path.into()),
        (_, Some(there)) if there.is_file() => Object::File(object),
        (_, Some(there)) if there.is_dir() => Object::Directory(object),
        _ => match Repository::open(path) {
            Ok(repository) => Object::Repository(Box::new(repository)),
            Err(_) => match missing(path, key) {
                Some(missing) => return Err(SourceError::Configuration(missing)),
                None => Object::Whole(path.into()),
            },
        },
    };
    Ok((found, path.into()))
}

/// What is wrong with a key that nothing lies at although its directory is there: it is mistyped, or was not built yet.
/// A directory with nothing of the kind stands in for the object as a whole.
pub(crate) fn missing(bucket: &Path, key: &str) -> Option<String> {
    let object = bucket.join(key);
    let directory = object.parent().filter(|parent| *parent != bucket && parent.is_dir())?;
    if object.exists() || Repository::open(bucket).is_ok() {
        return None;
    }
    let mut there: Vec<String> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(|item| Some(item.ok()?.file_name().to_string_lossy().into_owned()))
        .collect();
    there.sort();
    let more = if there.len() > MOST_SHOWN { ", …" } else { "" };
    there.truncate(MOST_SHOWN);
    let there = if there.is_empty() { "nothing".into() } else { there.join(", ") };
    Some(format!("no object `{key}` is in {}; in {} there is {there}{more}", bucket.display(), directory.display()))
}

/// How many names of a directory are shown.
const MOST_SHOWN: usize = 10;

/// What can be told of files without reading them.
struct Look {
    fingerprint: String,
    /// Whether an unchanged fingerprint means unchanged files.
    settled: bool,
    /// When the youngest of them was changed.
    newest: Option<Timestamp>,
}

/// The files of an object or directory, but for Penstock's own in `data`.
fn look_at(path: &Path, data: &Path) -> Result<(Vec<Entry>, Look), SourceError> {
    let entries = match fs::metadata(path) {
        Ok(about) if about.is_file() => vec![Entry { name: PathBuf::from("object"), from: path.into() }],
        _ => archive::tree_without(path, below(path, data).as_deref())?,
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut hasher = Sha256::new();
    let (mut youngest, mut newest) = (0, None);
    let mut sorted: Vec<&Entry> = entries.iter().collect();
    sorted.sort();
    for entry in sorted {
        let fault = |source| SourceError::Io { path: entry.from.clone(), source };
        let about = fs::symlink_metadata(&entry.from).map_err(fault)?;
        hasher.update(entry.name.as_os_str().as_encoded_bytes());
        hasher.update([0]);
        hasher.update(identity(&about));
        youngest = youngest.max(about.ctime());
        newest = newest.max(Some(Timestamp(about.mtime().saturating_mul(1000))));
    }
    let settled = now.saturating_sub(SETTLED).as_secs() > u64::try_from(youngest).unwrap_or(0);
    Ok((entries, Look { fingerprint: control::hexadecimal::hex(&hasher.finalize()), settled, newest }))
}

/// The path below `root` at which `directory` lies, if it does.
fn below(root: &Path, directory: &Path) -> Option<PathBuf> {
    let (root, directory) = (fs::canonicalize(root).ok()?, fs::canonicalize(directory).ok()?);
    directory.strip_prefix(root).ok().map(Path::to_path_buf)
}

/// What changes when a file does.
fn identity(about: &Metadata) -> Vec<u8> {
    let numbers =
        [about.ino(), about.size(), u64::from(about.mode()), about.dev()].into_iter().flat_map(u64::to_le_bytes);
    let times = [about.mtime(), about.mtime_nsec(), about.ctime(), about.ctime_nsec()];
    numbers.chain(times.into_iter().flat_map(i64::to_le_bytes)).collect()
}

async fn blocking<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> Result<T, SourceError> + Send + 'static,
) -> Result<T, SourceError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(SourceError::Io { path: path.into(), source: std::io::Error::other(error) }),
    }
}
