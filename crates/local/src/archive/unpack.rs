//! An archive into an empty directory, and nowhere else.
//!
//! Names are checked before anything is written, files are written before links are made, and every link is followed
//! through all others of the archive: nothing is written through a link, and none leads out.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zip::read::ZipFile;
use zip::{System, ZipArchive};

use super::{ArchiveError, links, name};

const KIND: u32 = 0o170_000;
const FILE: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;
const LINK: u32 = 0o120_000;
/// The longest path of a link's target that a system takes.
const LONGEST_TARGET_BYTES: u64 = 4096;

/// How much may come out of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most entries.
    pub entries: usize,
    /// The most bytes, whatever the archive's own size.
    pub bytes: u64,
    /// Above `always_bytes`, the most bytes for each byte of the archive.
    pub ratio: u64,
    /// What may always come out of it.
    pub always_bytes: u64,
}

impl Default for Limits {
    /// Far above what pipelines make (an artifact has at most 7 GB, packed), and below what fills a disk by surprise.
    fn default() -> Self {
        Self { entries: 500_000, bytes: 64 << 30, ratio: 100, always_bytes: 1 << 30 }
    }
}

impl Limits {
    fn bytes_for(&self, archive_size: u64) -> u64 {
        archive_size.saturating_mul(self.ratio).max(self.always_bytes).min(self.bytes)
    }
}

/// What came out of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct UnpackSummary {
    /// Files and links.
    pub files: usize,
    /// Bytes of files.
    pub bytes: u64,
}

/// Unpacks into `to`, which must be empty or absent.
///
/// # Errors
/// As [`unpack_within`], under the usual limits.
pub fn unpack(archive: &Path, to: &Path) -> Result<UnpackSummary, ArchiveError> {
    unpack_within(archive, to, &Limits::default())
}

/// Unpacks into `to`, which must be empty or absent.
///
/// # Errors
/// An archive that cannot be read or is encrypted, exceeds the limits, or has an entry that leads out of `to`, stands
/// there twice, or is neither file, directory nor link. What was written by then stays: remove `to`.
pub fn unpack_within(archive: &Path, to: &Path, limits: &Limits) -> Result<UnpackSummary, ArchiveError> {
    let file = File::open(archive).map_err(ArchiveError::io(archive))?;
    let size = file.metadata().map_err(ArchiveError::io(archive))?.len();
    let mut zip = ZipArchive::new(BufReader::with_capacity(64 * 1024, file))
        .map_err(|error| ArchiveError::zip(archive, error))?;
    let bytes = limits.bytes_for(size);
    let plan = Plan::read(archive, &mut zip, limits, bytes)?;
    create_empty(to)?;
    Unpacking { archive, to, directories: HashSet::new(), left: bytes, limit: bytes }.run(&mut zip, &plan)
}

fn create_empty(to: &Path) -> Result<(), ArchiveError> {
    fs::create_dir_all(to).map_err(ArchiveError::io(to))?;
    match fs::read_dir(to).map_err(ArchiveError::io(to))?.next() {
        None => Ok(()),
        Some(_) => {
            let source = io::Error::new(io::ErrorKind::DirectoryNotEmpty, "there is something in it already");
            Err(ArchiveError::Io { path: to.into(), source })
        }
    }
}

type Zip = ZipArchive<BufReader<File>>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Directory,
    Link,
}

struct Planned {
    index: usize,
    path: PathBuf,
    mode: u32,
}

/// What to make, its names checked.
#[derive(Default)]
struct Plan {
    directories: Vec<PathBuf>,
    files: Vec<Planned>,
    links: Vec<Planned>,
}

