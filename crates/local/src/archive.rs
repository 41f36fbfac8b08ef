//! Artifacts as zip archives: packed the same way every time, unpacked only to where they belong.
//!
//! File modes and symbolic links are kept. What is packed here can be unpacked here: both refuse links that lead out of
//! the archive, and neither knows devices, pipes and sockets.

mod links;
mod name;
mod pack;
mod unpack;

use std::path::{Path, PathBuf};

pub use pack::{Entry, PackSummary, entries_of, pack, pack_tree, tree};
pub(crate) use pack::{digest_of, tree_without};
pub use unpack::{Limits, UnpackSummary, unpack, unpack_within};

/// Why an archive could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is no zip archive, a broken one, or one of a kind that is not read.
    #[error("{}: not a zip archive that can be read: {reason}", archive.display())]
    Unreadable {
        /// The archive.
        archive: PathBuf,
        /// Why.
        reason: String,
    },
    /// One of its entries, or of the files to pack, cannot be taken.
    #[error("{}: `{entry}` {fault}", archive.display())]
    Entry {
        /// The archive, or the directory to pack.
        archive: PathBuf,
        /// The entry's name.
        entry: String,
        /// What is wrong with it.
        fault: String,
    },
    /// It is larger than what may be unpacked.
    #[error("{}: {what}", archive.display())]
    TooLarge {
        /// The archive.
        archive: PathBuf,
        /// What is too large, and the limit.
        what: String,
    },
}

impl ArchiveError {
    fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { path, source }
    }

    /// Why an artifact cannot be unpacked and what to do: the file at hand is Penstock's own, of no use to people.
    pub(crate) fn of_artifact(&self) -> String {
        match self {
            Self::Io { .. } => self.to_string(),
            Self::Unreadable { reason, .. } => format!(
                "it is no zip archive that can be read ({reason}); let the action that makes it, or the object that its \
                 source reads, be a zip archive"
            ),
            Self::Entry { entry, fault, .. } => {
                format!("its `{entry}` {fault}; leave it out, or change it, where the artifact comes from")
            }
            Self::TooLarge { what, .. } => format!("{what}; make it smaller where it comes from"),
        }
    }

    fn entry(archive: &Path, entry: impl std::fmt::Display, fault: impl Into<String>) -> Self {
        Self::Entry { archive: archive.into(), entry: entry.to_string(), fault: fault.into() }
    }

    fn zip(archive: &Path, error: zip::result::ZipError) -> Self {
        match error {
            zip::result::ZipError::Io(source)
                if source.kind() != std::io::ErrorKind::InvalidData
                    && source.kind() != std::io::ErrorKind::UnexpectedEof
                    && source.kind() != std::io::ErrorKind::Other =>
            {
                Self::Io { path: archive.into(), source }
            }
            other => Self::Unreadable { archive: archive.into(), reason: other.to_string() },
        }
    }
}
