//! What was packed already, so that many executions of one revision pack it once.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use control::ports::PortError;
use engine::ArtifactLocation;
use model::Timestamp;

use super::SourceError;
use super::git::Commit;
use crate::artifacts::LocalArtifacts;

/// How many revisions are remembered; each is a few hundred bytes and a commit's message.
const REMEMBERED: usize = 64;

/// A revision, in all that its archive depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Wanted {
    /// The files of a commit, by the directory of its objects.
    Commit { objects: PathBuf, id: String },
    /// A full clone: also which refs it has.
    Clone { objects: PathBuf, branch: String, id: String, refs: String },
    /// Files as they lie, by sizes and times.
    Files { path: PathBuf, fingerprint: String },
}

/// A packed revision.
#[derive(Debug)]
pub(super) struct Ready {
    /// Where its archive lies.
    pub(super) stored: PathBuf,
    pub(super) sha256: String,
    pub(super) size: u64,
    /// When the revision was made, where that is known.
    pub(super) created: Option<Timestamp>,
    /// For git: what the commit says.
    pub(super) commit: Option<Commit>,
}

/// A revision just packed.
pub(super) struct Made {
    pub(super) sha256: String,
    pub(super) size: u64,
    pub(super) created: Option<Timestamp>,
    pub(super) commit: Option<Commit>,
}

type Cell = Arc<tokio::sync::Mutex<Option<Arc<Ready>>>>;

#[derive(Default)]
struct Cells {
    cells: HashMap<Wanted, (u64, Cell)>,
    uses: u64,
}

/// The revisions packed by this process.
#[derive(Default)]
pub(super) struct Prepared(Mutex<Cells>);

impl Prepared {
    /// Puts the revision at its output's key: shared with an earlier execution's, or made now while others wait for it.
    /// `make` packs it into a new file, at the path given.
    pub(super) async fn deliver(
        &self,
        artifacts: &LocalArtifacts,
        wanted: Wanted,
        output: &ArtifactLocation,
        make: impl AsyncFnOnce(PathBuf) -> Result<Made, SourceError>,
    ) -> Result<Arc<Ready>, SourceError> {
        let cell = self.cell(wanted);
        let mut slot = cell.lock().await;
        if let Some(ready) = slot.clone() {
            drop(slot);
            match artifacts.share(&ready.stored, &output.bucket, &output.key).await {
                Ok(()) => return Ok(ready),
                // Somebody removed it: it is made again.
                Err(PortError::NotFound(_)) => slot = cell.lock().await,
                Err(error) => return Err(error.into()),
            }
        }
        let file = artifacts.incoming();
        let made = make(file.clone()).await.inspect_err(|_| {
            // Half an archive is of no use; if it cannot be removed, the next start does it.
            let _ = std::fs::remove_file(&file);
        })?;
        artifacts.adopt(&output.bucket, &output.key, &file).await?;
        let ready = Arc::new(Ready {
            stored: artifacts.path(&output.bucket, &output.key)?,
            sha256: made.sha256,
            size: made.size,
            created: made.created,
            commit: made.commit,
        });
        *slot = Some(ready.clone());
        Ok(ready)
    }

    fn cell(&self, wanted: Wanted) -> Cell {
        let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cells.uses += 1;
        let uses = cells.uses;
        if cells.cells.len() >= REMEMBERED && !cells.cells.contains_key(&wanted) {
            let oldest = cells.cells.iter().min_by_key(|(_, (used, _))| *used).map(|(wanted, _)| wanted.clone());
            oldest.and_then(|wanted| cells.cells.remove(&wanted));
        }
        let (used, cell) = cells.cells.entry(wanted).or_default();
        *used = uses;
        cell.clone()
    }
}
