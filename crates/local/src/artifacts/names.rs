//! Further names of stored content, listed in one file until their directories are durable.
//!
//! A name is made at once, as a link; after a loss of power its directory may not know it any more. The list says what
//! the link was to, and [`Names::open`] makes it again. A line is `["to","from"]` in JSON, both below the store; the
//! first that is none ends the list, as zeros are written ahead of it so that a flush changes no metadata.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

/// The list's file in the store; no bucket may begin with a dot.
const FILE: &str = ".names";
/// How much is written ahead of the list's end with zeros.
const AHEAD: u64 = 64 * 1024;

/// A name and what it is a name of, both below the store.
#[derive(Clone, Debug)]
pub(super) struct Name {
    to: String,
    from: String,
}

impl Name {
    /// None where one of the two is no path of text below `root`.
    pub(super) fn new(root: &Path, to: &Path, from: &Path) -> Option<Self> {
        let below = |path: &Path| Some(path.strip_prefix(root).ok()?.to_str()?.to_owned());
        Some(Self { to: below(to)?, from: below(from)? })
    }

    fn read(line: &str) -> Option<Self> {
        let (to, from) = serde_json::from_str::<(String, String)>(line).ok()?;
        let plain = |path: &str| Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
        (plain(&to) && plain(&from)).then_some(Self { to, from })
    }
}

/// The list of one store.
pub(super) struct Names {
    root: PathBuf,
    file: Option<File>,
    /// Where the list ends, and up to where the file's blocks are written.
    end: u64,
    written: u64,
    count: usize,
    /// The directories that the names lie in.
    directories: BTreeSet<PathBuf>,
}

impl Names {
    /// Reads the list and makes every name again that its directory has lost.
    ///
    /// # Errors
    /// A list that cannot be read, a name that cannot be made.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let mut names =
            Self { root: root.into(), file: None, end: 0, written: 0, count: 0, directories: BTreeSet::new() };
        let mut text = Vec::new();
        match OpenOptions::new().read(true).write(true).open(root.join(FILE)) {
            Ok(mut file) => {
                file.read_to_end(&mut text)?;
                names.written = text.len() as u64;
                names.file = Some(file);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(names),
            Err(error) => return Err(error),
        }
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let Some(name) = line.strip_suffix(b"\n").and_then(|line| Name::read(str::from_utf8(line).ok()?)) else {
                break;
            };
            let directory = names.put_back(&name)?;
            names.directories.insert(directory);
            names.count += 1;
            names.end += line.len() as u64;
        }
        Ok(names)
    }

    /// Makes a name that is not there. What it names may be gone by now, removed by somebody: so is the name then.
    fn put_back(&self, name: &Name) -> io::Result<PathBuf> {
        let (to, from) = (self.root.join(&name.to), self.root.join(&name.from));
        let directory = to.parent().unwrap_or(&self.root).to_path_buf();
        fs::create_dir_all(&directory)?;
        match fs::hard_link(&from, &to) {
            Ok(()) => Ok(directory),
            Err(error) if matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound) => {
                Ok(directory)
            }
            Err(error) => Err(error),
        }
    }

    /// How many names are listed.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// The directories that the listed names lie in.
    pub(super) fn directories(&self) -> impl Iterator<Item = &Path> {
        self.directories.iter().map(PathBuf::as_path)
    }

    /// Lists names durably, each with the directory it lies in, and says how many fsyncs that took. After an error
    /// none of them counts as listed.
    pub(super) fn append<'a>(&mut self, names: impl Iterator<Item = (&'a Name, &'a Path)>) -> io::Result<u64> {
        let mut lines = Vec::new();
        let mut directories = Vec::new();
        for (name, directory) in names {
            serde_json::to_writer(&mut lines, &(&name.to, &name.from))?;
            lines.push(b'\n');
            directories.push(directory);
        }
        let mut syncs = 1;
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let mut options = OpenOptions::new();
                let made = options.write(true).create(true).truncate(true).mode(0o600).open(self.root.join(FILE))?;
                File::open(&self.root)?.sync_all()?;
                syncs += 1;
                none.insert(made)
            }
        };
        let end = self.end + lines.len() as u64;
        let ahead = if end > self.written { end.next_multiple_of(AHEAD) } else { self.written };
        if ahead > self.written {
            file.write_all_at(&vec![0; usize::try_from(ahead - end).unwrap_or(0)], end)?;
        }
        file.write_all_at(&lines, self.end)?;
        file.sync_data()?;
        (self.end, self.written, self.count) = (end, ahead, self.count + directories.len());
        self.directories.extend(directories.into_iter().map(Path::to_path_buf));
        Ok(syncs)
    }

    /// Forgets all names, once their directories are durable, and says how many fsyncs that took.
    pub(super) fn clear(&mut self) -> io::Result<u64> {
        let Some(file) = &self.file else { return Ok(0) };
        file.set_len(0)?;
        file.sync_data()?;
        (self.end, self.written, self.count) = (0, 0, 0);
        self.directories.clear();
        Ok(1)
    }
}
