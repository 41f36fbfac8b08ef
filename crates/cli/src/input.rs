//! Reads the files that the command is given.

use std::io::Read;
use std::path::Path;

/// The most bytes of a pipeline file that are read: 16 times what a declaration may have.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// The name by which a file is told about.
pub fn shown(path: &Path) -> String {
    if is_stdin(path) { "standard input".into() } else { path.display().to_string() }
}

/// The bytes of a file, or of standard input for `-`; the error is a sentence.
pub fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = if is_stdin(path) {
        std::io::stdin().lock().take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
    };
    match read {
        Err(error) => Err(format!("cannot be read: {error}")),
        Ok(_) if bytes.len() as u64 > MAX_FILE_BYTES => {
            Err(format!("is larger than {} MiB: no pipeline declaration is", MAX_FILE_BYTES / 1024 / 1024))
        }
        Ok(_) => Ok(bytes),
    }
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}
