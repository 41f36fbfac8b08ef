//! Files into an archive: sorted, without times, so that the same content always has the same digest.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use control::hexadecimal::hex;
use sha2::{Digest, Sha256};
use zip::write::{SimpleFileOptions, StreamWriter};
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::{ArchiveError, links};

/// The fastest level: artifacts are written once and read a few times, on the same machine.
const LEVEL: i64 = 1;
/// Below this, compression gains less than its headers cost.
const WORTH_COMPRESSING_BYTES: u64 = 64;
/// From this size on, an entry needs the larger headers.
const LARGE_FILE_BYTES: u64 = 0xffff_ffff;

/// A file to pack.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Its path in the archive: relative, without `.` and `..`.
    pub name: PathBuf,
    /// Where it lies. A symbolic link is packed as one.
    pub from: PathBuf,
}

/// What became of packing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackSummary {
    /// SHA-256 of the archive, in hexadecimal.
    pub sha256: String,
    /// The archive's size in bytes.
    pub size: u64,
    /// How many files and links are in it.
    pub files: usize,
}

/// Entries for files below `root`, under their paths relative to it.
pub fn entries_of(root: &Path, files: &[PathBuf]) -> Vec<Entry> {
    files.iter().map(|file| Entry { name: file.clone(), from: root.join(file) }).collect()
}

/// Every file and link below `root`; links to directories are not followed, empty directories are left out.
///
/// # Errors
/// A directory that cannot be read.
pub fn tree(root: &Path) -> Result<Vec<Entry>, ArchiveError> {
    tree_without(root, None)
}

/// The same but for what lies in one directory, given as its path below `root`.
pub(crate) fn tree_without(root: &Path, left_out: Option<&Path>) -> Result<Vec<Entry>, ArchiveError> {
    let mut found = Vec::new();
    let mut to_read = vec![PathBuf::new()];
    while let Some(directory) = to_read.pop() {
        let path = root.join(&directory);
        for item in fs::read_dir(&path).map_err(ArchiveError::io(&path))? {
            let item = item.map_err(ArchiveError::io(&path))?;
            let name = directory.join(item.file_name());
            if item.file_type().map_err(ArchiveError::io(&path))?.is_dir() {
                if left_out != Some(&name) {
                    to_read.push(name);
                }
            } else {
                found.push(Entry { name, from: item.path() });
            }
        }
    }
    Ok(found)
}

/// Packs a directory with all that is below it.
///
/// # Errors
/// As [`pack`] and [`tree`].
pub fn pack_tree(root: &Path, to: &Path) -> Result<PackSummary, ArchiveError> {
    pack(root, tree(root)?, to)
}

/// Packs `entries` into a new file `to`; `root` is what messages call them.
///
/// The order of `entries` is of no matter. No entries make an empty archive.
///
/// # Errors
/// A file that cannot be read, that is neither file nor link, that lies where another lies already, or a link that leads
/// out of the archive. Nothing is left at `to` then.
pub fn pack(root: &Path, mut entries: Vec<Entry>, to: &Path) -> Result<PackSummary, ArchiveError> {
    entries.sort();
    check_names(root, &entries)?;
    let file = File::create_new(to).map_err(ArchiveError::io(to))?;
    let packed = write_all(root, &entries, file, to);
    if packed.is_err() {
        // What failed to be written is of no use, and its error says more than that of this removal would.
        let _ = fs::remove_file(to);
    }
    packed
}

fn check_names(root: &Path, entries: &[Entry]) -> Result<(), ArchiveError> {
    for entry in entries {
        let plain = entry.name.components().all(|part| matches!(part, Component::Normal(_)));
        if !plain || entry.name.as_os_str().is_empty() {
            return Err(ArchiveError::entry(root, entry.name.display(), "is not a path below the archive's root"));
        }
    }
    for pair in entries.windows(2) {
        if pair[0].name == pair[1].name {
            let fault = format!("would be there twice: {} and {}", pair[0].from.display(), pair[1].from.display());
            return Err(ArchiveError::entry(root, pair[0].name.display(), fault));
        }
    }
    Ok(())
}

