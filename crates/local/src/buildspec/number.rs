//! The number of a project's next build, kept in the data directory.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Numbers are given one at a time: this process is the only one on its data directory.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// One more than the last one given, from 1.
///
/// # Errors
/// The data directory cannot be written.
pub(super) fn next(data: &Path, project: &str) -> io::Result<u64> {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = data.join("build-numbers");
    // Every file's name has a letter before it, so that none is `.` or `..`.
    let file = directory.join(format!("n-{}", project.replace('/', "%2F")));
    let last: u64 = match fs::read_to_string(&file) {
        Ok(text) => text.trim().parse().map_err(io::Error::other)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    fs::create_dir_all(&directory)?;
    let beside = file.with_extension("new");
    fs::write(&beside, (last + 1).to_string())?;
    fs::rename(&beside, &file)?;
    Ok(last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_project_counts_for_itself() {
        let data = tempfile::tempdir().unwrap();
        let next = |project: &str| next(data.path(), project).unwrap();
        assert_eq!((next("a"), next("a"), next("b"), next(".."), next("a")), (1, 2, 1, 1, 3));
    }
}
