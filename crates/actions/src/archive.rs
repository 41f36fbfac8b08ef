//! Zip archives: their entries checked before any is used, one file of them, and copies without the folder around all.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use zip::{System, ZipArchive, ZipWriter};

use crate::fault::{Fault, scratch};

const KIND: u32 = 0o170_000;
const LINK: u32 = 0o120_000;
/// The most entries of an archive.
const MAX_ENTRIES: usize = 500_000;
/// What may always come out of an archive, in bytes.
const ALWAYS_BYTES: u64 = 1 << 30;
/// Above that, the most bytes for each byte of the archive.
const MAX_RATIO: u64 = 100;
/// The longest target of a link.
const MAX_TARGET_BYTES: u64 = 4096;

/// An archive, its names checked.
pub(crate) struct Archive {
    zip: ZipArchive<BufReader<File>>,
    /// What to call it.
    name: String,
    path: PathBuf,
}

/// A file in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    index: usize,
    /// Its path below the archive's root, with `/`.
    pub(crate) path: String,
    /// Its size in bytes.
    pub(crate) size: u64,
    is_link: bool,
}

impl Archive {
    /// Opens an archive; `name` is what messages call it.
    ///
    /// # Errors
    /// What is no zip archive.
    pub(crate) fn open(path: &Path, name: &str) -> Result<Self, Fault> {
        let fault = |reason: String| Fault::job(format!("{name} is no zip archive that can be read: {reason}"));
        let file = File::open(path).map_err(|error| fault(error.to_string()))?;
        let zip = ZipArchive::new(BufReader::with_capacity(64 * 1024, file)).map_err(|e| fault(e.to_string()))?;
        Ok(Self { zip, name: name.into(), path: path.into() })
    }

    /// What a git archive says of itself: its commit.
    pub(crate) fn comment(&self) -> String {
        String::from_utf8_lossy(self.zip.comment()).trim().to_owned()
    }

    /// Its files, sorted by path.
    ///
    /// # Errors
    /// A name that leads out of the archive, stands there twice, or more than an honest archive holds.
    pub(crate) fn files(&mut self) -> Result<Vec<Entry>, Fault> {
        if self.zip.len() > MAX_ENTRIES {
            return Err(self.fault("", &format!("{} entries; at most {MAX_ENTRIES} are read", self.zip.len())));
        }
        let (mut files, mut seen, mut declared) = (Vec::new(), HashSet::new(), 0_u64);
        for index in 0..self.zip.len() {
            let entry = self.zip.by_index_raw(index).map_err(|error| Fault::job(error.to_string()))?;
            let shown = String::from_utf8_lossy(entry.name_raw()).into_owned();
            // Windows may separate by backslashes; on Unix they are letters like any other.
            let on_unix = matches!(entry.system(), System::Unix | System::OsDarwin);
            let written = if on_unix { shown.clone() } else { shown.replace('\\', "/") };
            let (is_directory, size) = (entry.is_dir(), entry.size());
            let is_link = entry.unix_mode().is_some_and(|mode| mode & KIND == LINK);
            drop(entry);
            declared = declared.saturating_add(size);
            let path = below_root(&written).map_err(|wrong| self.fault(&shown, wrong))?;
            if is_directory || written.ends_with('/') {
                continue;
            }
            if path.is_empty() || !seen.insert(path.clone()) {
                return Err(self.fault(&shown, "has no name, or is there twice"));
            }
            files.push(Entry { index, path, size, is_link });
        }
        self.refuse_bomb(declared)?;
        files.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(files)
    }

    fn refuse_bomb(&self, declared: u64) -> Result<(), Fault> {
        let packed = std::fs::metadata(&self.path).map_or(0, |about| about.len());
        if declared > packed.saturating_mul(MAX_RATIO).max(ALWAYS_BYTES) {
            return Err(self.fault("", "more would come out of it than of an honest archive of its size"));
        }
        Ok(())
    }

    /// Writes a file's content, no more than its entry says. A link to another file of the archive has that file's.
    ///
    /// # Errors
    /// A broken entry, a link that leads elsewhere, and what cannot be written.
    pub(crate) fn copy(&mut self, files: &[Entry], entry: &Entry, to: &mut dyn Write) -> Result<(), Fault> {
        if !entry.is_link {
            return self.inflate(entry, entry.size, to);
        }
        let mut target = Vec::new();
        self.inflate(entry, MAX_TARGET_BYTES, &mut target)?;
        let target = String::from_utf8_lossy(&target).into_owned();
        let place = linked(&entry.path, &target);
        let found = place.and_then(|place| files.iter().find(|file| file.path == place && !file.is_link));
        let wrong = || format!("is a link to {target:?}, which is no file of the archive");
        let found = found.ok_or_else(|| self.fault(&entry.path, &wrong()))?;
        self.inflate(found, found.size, to)
    }

