//! Directories whose entries survive a loss of power, made durable once for all who wait.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use tokio::sync::oneshot;

use super::Durability;

/// How long more are waited for where several came at once before: under load a directory is made durable once for all.
const GATHER: Duration = Duration::from_millis(3);

/// Somebody who waits for directories to be durable.
struct Request {
    directories: Vec<PathBuf>,
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
    pub(super) fn new(root: &Path, durability: Durability) -> io::Result<Self> {
        let syncs = Arc::new(AtomicU64::new(0));
        let requests = match durability {
            Durability::Buffered => None,
            Durability::Synced => {
                let (sender, receiver) = mpsc::channel();
                let syncs = syncs.clone();
                std::thread::Builder::new().name("artifacts-sync".into()).spawn(move || serve(&receiver, &syncs))?;
                Some(sender)
            }
        };
        Ok(Self { root: root.into(), known: Mutex::default(), requests, syncs })
    }

    /// How many directories were made durable.
    pub(super) fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    /// Makes `directory`, and says which directories got new entries by that.
    pub(super) fn create(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        if self.known.lock().unwrap_or_else(PoisonError::into_inner).contains(directory) && directory.is_dir() {
            return Ok(Vec::new());
        }
        fs::create_dir_all(directory)?;
        let above = directory.ancestors().skip(1).take_while(|path| path.starts_with(&self.root));
        Ok(above.map(Path::to_path_buf).collect())
    }

    /// Resolves once the entries of `directory` and of `more` are durable.
    pub(super) fn sync(
        &self,
        directory: &Path,
        mut more: Vec<PathBuf>,
    ) -> impl Future<Output = io::Result<()>> + use<> {
        let (done, wait) = oneshot::channel();
        more.push(directory.into());
        let sent = match &self.requests {
            None => done.send(Ok(())).is_ok(),
            Some(requests) => requests.send(Request { directories: more, done }).is_ok(),
        };
        let ended = || Err(io::Error::other("the thread that syncs directories ended"));
        // Known from here on: whoever finds it so waits behind this request.
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(directory.into());
        async move { if sent { wait.await.unwrap_or_else(|_| ended()) } else { ended() } }
    }
}

/// Takes all that wait at a time, until the store is dropped.
fn serve(requests: &mpsc::Receiver<Request>, syncs: &AtomicU64) {
    let mut crowded = false;
    while let Ok(first) = requests.recv() {
        if crowded {
            std::thread::sleep(GATHER);
        }
        let batch: Vec<Request> = std::iter::once(first).chain(requests.try_iter()).collect();
        crowded = batch.len() > 1;
        let directories: BTreeSet<&PathBuf> = batch.iter().flat_map(|request| &request.directories).collect();
        let synced = directories.into_iter().try_for_each(|path| {
            syncs.fetch_add(1, Ordering::Relaxed);
            File::open(path).and_then(|file| file.sync_all())
        });
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
