//! Where on the disk the files of a data directory lie.
//!
//! ext4 puts a file near its directory, and without a journal it does not take the inode of a file that was removed within
//! the last minutes: it passes over each such one whenever a file is made. Where thousands were removed nearby, by a build
//! or by another data directory, that is a millisecond a file, more than everything else that an action costs. So what
//! changes with every action gets a part of the disk that nobody else uses. Nothing but time depends on it.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
use uuid::Uuid;

/// Where files come with every action.
const BUSY: [&str; 2] = ["logs", "scratch"];

/// Tells the file system that what lies in the directory's directories is not related, and makes those that are missing.
///
/// # Errors
/// The file system knows no such hint, or a directory cannot be made: those who need it make it then.
pub(super) fn spread(data: &Path) -> io::Result<()> {
    let opened = File::open(data)?;
    let flags = ioctl_getflags(&opened)?;
    if !flags.contains(IFlags::TOPDIR) {
        ioctl_setflags(&opened, flags | IFlags::TOPDIR)?;
    }
    for name in BUSY.map(|name| data.join(name)).iter().filter(|name| !name.exists()) {
        // The place depends on the name that a directory is made with: one that was never used, rather than where all of
        // this name lie.
        let unused = data.join(format!(".{}", Uuid::new_v4()));
        DirBuilder::new().mode(0o700).create(&unused)?;
        fs::rename(&unused, name)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn directories_are_spread_once_and_keep_what_is_in_them() {
        let data = tempfile::tempdir().unwrap();
        let flags = || ioctl_getflags(File::open(data.path()).unwrap());
        let Ok(before) = flags() else {
            assert!(spread(data.path()).is_err(), "hints are taken where there are none");
            return;
        };
        let supported = ioctl_setflags(File::open(data.path()).unwrap(), before | IFlags::TOPDIR).is_ok();
        assert_eq!(spread(data.path()).is_ok(), supported);
        if supported {
            fs::write(data.path().join("logs/kept"), "text").unwrap();
            spread(data.path()).unwrap();
            assert!(flags().unwrap().contains(IFlags::TOPDIR));
            assert_eq!(fs::read_to_string(data.path().join("logs/kept")).unwrap(), "text");
            let found: BTreeSet<_> = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(found, BUSY.map(Into::into).into());
        }
    }
}