    fn inflate(&mut self, entry: &Entry, at_most: u64, to: &mut dyn Write) -> Result<(), Fault> {
        let opened = self.zip.by_index(entry.index).map_err(std::io::Error::from);
        let copied = opened.and_then(|file| std::io::copy(&mut file.take(at_most.saturating_add(1)), to));
        match copied {
            Ok(copied) if copied <= at_most => Ok(()),
            Ok(_) => Err(self.fault(&entry.path, "is larger than it says")),
            Err(error) if error.kind() == std::io::ErrorKind::StorageFull => Err(scratch(&error)),
            Err(error) => Err(self.fault(&entry.path, &format!("cannot be read: {error}"))),
        }
    }

    /// The file at this path.
    ///
    /// # Errors
    /// No such file.
    pub(crate) fn read_path(&mut self, path: &str) -> Result<Vec<u8>, Fault> {
        let files = self.files()?;
        let wanted = below_root(path).map_err(|wrong| self.fault(path, wrong))?;
        match files.iter().find(|entry| entry.path == wanted) {
            Some(entry) => {
                let mut content = Vec::new();
                self.copy(&files, entry, &mut content)?;
                Ok(content)
            }
            None => Err(self.fault(path, "is not there")),
        }
    }

    /// Writes a copy without the folder that all entries lie in, as git hosts pack them. Content, modes and links are kept.
    ///
    /// # Errors
    /// Entries in more than one folder, and what [`Self::files`] refuses.
    pub(crate) fn without_top_folder(&mut self, to: &Path) -> Result<(), Fault> {
        let files = self.files()?;
        let file = File::create_new(to).map_err(|error| scratch(&error))?;
        let mut writer = ZipWriter::new(BufWriter::new(file));
        let mut top: Option<&str> = None;
        for entry in &files {
            let (folder, rest) = entry.path.split_once('/').unwrap_or(("", &entry.path));
            if folder.is_empty() || *top.get_or_insert(folder) != folder {
                return Err(self.fault(&entry.path, "lies outside the folder that holds all others"));
            }
            let source = self.zip.by_index_raw(entry.index).map_err(broken)?;
            writer.raw_copy_file_rename(source, rest).map_err(broken)?;
        }
        writer.finish().map(|_| ()).map_err(broken)
    }

    fn fault(&self, entry: &str, wrong: &str) -> Fault {
        match entry {
            "" => Fault::job(format!("{}: {wrong}", self.name)),
            entry => Fault::job(format!("{}: `{entry}` {wrong}", self.name)),
        }
    }
}

/// An archive that is being written. The same files in the same order make the same archive.
pub(crate) struct Packing(ZipWriter<BufWriter<File>>);

impl Packing {
    /// Begins an archive in a file that must not exist yet.
    ///
    /// # Errors
    /// What cannot be written; so do all others.
    pub(crate) fn create(to: &Path) -> Result<Self, Fault> {
        let file = File::create_new(to).map_err(|error| scratch(&error))?;
        Ok(Self(ZipWriter::new(BufWriter::new(file))))
    }

    /// Adds a file.
    pub(crate) fn file(&mut self, path: &str, content: &[u8], executable: bool) -> Result<(), Fault> {
        let mode = if executable { 0o755 } else { 0o644 };
        self.0.start_file(path, options().unix_permissions(mode)).map_err(broken)?;
        self.0.write_all(content).map_err(|error| scratch(&error))
    }

    /// Adds a symbolic link.
    pub(crate) fn link(&mut self, path: &str, target: &str) -> Result<(), Fault> {
        self.0.add_symlink(path, target, options()).map_err(broken)
    }

    /// Ends it.
    pub(crate) fn finish(self) -> Result<(), Fault> {
        let mut file = self.0.finish().map_err(broken)?;
        file.flush().map_err(|error| scratch(&error))
    }
}

fn options() -> zip::write::SimpleFileOptions {
    zip::write::SimpleFileOptions::default().last_modified_time(zip::DateTime::default())
}

fn broken(error: zip::result::ZipError) -> Fault {
    scratch(&error.into())
}

/// Writes an archive of one file.
///
/// # Errors
/// What cannot be written.
pub(crate) fn pack_one(to: &Path, name: &str, content: &[u8]) -> Result<(), Fault> {
    let mut packing = Packing::create(to)?;
    packing.file(name, content, false)?;
    packing.finish()
}

/// A name as a path below the root.
pub(crate) fn below_root(name: &str) -> Result<String, &'static str> {
    if name.contains('\0') {
        return Err("has a name with a zero byte");
    }
    if name.starts_with('/') {
        return Err("has an absolute path: it leads out of the archive");
    }
    let mut parts = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err("has `..` in its path: it leads out of the archive"),
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

/// Where a link leads, below the root.
fn linked(from: &str, target: &str) -> Option<String> {
    if target.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests;
