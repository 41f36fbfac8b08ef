//! The directory that an action's commands run in: input artifacts unpacked, emptied at the end.
//!
//! Directories are used again: making and removing a handful of them for each short action costs a file system more than
//! everything else that is done for it. One that was changed itself is not.

use std::collections::HashMap;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use control::ports::{ActionRequest, PortError};
use engine::ArtifactLocation;
use sha2::{Digest, Sha256};

use super::context::{Ctx, Fault};
use crate::archive::{self, Entry};
use crate::process::{is_running, scratch_directory};

/// How long the removal waits for a program that is still being ended.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many directories that nobody uses are kept.
const MOST_FREE: usize = 64;
/// How many scripts are kept.
const MOST_SCRIPTS: usize = 128;
/// Archives of at most so many bytes are unpacked at once: another thread would take longer to begin.
const SMALL_ARCHIVE_BYTES: u64 = 8 * 1024;
/// The primary input artifact's directory.
const SOURCE: &str = "src";
/// Where a session notes what came of it; kept, emptied.
pub(crate) const NOTES: &str = "notes";

/// The scratch directories of a data directory.
#[derive(Clone, Default)]
pub(crate) struct Places(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    free: Vec<Place>,
    made: u64,
    scripts: HashMap<String, Arc<Script>>,
}

impl Drop for State {
    /// A host that ends leaves nothing behind.
    fn drop(&mut self) {
        for place in &self.free {
            // What remains is removed by the next start.
            let _ = remove(&place.root);
        }
    }
}

/// A directory, as it was made.
struct Place {
    root: PathBuf,
    marks: [Mark; 2],
}

/// What must be the same of a directory for it to be used again.
#[derive(PartialEq, Eq)]
struct Mark {
    inode: (u64, u64),
    mode: u32,
    owner: (u32, u32),
}

impl Mark {
    fn of(path: &Path) -> io::Result<Self> {
        let meta = fs::symlink_metadata(path)?;
        Ok(Self { inode: (meta.dev(), meta.ino()), mode: meta.mode(), owner: (meta.uid(), meta.gid()) })
    }
}

/// A script that sessions of the same commands share; removed when dropped.
pub(crate) struct Script(PathBuf);

impl Script {
    /// Where it lies.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // What remains is removed by the next start.
        let _ = fs::remove_file(&self.0);
    }
}

impl Places {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A script file with this text.
    pub(crate) fn script(&self, data: &Path, text: &str) -> io::Result<Arc<Script>> {
        let name = control::hexadecimal::hex(&Sha256::digest(text));
        let mut state = self.state();
        if let Some(script) = state.scripts.get(&name) {
            return Ok(script.clone());
        }
        if state.scripts.len() >= MOST_SCRIPTS {
            // Sessions that use one keep it.
            state.scripts.clear();
        }
        let script = Script(scratch_directory(data).join(format!("script-{}-{name}", state.made)));
        state.made += 1;
        fs::create_dir_all(scratch_directory(data))?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o400).open(&script.0)?;
        file.write_all(text.as_bytes())?;
        let script = Arc::new(script);
        state.scripts.insert(name, script.clone());
        Ok(script)
    }

    fn take(&self, data: &Path) -> io::Result<Place> {
        let number = {
            let mut state = self.state();
            if let Some(place) = state.free.pop() {
                return Ok(place);
            }
            state.made += 1;
            state.made
        };
        let root = scratch_directory(data).join(number.to_string());
        fs::create_dir_all(root.join(SOURCE))?;
        let marks = [Mark::of(&root)?, Mark::of(&root.join(SOURCE))?];
        Ok(Place { root, marks })
    }

    /// Empties a directory for the next use, or removes it.
    fn give_back(&self, place: Place) {
        let emptied = place.empty();
        if matches!(emptied, Ok(true)) {
            let mut state = self.state();
            if state.free.len() < MOST_FREE {
                state.free.push(place);
                return;
            }
        }
        if let Err(error) = remove(&place.root) {
            let directory = place.root.display();
            tracing::warn!(%directory, %error, "a scratch directory remains; the next start removes it");
        }
    }
}

