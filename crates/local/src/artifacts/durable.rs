//! Directories whose entries survive a loss of power, made durable once for all who wait.
//!
//! Where many directories get another name of stored content at once, the names are listed durably instead of syncing
//! each directory: one fsync for all of them. See [`names`](super::names).

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::Durability;
use super::names::{Name, Names};

/// After so many syncs without a pause the next one waits for others that may come, and goes on waiting while some do.
const AT_ONCE: u32 = 8;
/// How long it waits: the first time, and at most, twice as long after each wait that others shared.
const GATHER: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(40));
/// Syncs so far apart have nothing to do with one another.
const PAUSE: Duration = Duration::from_millis(250);

/// How many names may be listed before their directories are made durable: what a start may have to put back.
const LISTED: usize = 1_000;

/// Somebody who waits for a new entry of a directory to be durable.
struct Request {
    directory: PathBuf,
    /// Directories above, where it is new itself.
    above: Vec<PathBuf>,
    /// Where the entry only names what is stored durably elsewhere.
    name: Option<Name>,
    done: oneshot::Sender<io::Result<()>>,
}

/// The directories of a store.
pub(super) struct Directories {
    root: PathBuf,
    /// Those known to exist.
    known: Mutex<HashSet<PathBuf>>,
    /// None where nothing is made durable.
    requests: Option<mpsc::Sender<Request>>,
    /// How many fsyncs there were.
    syncs: Arc<AtomicU64>,
}

impl Directories {
    /// Starts with what `names` lists, whose directories are made durable first.
    pub(super) fn new(root: &Path, names: Names, durability: Durability) -> io::Result<Self> {
        let syncs = Arc::new(AtomicU64::new(0));
        let requests = match durability {
            Durability::Buffered => None,
            Durability::Synced => {
                let (sender, receiver) = mpsc::channel();
                let syncer = Syncer { names, syncs: syncs.clone() };
                std::thread::Builder::new().name("artifacts-sync".into()).spawn(move || syncer.serve(&receiver))?;
                Some(sender)
            }
        };
        Ok(Self { root: root.into(), known: Mutex::default(), requests, syncs })
    }

    /// How many fsyncs there were.
    pub(super) fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    /// Makes `directory`, and says which directories above it may have got new entries by that: up to one that is known.
    pub(super) fn create(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        if self.known().contains(directory) && directory.is_dir() {
            return Ok(Vec::new());
        }
        fs::create_dir_all(directory)?;
        let known = self.known();
        let mut above = Vec::new();
        for path in directory.ancestors().skip(1).take_while(|path| path.starts_with(&self.root)) {
            above.push(path.to_path_buf());
            if known.contains(path) {
                break;
            }
        }
        Ok(above)
    }

    fn known(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Resolves once the new entry of `directory`, and those of what is `above` it, are durable. With a `name`, the
    /// entry may also be put back from there after a loss of power.
    pub(super) fn sync(
        &self,
        directory: &Path,
        above: Vec<PathBuf>,
        name: Option<Name>,
    ) -> impl Future<Output = io::Result<()>> + use<> {
        let (done, wait) = oneshot::channel();
        let durable: Vec<PathBuf> = above.iter().cloned().chain([directory.into()]).collect();
        let sent = match &self.requests {
            None => done.send(Ok(())).is_ok(),
            Some(requests) => requests.send(Request { directory: directory.into(), above, name, done }).is_ok(),
        };
        let ended = || Err(io::Error::other("the thread that syncs directories ended"));
        // Known from here on: whoever finds it so waits behind this request.
        self.known().extend(durable);
        async move { if sent { wait.await.unwrap_or_else(|_| ended()) } else { ended() } }
    }
}

/// How long syncs wait for more that share them. A multitude is worth it; what comes one after the other waits in vain,
/// and ever more seldom.
struct Pace {
    last: Instant,
    /// So many do not wait, and so many after the next wait in vain.
    free: u32,
    grant: u32,
    gather: Duration,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self { last: now, free: AT_ONCE, grant: AT_ONCE, gather: GATHER.0 }
    }