impl Plan {
    fn read(archive: &Path, zip: &mut Zip, limits: &Limits, bytes: u64) -> Result<Self, ArchiveError> {
        if zip.len() > limits.entries {
            let what = format!("{} entries; at most {} are unpacked", zip.len(), limits.entries);
            return Err(ArchiveError::TooLarge { archive: archive.into(), what });
        }
        if zip.has_duplicate_names() {
            let reason = "two of its entries have the same name".into();
            return Err(ArchiveError::Unreadable { archive: archive.into(), reason });
        }
        let is_git = is_commit_id(zip.comment());
        let mut plan = Self::default();
        let mut kinds = HashMap::new();
        let mut declared: u64 = 0;
        for index in 0..zip.len() {
            let entry = zip.by_index_data(index).map_err(|error| ArchiveError::zip(archive, error))?;
            let shown = String::from_utf8_lossy(entry.name_raw()).into_owned();
            declared = declared.saturating_add(entry.size());
            let decoded = entry.name().unwrap_or_default();
            let system = if is_git { System::Unix } else { entry.system() };
            let (path, says_directory) = name::below_root(entry.name_raw(), &decoded, system)
                .map_err(|fault| ArchiveError::entry(archive, &shown, fault))?;
            let mode = entry.unix_mode().unwrap_or(0);
            let kind = kind(mode, says_directory).map_err(|fault| ArchiveError::entry(archive, &shown, fault))?;
            if path.as_os_str().is_empty() && kind == Kind::Directory {
                continue;
            }
            if path.as_os_str().is_empty() {
                return Err(ArchiveError::entry(archive, &shown, "has no name"));
            }
            if kinds.insert(path.clone(), kind).is_some() {
                return Err(ArchiveError::entry(archive, &shown, "is there twice"));
            }
            match kind {
                Kind::Directory => plan.directories.push(path),
                Kind::File => plan.files.push(Planned { index, path, mode }),
                Kind::Link => plan.links.push(Planned { index, path, mode }),
            }
        }
        if declared > bytes {
            return Err(too_large(archive, bytes));
        }
        check_parents(archive, &kinds)?;
        Ok(plan)
    }
}

/// Whether an archive's comment is a commit's id: so writes `git archive`, which marks ordinary files as made on DOS, and
/// their names are a repository's bytes all the same.
fn is_commit_id(comment: &[u8]) -> bool {
    matches!(comment.len(), 40 | 64) && comment.iter().all(u8::is_ascii_hexdigit)
}

fn kind(mode: u32, says_directory: bool) -> Result<Kind, &'static str> {
    match (mode & KIND, says_directory) {
        (0 | DIRECTORY, true) | (DIRECTORY, false) => Ok(Kind::Directory),
        (0 | FILE, false) => Ok(Kind::File),
        (LINK, false) => Ok(Kind::Link),
        (FILE | LINK, true) => Err("has the name of a directory but is none"),
        _ => Err("is a device, a pipe or a socket"),
    }
}

/// Nothing may lie below a file, nor below a link: it would be written to where the link leads.
fn check_parents(archive: &Path, kinds: &HashMap<PathBuf, Kind>) -> Result<(), ArchiveError> {
    let above = |path: &Path| match path.parent() {
        Some(parent) => kinds.get(parent).is_some_and(|kind| *kind != Kind::Directory),
        None => false,
    };
    for path in kinds.keys() {
        if let Some(inside) = path.ancestors().find(|path| above(path)) {
            let parent = inside.parent().unwrap_or(inside);
            let fault = format!("lies below `{}`, which is no directory", parent.display());
            return Err(ArchiveError::entry(archive, path.display(), fault));
        }
    }
    Ok(())
}

fn too_large(archive: &Path, bytes: u64) -> ArchiveError {
    let what =
        format!("more than {bytes} bytes would come out of it, which is more than an honest archive of its size");
    ArchiveError::TooLarge { archive: archive.into(), what }
}

/// Which side of a copy failed.
#[derive(Debug)]
enum CopyFault {
    /// What is read is broken.
    Read(io::Error),
    /// There is no room, or the like.
    Write(io::Error),
}

/// Copies to the end, and tells what failed, which `io::copy` does not.
fn copy(from: &mut impl Read, to: &mut impl Write) -> Result<u64, CopyFault> {
    let mut buffer = [0; 8 * 1024];
    let mut copied = 0;
    loop {
        let length = match from.read(&mut buffer) {
            Ok(0) => return Ok(copied),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(CopyFault::Read(error)),
        };
        to.write_all(buffer.get(..length).unwrap_or_default()).map_err(CopyFault::Write)?;
        copied += length as u64;
    }
}

struct Unpacking<'a> {
    archive: &'a Path,
    to: &'a Path,
    directories: HashSet<PathBuf>,
    left: u64,
    limit: u64,
}

