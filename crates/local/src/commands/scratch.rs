//! The directory that an action's commands run in: input artifacts unpacked, removed at the end.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use control::ports::{ActionRequest, PortError};
use engine::ArtifactLocation;

use super::context::{Ctx, Fault};
use crate::archive::{self, Entry};
use crate::process::{is_running, scratch_directory};

/// How long the removal waits for a program that is still being ended.
const PATIENCE: Duration = Duration::from_secs(60);

/// `<data>/scratch/<action execution id>`.
pub(crate) struct Scratch {
    data: PathBuf,
    id: String,
    root: PathBuf,
}

impl Scratch {
    /// Makes the directory and unpacks the action's input artifacts: the primary one, if any, where the commands run, and
    /// each other one beside it.
    pub(crate) async fn make(
        ctx: &Ctx,
        request: &ActionRequest,
        primary: Option<&ArtifactLocation>,
    ) -> Result<Self, Fault> {
        let id = request.action.id.to_string();
        let root = scratch_directory(&ctx.data).join(&id);
        let scratch = Self { data: ctx.data.clone(), id, root };
        let made = fs::create_dir_all(scratch.source()).and_then(|()| fs::create_dir_all(scratch.session()));
        made.map_err(|error| Fault::failed(format!("cannot make {}: {error}", scratch.root.display())))?;
        let unpacked = request.action.inputs.iter().map(|input| {
            let is_primary = primary.is_some_and(|primary| primary.name == input.name);
            let to = if is_primary { scratch.source() } else { scratch.source_of(input.name.as_str()) };
            async move { ctx.artifacts.unpack(&input.bucket, &input.key, &to).await }
        });
        futures::future::try_join_all(unpacked).await.map_err(|error| artifact_fault(&error))?;
        Ok(scratch)
    }

    /// Where the commands start: `CODEBUILD_SRC_DIR`.
    pub(crate) fn source(&self) -> PathBuf {
        self.root.join("src")
    }

    /// Where another input artifact lies.
    pub(crate) fn source_of(&self, artifact: &str) -> PathBuf {
        self.root.join(format!("src-{artifact}"))
    }

    /// Where Penstock keeps what only it needs.
    pub(crate) fn session(&self) -> PathBuf {
        self.root.join("session")
    }

    /// Removes the directory.
    pub(crate) async fn remove(self) {
        // The removal itself happens on the way out, which may take long for large trees.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }
}

impl Drop for Scratch {
    /// Removes the directory: at once, or, when the action was left while its program is still being ended, after that.
    fn drop(&mut self) {
        let (data, id, root) = (self.data.clone(), self.id.clone(), self.root.clone());
        if is_running(&data, &id) {
            std::thread::spawn(move || {
                let began = std::time::Instant::now();
                while is_running(&data, &id) && began.elapsed() < PATIENCE {
                    std::thread::sleep(Duration::from_millis(50));
                }
                remove(&root);
            });
        } else {
            remove(&root);
        }
    }
}

fn remove(root: &Path) {
    if let Err(error) = fs::remove_dir_all(root) {
        tracing::warn!(directory = %root.display(), %error, "a scratch directory remains; the next start removes it");
    }
}

/// Packs files and stores them as an output artifact; its location with digest and size.
pub(crate) async fn store(
    ctx: &Ctx,
    root: PathBuf,
    entries: Vec<Entry>,
    output: &ArtifactLocation,
) -> Result<ArtifactLocation, Fault> {
    let file = ctx.artifacts.incoming();
    let to = file.clone();
    let packed = tokio::task::spawn_blocking(move || archive::pack(&root, entries, &to)).await;
    let packed = packed
        .map_err(|error| error.to_string())
        .and_then(|packed| packed.map_err(|error| error.to_string()))
        .map_err(|error| Fault::failed(format!("the output artifact {} cannot be packed: {error}", output.name)))?;
    ctx.artifacts.adopt(&output.bucket, &output.key, &file).await.map_err(|error| artifact_fault(&error))?;
    Ok(ArtifactLocation { digest: Some(packed.sha256), size: Some(packed.size), ..output.clone() })
}

fn artifact_fault(error: &PortError) -> Fault {
    Fault::failed(error)
}