    /// How long a sync waits that is asked for at `now`.
    fn wait(&mut self, now: Instant) -> Duration {
        if now.saturating_duration_since(self.last) > PAUSE {
            *self = Self::new(now);
        }
        self.last = now;
        if self.free > 0 {
            self.free -= 1;
            return Duration::ZERO;
        }
        self.gather
    }

    /// Learns how many shared a sync that waited so long.
    fn waited(&mut self, wait: Duration, batch: usize) {
        if wait.is_zero() {
            return;
        }
        if batch > 1 {
            self.gather = (wait * 2).min(GATHER.1);
        } else {
            self.gather = GATHER.0;
            self.grant = self.grant.saturating_mul(2);
            self.free = self.grant;
        }
    }
}

/// The thread that syncs.
struct Syncer {
    names: Names,
    syncs: Arc<AtomicU64>,
}

impl Syncer {
    /// Takes all that wait at a time, until the store is dropped.
    fn serve(mut self, requests: &mpsc::Receiver<Request>) {
        // What cannot be settled stays listed, and is tried again with the next that are.
        let _ = self.settle();
        let mut pace = Pace::new(Instant::now());
        while let Ok(first) = requests.recv() {
            let wait = pace.wait(Instant::now());
            std::thread::sleep(wait);
            let batch: Vec<Request> = std::iter::once(first).chain(requests.try_iter()).collect();
            pace.waited(wait, batch.len());
            let synced = self.sync(&batch);
            for request in batch {
                let result = match &synced {
                    Ok(()) => Ok(()),
                    Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
                };
                // Whoever gave up waiting needs no answer.
                let _ = request.done.send(result);
            }
        }
    }

    fn sync(&mut self, batch: &[Request]) -> io::Result<()> {
        let nameable = |request: &&Request| request.name.is_some() && request.above.is_empty();
        let (named, plain): (Vec<&Request>, Vec<&Request>) = batch.iter().partition(nameable);
        let own = plain.iter().flat_map(|request| request.above.iter().chain([&request.directory]));
        let mut directories: BTreeSet<&PathBuf> = own.collect();
        let named: Vec<&Request> = named.into_iter().filter(|named| !directories.contains(&named.directory)).collect();
        let crowd: BTreeSet<&PathBuf> = named.iter().map(|request| &request.directory).collect();
        if crowd.len() > 1 && named.len() <= LISTED {
            self.list(&named)?;
        } else {
            directories.extend(crowd);
        }
        directories.into_iter().try_for_each(|path| self.sync_directory(path))
    }

    fn list(&mut self, named: &[&Request]) -> io::Result<()> {
        if self.names.len() + named.len() > LISTED {
            self.settle()?;
        }
        let names = named.iter().filter_map(|request| Some((request.name.as_ref()?, request.directory.as_path())));
        self.syncs.fetch_add(self.names.append(names)?, Ordering::Relaxed);
        Ok(())
    }

