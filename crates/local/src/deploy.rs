//! The S3 deploy action, into the directory that stands in for the bucket.
//!
//! Everything is unpacked beside its place and checked before the first file is moved: what cannot be deployed whole
//! changes nothing. Files then appear one by one, each whole, as they do in a bucket; files of earlier deploys stay, as
//! they do there. Symbolic links are kept as they are.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use control::ports::{ActionRequest, PortError};
use engine::Outcome;
use model::Timestamp;

use crate::archive::{self, ArchiveError};
use crate::commands::Ctx;
use crate::commands::context::now_millis;
use crate::config::bucket_lines;
use crate::process::LogSink;

/// Settings that mean something in a bucket only.
const NOTED: [&str; 3] = ["KMSEncryptionKeyARN", "CannedACL", "CacheControl"];

/// Why a deploy failed.
#[derive(Debug, thiserror::Error)]
enum DeployError {
    #[error("{0}")]
    Configuration(String),
    #[error(transparent)]
    Store(#[from] PortError),
    #[error("the artifact `{name}` cannot be unpacked: {}", error.of_artifact())]
    Artifact { name: String, error: ArchiveError },
    #[error("`{}` cannot be written: {reason}", path.display())]
    Taken { path: PathBuf, reason: String },
    #[error("{}: {error}", path.display())]
    Io { path: PathBuf, error: io::Error },
}

impl DeployError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |error| Self::Io { path, error }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Configuration(_) => "ConfigurationError",
            Self::Store(_) => "SystemUnavailable",
            Self::Artifact { .. } | Self::Taken { .. } | Self::Io { .. } => "JobFailed",
        }
    }
}

/// A deploy, its configuration understood.
struct Deploy {
    artifact: PathBuf,
    name: String,
    bucket: PathBuf,
    key: Option<PathBuf>,
    extract: bool,
    /// Where files are made before they are moved; of this action execution alone.
    beside: PathBuf,
}

/// Runs an S3 deploy action.
pub async fn deploy_to_bucket(ctx: &Ctx, request: &ActionRequest, sink: &LogSink) -> Outcome {
    let deployed = match prepare(ctx, request) {
        Ok(deploy) => match tokio::task::spawn_blocking(move || deploy.run()).await {
            Ok(deployed) => deployed,
            Err(error) => Err(DeployError::Store(PortError::Unavailable(error.to_string()))),
        },
        Err(error) => Err(error),
    };
    match deployed {
        Ok(summary) => {
            for key in NOTED.iter().filter(|key| request.declaration.configuration.contains_key(**key)) {
                sink.remark(&format!("{key} means nothing for a directory and was left out"));
            }
            sink.remark(&summary);
            Outcome { summary: Some(summary), ..Outcome::default() }
        }
        Err(error) => {
            sink.remark(&error.to_string());
            Outcome::failed(error.code(), error.to_string())
        }
    }
}

fn prepare(ctx: &Ctx, request: &ActionRequest) -> Result<Deploy, DeployError> {
    let action = &request.declaration.name;
    let setting =
        |key: &str| request.declaration.configuration.get(key).map(String::as_str).filter(|value| !value.is_empty());
    let needs = |key: &str| DeployError::Configuration(format!("the deploy action `{action}` needs `{key}`"));
    let name = setting("BucketName").ok_or_else(|| needs("BucketName"))?;
    let bucket = ctx.config.buckets.get(name).ok_or_else(|| {
        let what = format!("nothing stands in for the bucket `{name}`, which the action `{action}` deploys to");
        DeployError::Configuration(ctx.config.advise(&what, &bucket_lines(name)))
    })?;
    if bucket.exists() && !bucket.is_dir() {
        let (file, config) = (bucket.display(), ctx.config.shown());
        return Err(DeployError::Configuration(format!(
            "`{file}` stands in for the bucket `{name}` and is a file; a deploy needs a directory: name one in {config}"
        )));
    }
    let extract = match setting("Extract").ok_or_else(|| needs("Extract"))? {
        "true" => true,
        "false" => false,
        other => {
            let what = format!("`Extract` of the action `{action}` is \"true\" or \"false\", not \"{other}\"");
            return Err(DeployError::Configuration(what));
        }
    };
    let key = setting("ObjectKey").map(|key| object_key(key, request)).transpose()?;
    if !extract && key.is_none() {
        return Err(DeployError::Configuration(format!(
            "the deploy action `{action}` needs `ObjectKey`, since its `Extract` is \"false\""
        )));
    }
    let input = request.action.inputs.first().ok_or_else(|| needs("one input artifact"))?;
    let artifact = ctx.artifacts.path(&input.bucket, &input.key)?;
    if !artifact.is_file() {
        return Err(PortError::NotFound(format!("the artifact {}", input.name)).into());
    }
    let beside = bucket.join(format!(".penstock-{}", request.action.id));
    Ok(Deploy { artifact, name: input.name.to_string(), bucket: bucket.clone(), key, extract, beside })
}