impl Place {
    /// Removes everything that was added; whether it is as it was made.
    fn empty(&self) -> io::Result<bool> {
        let source = self.root.join(SOURCE);
        if Mark::of(&self.root)? != self.marks[0] || Mark::of(&source)? != self.marks[1] {
            return Ok(false);
        }
        for entry in fs::read_dir(&self.root)? {
            let path = entry?.path();
            if path == source {
                for entry in fs::read_dir(&source)? {
                    remove(&entry?.path())?;
                }
            } else if !(path.ends_with(NOTES) && is_plain(&fs::symlink_metadata(&path)?)) {
                remove(&path)?;
            } else {
                File::options().write(true).truncate(true).open(&path)?;
            }
        }
        Ok(true)
    }
}

/// Whether a session can write to it again.
fn is_plain(meta: &Metadata) -> bool {
    meta.is_file()
        && meta.nlink() == 1
        && meta.mode() & 0o600 == 0o600
        && meta.uid() == rustix::process::geteuid().as_raw()
}

/// Removes a file, or a directory with all that is in it, read-only directories included.
fn remove(path: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.is_dir() {
        return fs::remove_file(path);
    }
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            make_writable(path)?;
            fs::remove_dir_all(path)
        }
        removed => removed,
    }
}

fn make_writable(directory: &Path) -> io::Result<()> {
    fs::set_permissions(directory, Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            make_writable(&entry.path())?;
        }
    }
    Ok(())
}

/// A scratch directory in use.
pub(crate) struct Scratch {
    data: PathBuf,
    id: String,
    places: Places,
    place: Option<Place>,
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
        let place = ctx.places.take(&ctx.data).map_err(|error| {
            Fault::failed(format!("cannot make a directory in {}: {error}", scratch_directory(&ctx.data).display()))
        })?;
        let scratch = Self {
            data: ctx.data.clone(),
            id: request.action.id.to_string(),
            places: ctx.places.clone(),
            root: place.root.clone(),
            place: Some(place),
        };
        let unpacked = request.action.inputs.iter().map(|input| {
            let is_primary = primary.is_some_and(|primary| primary.name == input.name);
            let to = if is_primary { scratch.source() } else { scratch.source_of(input.name.as_str()) };
            unpack(ctx, input, to)
        });
        futures::future::try_join_all(unpacked).await?;
        Ok(scratch)
    }

    /// Where the commands start: `CODEBUILD_SRC_DIR`.
    pub(crate) fn source(&self) -> PathBuf {
        self.root.join(SOURCE)
    }

    /// Where another input artifact lies.
    pub(crate) fn source_of(&self, artifact: &str) -> PathBuf {
        self.root.join(format!("src-{artifact}"))
    }

    /// Where Penstock keeps what only it needs.
    pub(crate) fn session(&self) -> PathBuf {
        self.root.clone()
    }

    /// Gives the directory back, behind the scenes: emptying a large tree takes long, and nobody has to wait for it.
    pub(crate) fn remove(self) {
        tokio::task::spawn_blocking(move || drop(self));
    }
}

impl Drop for Scratch {
    /// Empties the directory: at once, or, when the action was left while its program is still being ended, after that.
    fn drop(&mut self) {
        let (data, id, places) = (self.data.clone(), self.id.clone(), self.places.clone());
        let Some(place) = self.place.take() else { return };
        if is_running(&data, &id) {
            std::thread::spawn(move || {
                let began = std::time::Instant::now();
                while is_running(&data, &id) && began.elapsed() < PATIENCE {
                    std::thread::sleep(Duration::from_millis(50));
                }
                places.give_back(place);
            });
        } else {
            places.give_back(place);
        }
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

/// Unpacks an input artifact into a directory that is empty or absent.
async fn unpack(ctx: &Ctx, input: &ArtifactLocation, to: PathBuf) -> Result<(), Fault> {
    let file = ctx.artifacts.path(&input.bucket, &input.key).map_err(|error| artifact_fault(&error))?;
    let fault =
        |reason: String| Fault::failed(format!("the input artifact {} cannot be unpacked: {reason}", input.name));
    let Ok(meta) = file.metadata() else {
        return Err(fault(format!("{} is not there any more", file.display())));
    };
    if meta.len() <= SMALL_ARCHIVE_BYTES {
        return archive::unpack(&file, &to).map(|_| ()).map_err(|error| fault(error.of_artifact()));
    }
    match tokio::task::spawn_blocking(move || archive::unpack(&file, &to)).await {
        Ok(unpacked) => unpacked.map(|_| ()).map_err(|error| fault(error.of_artifact())),
        Err(error) => Err(fault(error.to_string())),
    }
}

fn artifact_fault(error: &PortError) -> Fault {
    Fault::failed(error)
}
