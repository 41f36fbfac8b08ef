//! Which programs are running, on disk: what a host that was killed left behind is found and ended at the next start.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use engine::ActionKey;
use serde::{Deserialize, Serialize};

use super::procfs;

/// The supervisor's side of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Supervising {
    /// The supervisor's process number.
    pub pid: i32,
    /// When the supervisor was started, in clock ticks since the boot.
    pub start: u64,
    /// The boot that both belong to.
    pub boot_id: String,
}

impl Supervising {
    /// The process that calls this.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub(super) fn this_process() -> io::Result<Self> {
        let pid = i32::try_from(std::process::id()).map_err(io::Error::other)?;
        let own = procfs::read(pid).ok_or_else(|| io::Error::other("/proc/self/stat cannot be read"))?;
        Ok(Self { pid, start: own.start, boot_id: procfs::boot_id()? })
    }
}

/// `<data>/running/<action execution id>.json`: written before the program is started, removed after its end. A file holds
/// it once or twice, a line each; the last whole one counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The supervisor.
    #[serde(flatten)]
    pub own: Supervising,
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
    /// Reads one.
    ///
    /// # Errors
    /// It cannot be read, or is no record.
    pub(super) fn read(from: &Path) -> io::Result<Self> {
        let bytes = fs::read(from)?;
        let lines = bytes.split(|byte| *byte == b'\n').rev();
        let mut whole = lines.filter_map(|line| serde_json::from_slice(line).ok());
        whole.next().ok_or_else(|| io::Error::other("no record"))
    }
}

/// A record on disk; removed when dropped. It needs to survive this process, not the machine: nothing runs after a boot.
pub(super) struct Recorded<'a> {
    path: &'a Path,
    file: File,
    record: Record,
}

impl<'a> Recorded<'a> {
    /// Writes it.
    ///
    /// # Errors
    /// The directory is missing or the disk is full.
    pub(super) fn new(path: &'a Path, record: Record) -> io::Result<Self> {
        let mut recorded = Self { path, file: File::create(path)?, record };
        recorded.write()?;
        Ok(recorded)
    }

    /// Adds the program's process group.
    ///
    /// # Errors
    /// The disk is full.
    pub(super) fn group(&mut self, group: Option<(i32, u64)>) -> io::Result<()> {
        self.record.group = group;
        self.write()
    }

    fn write(&mut self) -> io::Result<()> {
        let mut line = serde_json::to_vec(&self.record)?;
        line.push(b'\n');
        self.file.write_all(&line)
    }
}

impl Drop for Recorded<'_> {
    fn drop(&mut self) {
        // The next start looks for what it names, and finds nothing.
        let _ = fs::remove_file(self.path);
    }
}