/// A key as a path below the bucket, `{datetime}` and `{uuid}` filled in.
fn object_key(key: &str, request: &ActionRequest) -> Result<PathBuf, DeployError> {
    let now = Timestamp(now_millis()).to_iso_seconds();
    // 2019-01-10_07-39-57
    let datetime = now.trim_end_matches('Z').replace('T', "_").replace(':', "-");
    let filled = key.replace("{datetime}", &datetime).replace("{uuid}", &request.action.id.to_string());
    let path = PathBuf::from(filled.trim_matches('/'));
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    if !plain || path.as_os_str().is_empty() || filled.contains('\0') {
        let what = format!("`ObjectKey` \"{key}\" is no path below the bucket");
        return Err(DeployError::Configuration(what));
    }
    Ok(path)
}

impl Deploy {
    fn run(&self) -> Result<String, DeployError> {
        fs::create_dir_all(&self.bucket).map_err(DeployError::io(&self.bucket))?;
        // What a killed process left of the same action execution.
        let _ = fs::remove_dir_all(&self.beside);
        let done = if self.extract { self.extract() } else { self.copy() };
        // If it cannot be removed, it lies there under a name that says whose it is.
        let _ = fs::remove_dir_all(&self.beside);
        done
    }

    fn extract(&self) -> Result<String, DeployError> {
        let fault = |error| DeployError::Artifact { name: self.name.clone(), error };
        archive::unpack(&self.artifact, &self.beside).map_err(fault)?;
        let mut entries = archive::tree(&self.beside).map_err(fault)?;
        entries.sort();
        let base = self.key.as_deref().unwrap_or(Path::new(""));
        let places: Vec<PathBuf> = entries.iter().map(|entry| base.join(&entry.name)).collect();
        for place in &places {
            self.check(place)?;
        }
        for (entry, place) in entries.iter().zip(&places) {
            self.put(&entry.from, place)?;
        }
        Ok(format!("{} files to {}", entries.len(), self.bucket.join(base).display()))
    }

    fn copy(&self) -> Result<String, DeployError> {
        let place = self.key.as_deref().unwrap_or(Path::new(""));
        self.check(place)?;
        fs::create_dir_all(&self.beside).map_err(DeployError::io(&self.beside))?;
        let made = self.beside.join("object");
        fs::copy(&self.artifact, &made).map_err(DeployError::io(&made))?;
        // Artifacts are read-only where they are stored; an object is its owner's.
        fs::set_permissions(&made, Permissions::from_mode(0o644)).map_err(DeployError::io(&made))?;
        self.put(&made, place)?;
        Ok(format!("the archive to {}", self.bucket.join(place).display()))
    }

    /// Whether a file can be put at `place`: nothing above it may be other than a directory, and it must be none itself.
    fn check(&self, place: &Path) -> Result<(), DeployError> {
        let path = self.bucket.join(place);
        let taken = |path: &Path, reason: &str| DeployError::Taken { path: path.into(), reason: reason.into() };
        if fs::symlink_metadata(&path).is_ok_and(|about| about.is_dir()) {
            return Err(taken(&path, "a directory is there, where the artifact has a file"));
        }
        for above in place.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()) {
            let above = self.bucket.join(above);
            if fs::symlink_metadata(&above).is_ok_and(|about| !about.is_dir()) {
                return Err(taken(&path, &format!("{} is there and no directory", above.display())));
            }
        }
        Ok(())
    }

    fn put(&self, from: &Path, place: &Path) -> Result<(), DeployError> {
        let to = self.bucket.join(place);
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).map_err(DeployError::io(parent))?;
        }
        fs::rename(from, &to).map_err(DeployError::io(&to))
    }
}
