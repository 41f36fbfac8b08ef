//! What was running when a host was killed is ended at the next start.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use engine::ActionKey;
use rustix::process::Signal;

use super::MARKER;
use super::procfs::{self, Process};
use super::record::{self, Record};

/// How long killed processes are waited for: one stuck in the kernel must not keep a host from starting.
const GIVE_UP: Duration = Duration::from_secs(10);

/// An action whose program was running when its host was killed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The action execution's id.
    pub action_execution_id: String,
    /// The action; none when its record could not be read.
    pub key: Option<ActionKey>,
    /// How many processes were ended.
    pub ended: usize,
    /// How many could not be.
    pub left: usize,
}

/// Ends all processes that an earlier host on this data directory has left, waits until they are gone, and removes what
/// they leave: their records and scratch directories. To be called before anything is started, by the only host of the
/// directory. Blocks; takes no time when nothing was left.
///
/// A process is ended only when boot, number and start time are those recorded, when it descends from such a process, or
/// when it is this user's and bears the action execution's id in its environment.
pub fn recover(data: &Path) -> Vec<Recovered> {
    let records: Vec<PathBuf> = fs::read_dir(record::directory(data))
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    let mut recovered = Vec::new();
    for path in records {
        if path.extension().is_some_and(|extension| extension == "json")
            && let Some(id) = path.file_stem().and_then(|stem| stem.to_str())
        {
            recovered.push(end_left_over(&path, id));
        } else {
            let _ = fs::remove_file(&path);
        }
    }
    remove_scratch(data);
    recovered
}

/// Where actions have their scratch directories, each named for its action execution.
pub fn scratch_directory(data: &Path) -> PathBuf {
    data.join("scratch")
}

/// Puts aside what an earlier host left, and removes it behind the scenes: that may be large, and a start must not wait.
fn remove_scratch(data: &Path) {
    let (scratch, aside) = (scratch_directory(data), data.join("scratch.removed"));
    let _ = fs::rename(&scratch, &aside).or_else(|_| fs::remove_dir_all(&scratch));
    if aside.exists() {
        std::thread::spawn(move || drop(fs::remove_dir_all(aside)));
    }
}

/// Ends the processes of one record, and removes it.
pub(super) fn end_left_over(path: &Path, id: &str) -> Recovered {
    let record = Record::read(path).ok();
    let booted_since =
        record.as_ref().is_some_and(|record| procfs::boot_id().is_ok_and(|boot| boot != record.own.boot_id));
    let (ended, left) = if booted_since { (0, 0) } else { end(record.as_ref(), id) };
    let _ = fs::remove_file(path);
    Recovered { action_execution_id: id.to_owned(), key: record.map(|record| record.key), ended, left }
}

/// Kills until nothing is found; how many were, and how many remain. The supervisor goes last: as long as it lives,
/// orphans become its children instead of getting lost.
fn end(record: Option<&Record>, id: &str) -> (usize, usize) {
    let began = Instant::now();
    let mut ended = HashSet::new();
    loop {
        let (supervisor, others) = find(record, id);
        let found = if others.is_empty() { supervisor.into_iter().collect() } else { others };
        if found.is_empty() {
            return (ended.len(), 0);
        }
        if began.elapsed() > GIVE_UP {
            return (ended.len(), found.len());
        }
        for process in found {
            procfs::signal(&process, Signal::KILL);
            ended.insert(process);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The supervisor, and all others that belong to the record, as far as they live.
fn find(record: Option<&Record>, id: &str) -> (Option<Process>, HashSet<Process>) {
    let alive = |pid: i32, start: u64| procfs::read(pid).filter(|process| process.start == start && !process.zombie);
    let supervisor = record.and_then(|record| alive(record.own.pid, record.own.start));
    let leader = record.and_then(|record| record.group).and_then(|(pid, start)| alive(pid, start));
    let mut others: HashSet<Process> = procfs::with_environment(MARKER, &HashSet::from([id])).into_iter().collect();
    others.extend(leader);
    if let Some(leader) = leader {
        others.extend(procfs::all().into_iter().filter(|process| process.group == leader.pid));
    }
    let roots: Vec<i32> = others.iter().chain(&supervisor).map(|process| process.pid).collect();
    if !roots.is_empty() {
        others.extend(procfs::descendants(&roots));
    }
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    others.retain(|process| {
        !process.zombie && process.pid != own && supervisor.is_none_or(|supervisor| supervisor.pid != process.pid)
    });
    (supervisor, others)
}