    /// Makes the directories of all names durable, so that they need not be listed any more.
    fn settle(&mut self) -> io::Result<()> {
        for directory in self.names.directories() {
            self.sync_directory(directory)?;
        }
        self.syncs.fetch_add(self.names.clear()?, Ordering::Relaxed);
        Ok(())
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        File::open(path).and_then(|file| file.sync_all())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fsyncs that a batch takes, of requests for an entry of a directory: by its number, whether it is new, and
    /// whether the entry is a name.
    fn syncs(root: &Path, syncer: &mut Syncer, requests: &[(usize, bool, bool)]) -> u64 {
        let batch: Vec<Request> = requests
            .iter()
            .map(|&(number, new, named)| {
                let directory = root.join(format!("b/{number}"));
                fs::create_dir_all(&directory).unwrap();
                let above = if new { vec![root.join("b"), root.into()] } else { Vec::new() };
                let name = named.then(|| Name::new(root, &directory.join("to"), &root.join("b/0/from")).unwrap());
                Request { directory, above, name, done: oneshot::channel().0 }
            })
            .collect();
        let before = syncer.syncs.load(Ordering::Relaxed);
        syncer.sync(&batch).unwrap();
        syncer.syncs.load(Ordering::Relaxed) - before
    }

    /// How many milliseconds each of so many syncs waits that are asked for one each `every`, and each shared by so many.
    fn waits(every: u64, syncs: usize, batch: usize) -> Vec<u128> {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let wait = |number| {
            let wait = pace.wait(start + Duration::from_millis(every * number));
            pace.waited(wait, batch);
            wait.as_millis()
        };
        (0..).map(wait).take(syncs).collect()
    }

    #[test]
    fn a_multitude_waits_together_and_what_comes_one_by_one_hardly_ever() {
        assert_eq!(waits(5, 8, 5), [0; 8], "a few at once");
        assert_eq!(waits(5, 13, 5)[8..], [10, 20, 40, 40, 40], "a multitude");
        let alone = waits(5, 100, 1);
        let waiting: Vec<_> = alone.iter().enumerate().filter(|(_, wait)| **wait > 0).collect();
        assert_eq!(waiting, [(8, &10), (25, &10), (58, &10)], "ever more seldom");
        assert_eq!(waits(300, 50, 5), [0; 50], "far apart");
    }

    #[test]
    fn of_the_directories_above_those_with_new_entries_are_synced() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let directories = Directories::new(root, Names::open(root).unwrap(), Durability::Buffered).unwrap();
        let above = |directory: &str| {
            let directory = root.join(directory);
            let above = directories.create(&directory).unwrap();
            drop(directories.sync(&directory, above.clone(), None));
            let below = |path: &PathBuf| path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            above.iter().map(below).collect::<Vec<_>>()
        };
        assert_eq!(above("b/p/a"), ["b/p", "b", ""]);
        assert_eq!(above("b/p/a"), [""; 0]);
        assert_eq!(above("b/p/c"), ["b/p"]);
        assert_eq!(above("b/q/a"), ["b/q", "b"]);
        assert_eq!(above("c/p/a"), ["c/p", "c", ""]);
        fs::remove_dir(root.join("c/p/a")).unwrap();
        assert_eq!(above("c/p/a"), ["c/p"], "somebody removed it");
    }

    #[test]
    fn names_in_many_directories_take_one_fsync_and_all_else_one_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        let names = Names::open(dir.path()).unwrap();
        let mut syncer = Syncer { names, syncs: Arc::default() };
        let new: Vec<_> = (0..50).map(|number| (number, true, true)).collect();
        assert_eq!(syncs(dir.path(), &mut syncer, &new), 52, "each directory and the two above");
        let named: Vec<_> = (0..50).map(|number| (number, false, true)).collect();
        assert_eq!(syncs(dir.path(), &mut syncer, &named), 2, "the list and, as it is new, the store's directory");
        assert_eq!(syncs(dir.path(), &mut syncer, &named), 1);
        assert_eq!(
            syncs(dir.path(), &mut syncer, &[(7, false, true), (7, false, true)]),
            1,
            "of one directory: itself"
        );
        assert_eq!(
            syncs(dir.path(), &mut syncer, &[(7, false, true), (7, false, false)]),
            1,
            "a file's directory serves its names"
        );
        assert_eq!(syncs(dir.path(), &mut syncer, &[(7, false, false), (8, false, false), (9, false, true)]), 3);
        assert_eq!(syncs(dir.path(), &mut syncer, &[(7, false, false), (8, false, true), (9, false, true)]), 2);
        let mut more = vec![(0, false, true); LISTED - 100];
        more.push((1, false, true));
        assert_eq!(
            syncs(dir.path(), &mut syncer, &more),
            50 + 1 + 1,
            "a list that would become too long is settled first"
        );
        assert_eq!(syncer.names.len(), LISTED - 99);
        more.resize(LISTED + 1, (2, false, true));
        assert_eq!(syncs(dir.path(), &mut syncer, &more), 3, "more at once than may be listed");
        syncer.settle().unwrap();
        let settled = syncer.syncs.load(Ordering::Relaxed) - (62 + 52 + 3);
        assert_eq!(settled, 2 + 1, "every listed name's directory, then the list");
    }
}