fn write_all(root: &Path, entries: &[Entry], file: File, to: &Path) -> Result<PackSummary, ArchiveError> {
    let digesting = Digesting { inner: file, hasher: Sha256::new(), size: 0 };
    let mut writer = ZipWriter::new_stream(BufWriter::with_capacity(128 * 1024, digesting));
    let mut links = BTreeMap::new();
    for entry in entries {
        let about = fs::symlink_metadata(&entry.from).map_err(ArchiveError::io(&entry.from))?;
        if about.is_symlink() {
            let target = fs::read_link(&entry.from).map_err(ArchiveError::io(&entry.from))?;
            write_link(&mut writer, &entry.name, &target, to)?;
            links.insert(entry.name.clone(), target);
        } else if about.is_file() {
            write_file(&mut writer, entry, &about, to)?;
        } else {
            return Err(ArchiveError::entry(root, entry.name.display(), format!("is {}", what_it_is(&about))));
        }
    }
    check_links(root, &links)?;
    let digesting = finish(writer, to)?;
    Ok(PackSummary { sha256: hex(&digesting.hasher.finalize()), size: digesting.size, files: entries.len() })
}

type Writer = ZipWriter<StreamWriter<BufWriter<Digesting>>>;

fn finish(writer: Writer, to: &Path) -> Result<Digesting, ArchiveError> {
    let buffered = writer.finish().map_err(|error| ArchiveError::zip(to, error))?.into_inner();
    buffered.into_inner().map_err(|error| ArchiveError::Io { path: to.into(), source: error.into_error() })
}

fn write_file(writer: &mut Writer, entry: &Entry, about: &fs::Metadata, to: &Path) -> Result<(), ArchiveError> {
    let compress = about.len() >= WORTH_COMPRESSING_BYTES;
    let options = options(about.mode())
        .compression_method(if compress { CompressionMethod::Deflated } else { CompressionMethod::Stored })
        .compression_level(compress.then_some(LEVEL))
        .large_file(about.len() >= LARGE_FILE_BYTES)
        .name(entry.name.as_os_str().as_bytes());
    let mut file = File::open(&entry.from).map_err(ArchiveError::io(&entry.from))?;
    writer.start_file_with_options(options).map_err(|error| ArchiveError::zip(to, error))?;
    let mut buffer = [0; 64 * 1024];
    loop {
        let read = file.read(&mut buffer).map_err(ArchiveError::io(&entry.from))?;
        if read == 0 {
            return Ok(());
        }
        writer.write_all(&buffer[..read]).map_err(ArchiveError::io(to))?;
    }
}

fn write_link(writer: &mut Writer, name: &Path, target: &Path, to: &Path) -> Result<(), ArchiveError> {
    // The whole mode is given as external attributes, since `add_symlink` knows names that are text only.
    let options = options(0o777)
        .compression_method(CompressionMethod::Stored)
        .external_attributes(0o120_777 << 16)
        .name(name.as_os_str().as_bytes());
    writer.start_file_with_options(options).map_err(|error| ArchiveError::zip(to, error))?;
    writer.write_all(target.as_os_str().as_bytes()).map_err(ArchiveError::io(to))
}

/// The same for the same mode: no time stands in it but the format's first.
fn options(mode: u32) -> SimpleFileOptions {
    SimpleFileOptions::default().unix_permissions(mode).last_modified_time(DateTime::default())
}

fn check_links(root: &Path, links: &BTreeMap<PathBuf, PathBuf>) -> Result<(), ArchiveError> {
    match links.keys().find(|place| !links::stays_inside(place, links)) {
        None => Ok(()),
        Some(place) => {
            let target = links[place].display();
            let fault = format!("is a link to `{target}`, which leads out of the artifact: copy the file instead");
            Err(ArchiveError::entry(root, place.display(), fault))
        }
    }
}

fn what_it_is(about: &fs::Metadata) -> &'static str {
    let kind = about.file_type();
    if kind.is_dir() {
        "a directory where a file was expected"
    } else if kind.is_fifo() {
        "a named pipe: only files and links can be packed"
    } else if kind.is_socket() {
        "a socket: only files and links can be packed"
    } else {
        "a device: only files and links can be packed"
    }
}

/// Counts and digests what passes through.
struct Digesting {
    inner: File,
    hasher: Sha256,
    size: u64,
}

impl Write for Digesting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// The SHA-256, in hexadecimal, and the size of a file.
pub(crate) fn digest_of(path: &Path) -> io::Result<(String, u64)> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 128 * 1024];
    let mut size = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((hex(&hasher.finalize()), size));
        }
        hasher.update(&buffer[..read]);
        size += read as u64;
    }
}
