//! Which programs are running, on disk: what a host that was killed left behind is found and ended at the next start.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
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

/// A supervisor's record on disk: one file, which bears the action execution's name as long as its program runs. A file
/// for each program would cost more than all the rest. It needs to survive this process, not the machine: nothing runs
/// after a boot.
#[derive(Default)]
pub(super) struct RecordFile(Option<Spare>);

struct Spare {
    file: File,
    /// Where it lies while nothing runs.
    path: PathBuf,
}

impl RecordFile {
    /// Puts a record at its place.
    ///
    /// # Errors
    /// The directory is missing or the disk is full.
    pub(super) fn put<'a>(&'a mut self, to: &'a Path, record: Record) -> io::Result<Recorded<'a>> {
        let spare = match self.0.take() {
            Some(spare) => spare,
            None => Spare::new(to, record.own.pid)?,
        };
        let mut line = serde_json::to_vec(&record)?;
        line.push(b'\n');
        spare.file.set_len(0)?;
        spare.file.write_all_at(&line, 0)?;
        fs::rename(&spare.path, to)?;
        let end = line.len() as u64;
        Ok(Recorded { path: to, place: self, spare: Some(spare), end, record })
    }
}

impl Spare {
    fn new(beside: &Path, pid: i32) -> io::Result<Self> {
        let path = beside.with_file_name(format!("{pid}.spare"));
        Ok(Self { file: File::create(&path)?, path })
    }
}

impl Drop for RecordFile {
    fn drop(&mut self) {
        if let Some(spare) = &self.0 {
            // The next start removes it.
            let _ = fs::remove_file(&spare.path);
        }
    }
}

/// A record at its place; taken away when dropped.
pub(super) struct Recorded<'a> {
    path: &'a Path,
    place: &'a mut RecordFile,
    spare: Option<Spare>,
    end: u64,
    record: Record,
}

impl Recorded<'_> {
    /// Adds the program's process group.
    ///
    /// # Errors
    /// The disk is full.
    pub(super) fn group(&mut self, group: Option<(i32, u64)>) -> io::Result<()> {
        self.record.group = group;
        let mut line = serde_json::to_vec(&self.record)?;
        line.push(b'\n');
        self.spare.as_ref().map_or(Ok(()), |spare| spare.file.write_all_at(&line, self.end))
    }
}

impl Drop for Recorded<'_> {
    fn drop(&mut self) {
        let Some(spare) = self.spare.take() else { return };
        match fs::rename(self.path, &spare.path) {
            Ok(()) => self.place.0 = Some(spare),
            // The next start looks for what it names, and finds nothing.
            Err(_) => drop(fs::remove_file(self.path)),
        }
    }
}
