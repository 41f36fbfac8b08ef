//! Which programs are running, on disk: what a host that was killed left behind is found and ended at the next start.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use engine::ActionKey;
use serde::{Deserialize, Serialize};

use super::procfs;

/// `<data>/running/<action execution id>.json`: written before the program is started, removed after its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The supervisor's process number.
    pub pid: i32,
    /// When the supervisor was started, in clock ticks since the boot.
    pub start: u64,
    /// The boot that both belong to.
    pub boot_id: String,
    /// The program's process group: its leader's number and start time; none until it was started.
    pub group: Option<(i32, u64)>,
    /// The action execution.
    pub id: String,
    /// The action.
    pub key: ActionKey,
}

/// Where records lie.
pub(super) fn directory(data: &Path) -> PathBuf {
    data.join("running")
}

/// Where one record lies.
pub(super) fn path(data: &Path, id: &str) -> PathBuf {
    directory(data).join(format!("{id}.json"))
}

/// Whether a program of this action execution runs, or is still being ended.
pub(crate) fn is_running(data: &Path, id: &str) -> bool {
    path(data, id).exists()
}

impl Record {
    /// The record of the process that calls this.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub(super) fn of_this_process(id: &str, key: &ActionKey) -> io::Result<Self> {
        let pid = i32::try_from(std::process::id()).map_err(io::Error::other)?;
        let own = procfs::read(pid).ok_or_else(|| io::Error::other("/proc/self/stat cannot be read"))?;
        Ok(Self {
            pid,
            start: own.start,
            boot_id: procfs::boot_id()?,
            group: None,
            id: id.to_owned(),
            key: key.clone(),
        })
    }

    /// Writes it, whole or not at all. It needs to survive this process, not the machine: nothing runs after a boot.
    ///
    /// # Errors
    /// The directory is missing or the disk is full.
    pub(super) fn write(&self, to: &Path) -> io::Result<()> {
        let beside = to.with_extension("new");
        fs::write(&beside, serde_json::to_vec(self)?)?;
        fs::rename(&beside, to)
    }

    /// Reads one.
    ///
    /// # Errors
    /// It cannot be read, or is no record.
    pub(super) fn read(from: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&fs::read(from)?)?)
    }
}
