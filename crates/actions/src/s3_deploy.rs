//! The S3 deploy action: an artifact as one object, or its files as many.
//!
//! Names are all checked before the first file is put: what cannot be deployed whole changes nothing. Objects of earlier
//! deploys stay.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ObjectCannedAcl;
use control::ports::{ActionReply, ActionRequest};
use engine::Outcome;
use futures::StreamExt as _;

use crate::archive::{Archive, Entry};
use crate::configuration::{Settings, console, region};
use crate::fault::{Fault, scratch};
use crate::objects::{Objects, Storing};
use crate::registry::Provider;
use crate::roles::Session;
use crate::runner::{Guarantee, ProviderParts, ended};

/// How many files are put at a time.
const AT_A_TIME: usize = 8;
/// What is larger does not fit into memory several times.
const LARGE_BYTES: u64 = 8 * 1024 * 1024;
/// The longest key of an object, in bytes.
const MAX_KEY_BYTES: usize = 1024;

/// The S3 deploy action.
pub(crate) struct S3Deploy;

/// A deploy, its configuration understood.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Deploy {
    bucket: String,
    extract: bool,
    /// The object's key; with `extract` what stands before each file's path, and may be empty.
    key: String,
    storing: Storing,
}

#[async_trait]
impl Provider for S3Deploy {
    /// The same objects are put again.
    fn guarantee(&self) -> Guarantee {
        Guarantee::Token
    }

    async fn start(&self, parts: &ProviderParts, request: &ActionRequest) -> Result<ActionReply, Fault> {
        let deploy = deploy(request)?;
        let config = parts.roles.config(&Session::of(request)).await?;
        let objects = Objects::new(&config, &request.role_arn);
        let summary = if deploy.extract {
            extract(&objects, request, &deploy).await?
        } else {
            copy(&objects, request, &deploy).await?
        };
        let url = console(region(request), &format!("s3/buckets/{}?prefix={}", deploy.bucket, deploy.key));
        let outcome = Outcome { summary: Some(summary), external_url: Some(url), ..Outcome::default() };
        Ok(ended(outcome))
    }
}

fn deploy(request: &ActionRequest) -> Result<Deploy, Fault> {
    let settings = Settings(request);
    let bucket = settings.required("BucketName")?.to_owned();
    let extract = settings.boolean("Extract")?.ok_or_else(|| settings.fault("Extract", "is missing"))?;
    let key = match settings.optional("ObjectKey") {
        Some(key) => object_key(request, key)?,
        None if extract => String::new(),
        None => return Err(settings.fault("ObjectKey", "is missing; it is needed where `Extract` is \"false\"")),
    };
    let storing = Storing {
        kms_key: settings.optional("KMSEncryptionKeyARN").map(Into::into),
        canned_acl: settings.optional("CannedACL").map(|acl| canned_acl(settings, acl)).transpose()?,
        cache_control: settings.optional("CacheControl").map(Into::into),
        ..Storing::default()
    };
    Ok(Deploy { bucket, extract, key, storing })
}

fn canned_acl(settings: Settings<'_>, acl: &str) -> Result<String, Fault> {
    let known = ObjectCannedAcl::values();
    if known.contains(&acl) {
        return Ok(acl.to_owned());
    }
    Err(settings.fault("CannedACL", &format!("is one of {}, not {acl:?}", known.join(", "))))
}

/// A key with `{datetime}` and `{uuid}` filled in: the same ones however often the action is started.
fn object_key(request: &ActionRequest, key: &str) -> Result<String, Fault> {
    let began = request.action.started_at.to_iso_seconds();
    // 2019-01-10_07-39-57
    let datetime = began.trim_end_matches('Z').replace('T', "_").replace(':', "-");
    let filled = key.replace("{datetime}", &datetime).replace("{uuid}", &request.action.id.to_string());
    let filled = filled.trim_matches('/').to_owned();
    let leads_out = filled.split('/').any(|part| matches!(part, "." | ".."));
    if filled.is_empty() || leads_out || filled.contains('\0') || filled.len() > MAX_KEY_BYTES {
        return Err(Settings(request).fault("ObjectKey", &format!("{key:?} is no key below the bucket")));
    }
    Ok(filled)
}