impl Unpacking<'_> {
    fn run(mut self, zip: &mut Zip, plan: &Plan) -> Result<UnpackSummary, ArchiveError> {
        for directory in &plan.directories {
            self.create_directory(directory)?;
        }
        for planned in &plan.files {
            self.write_file(zip, planned)?;
        }
        let links = self.read_links(zip, plan)?;
        for (place, target) in &links {
            self.create_parent(place)?;
            let path = self.to.join(place);
            std::os::unix::fs::symlink(target, &path).map_err(ArchiveError::io(&path))?;
        }
        Ok(UnpackSummary { files: plan.files.len() + plan.links.len(), bytes: self.limit - self.left })
    }

    fn open<'z>(&self, zip: &'z mut Zip, planned: &Planned) -> Result<ZipFile<'z, BufReader<File>>, ArchiveError> {
        zip.by_index(planned.index).map_err(|error| match error {
            zip::result::ZipError::UnsupportedArchive(reason) => {
                ArchiveError::entry(self.archive, planned.path.display(), format!("cannot be read: {reason}"))
            }
            other => ArchiveError::zip(self.archive, other),
        })
    }

    fn write_file(&mut self, zip: &mut Zip, planned: &Planned) -> Result<(), ArchiveError> {
        self.create_parent(&planned.path)?;
        let path = self.to.join(&planned.path);
        let mut entry = self.open(zip, planned)?;
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(ArchiveError::io(&path))?;
        let mut limited = Read::by_ref(&mut entry).take(self.left.saturating_add(1));
        let copied = copy(&mut limited, &mut file).map_err(|fault| self.copy_error(&planned.path, fault))?;
        self.left = self.left.checked_sub(copied).ok_or_else(|| too_large(self.archive, self.limit))?;
        // Bits beyond these (set-user-id and the like) have no place in an artifact.
        let mode = if planned.mode & 0o777 == 0 { 0o644 } else { planned.mode & 0o777 };
        file.set_permissions(Permissions::from_mode(mode)).map_err(ArchiveError::io(&path))
    }

    fn copy_error(&self, entry: &Path, fault: CopyFault) -> ArchiveError {
        match fault {
            CopyFault::Read(error) => ArchiveError::entry(self.archive, entry.display(), format!("is broken: {error}")),
            CopyFault::Write(error) => {
                let source = io::Error::new(error.kind(), format!("cannot be written: {error}"));
                ArchiveError::Io { path: self.to.join(entry), source }
            }
        }
    }

    fn read_links(&self, zip: &mut Zip, plan: &Plan) -> Result<BTreeMap<PathBuf, PathBuf>, ArchiveError> {
        let mut links = BTreeMap::new();
        for planned in &plan.links {
            let mut target = Vec::new();
            let mut entry = self.open(zip, planned)?.take(LONGEST_TARGET_BYTES);
            entry.read_to_end(&mut target).map_err(ArchiveError::io(self.archive))?;
            if target.is_empty() || target.contains(&0) || target.len() as u64 >= LONGEST_TARGET_BYTES {
                return Err(ArchiveError::entry(self.archive, planned.path.display(), "is a link to nothing sensible"));
            }
            links.insert(planned.path.clone(), PathBuf::from(std::ffi::OsString::from_vec(target)));
        }
        match links.keys().find(|place| !links::stays_inside(place, &links)) {
            None => Ok(links),
            Some(place) => {
                let fault = format!("is a link to `{}`, which leads out of the directory", links[place].display());
                Err(ArchiveError::entry(self.archive, place.display(), fault))
            }
        }
    }

    fn create_parent(&mut self, path: &Path) -> Result<(), ArchiveError> {
        match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => self.create_directory(parent),
            _ => Ok(()),
        }
    }

    fn create_directory(&mut self, directory: &Path) -> Result<(), ArchiveError> {
        if self.directories.contains(directory) {
            return Ok(());
        }
        let path = self.to.join(directory);
        fs::create_dir_all(&path).map_err(ArchiveError::io(&path))?;
        self.directories.insert(directory.into());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_written_is_named_and_no_fault_of_the_archive() {
        let directory = tempfile::tempdir().unwrap();
        let (archive, to) = (directory.path().join("a.zip"), directory.path().join("to"));
        fs::create_dir(&to).unwrap();
        let mut full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let fault = copy(&mut "text".as_bytes(), &mut full).unwrap_err();
        let unpacking = Unpacking { archive: &archive, to: &to, directories: HashSet::new(), left: 0, limit: 0 };
        let error = unpacking.copy_error(Path::new("dist/app"), fault);
        let told = error.of_artifact();
        assert!(told.starts_with(&format!("{}/dist/app: cannot be written: No space left", to.display())), "{told}");

        let mut broken = b"text".chain(Broken);
        let fault = copy(&mut broken, &mut Vec::new()).unwrap_err();
        let told = unpacking.copy_error(Path::new("dist/app"), fault).of_artifact();
        assert!(told.starts_with("its `dist/app` is broken: invalid checksum"), "{told}");
    }

    struct Broken;

    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::new(io::ErrorKind::InvalidData, "invalid checksum"))
        }
    }
}