async fn copy(objects: &Objects, request: &ActionRequest, deploy: &Deploy) -> Result<String, Fault> {
    let input = Settings(request).input()?;
    let from = objects.newest(input).await?;
    let storing = Storing { content_type: Some(content_type(&deploy.key)), ..deploy.storing.clone() };
    objects.copy(&from, &deploy.bucket, &deploy.key, &storing).await?;
    Ok(format!("the archive to s3://{}/{}", deploy.bucket, deploy.key))
}

async fn extract(objects: &Objects, request: &ActionRequest, deploy: &Deploy) -> Result<String, Fault> {
    let input = Settings(request).input()?;
    let scratch_directory = tempfile::tempdir().map_err(|error| scratch(&error))?;
    let path = scratch_directory.path().join("artifact");
    objects.fetch(input, &path).await?;
    let name = format!("the artifact {}", input.name);
    let opened = blocking(move || {
        let mut archive = Archive::open(&path, &name)?;
        let files = archive.files()?;
        Ok((archive, files))
    });
    let (archive, files) = opened.await?;
    let placed = place(&files, deploy)?;
    let unpacking = Arc::new(Unpacking {
        archive: Mutex::new(archive),
        files: files.clone(),
        directory: scratch_directory.path().into(),
    });
    let count = placed.len();
    let mut putting = futures::stream::iter(placed)
        .map(|(entry, key)| put(objects, deploy, unpacking.clone(), entry, key))
        .buffer_unordered(AT_A_TIME);
    while let Some(put) = putting.next().await {
        put?;
    }
    Ok(format!("{count} files to s3://{}/{}", deploy.bucket, deploy.key))
}

/// An archive that is read by one at a time.
struct Unpacking {
    archive: Mutex<Archive>,
    files: Vec<Entry>,
    directory: PathBuf,
}

/// A file's content.
enum Content {
    Small(Vec<u8>),
    /// In a file of its own, which is removed with this.
    Large(tempfile::NamedTempFile),
}

impl Unpacking {
    fn content(&self, entry: &Entry) -> Result<Content, Fault> {
        let mut archive = self.archive.lock().unwrap_or_else(PoisonError::into_inner);
        if entry.size <= LARGE_BYTES {
            let mut content = Vec::new();
            archive.copy(&self.files, entry, &mut content)?;
            return Ok(Content::Small(content));
        }
        let mut file = tempfile::NamedTempFile::new_in(&self.directory).map_err(|error| scratch(&error))?;
        archive.copy(&self.files, entry, &mut file)?;
        Ok(Content::Large(file))
    }
}

/// Each file's key.
fn place(files: &[Entry], deploy: &Deploy) -> Result<Vec<(Entry, String)>, Fault> {
    let key = |entry: &Entry| {
        let key = if deploy.key.is_empty() { entry.path.clone() } else { format!("{}/{}", deploy.key, entry.path) };
        if key.len() > MAX_KEY_BYTES {
            let what = format!("`{key}` is longer than the {MAX_KEY_BYTES} bytes that an object's key may have");
            return Err(Fault::job(what));
        }
        Ok((entry.clone(), key))
    };
    files.iter().map(key).collect()
}

async fn put(
    objects: &Objects,
    deploy: &Deploy,
    unpacking: Arc<Unpacking>,
    entry: Entry,
    key: String,
) -> Result<(), Fault> {
    let content = blocking(move || unpacking.content(&entry)).await?;
    let storing = Storing { content_type: Some(content_type(&key)), ..deploy.storing.clone() };
    match content {
        Content::Small(bytes) => objects.put(&deploy.bucket, &key, ByteStream::from(bytes), &storing).await,
        Content::Large(file) => objects.put_file(&deploy.bucket, &key, file.path(), &storing).await,
    }
}

fn content_type(key: &str) -> String {
    mime_guess::from_path(key).first_or_octet_stream().to_string()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Fault> + Send + 'static) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Fault::Later(error.to_string()))?
}

#[cfg(test)]
mod tests;
