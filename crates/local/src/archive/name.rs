//! Names of entries, as paths below the archive's root.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use zip::System;

/// An entry's path below the root, and whether its name says that it is a directory.
///
/// # Errors
/// What is wrong with the name: absolute, leading out, empty, or with a zero byte.
pub(super) fn below_root(raw: &[u8], decoded: &str, system: System) -> Result<(PathBuf, bool), &'static str> {
    let name = as_written(raw, decoded, system);
    if name.contains(&0) {
        return Err("has a name with a zero byte");
    }
    if name.first() == Some(&b'/') {
        return Err("has an absolute path: it would be written outside the directory");
    }
    let mut path = PathBuf::new();
    for part in name.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => return Err("has `..` in its path: it would be written outside the directory"),
            part => path.push(OsStr::from_bytes(part)),
        }
    }
    Ok((path, name.last() == Some(&b'/')))
}

/// UTF-8 is taken as it stands, whether flagged or not, and so are the bytes of a Unix system; others are decoded, and
/// separated by `/` whatever their system uses.
fn as_written(raw: &[u8], decoded: &str, system: System) -> Vec<u8> {
    let on_unix = matches!(system, System::Unix | System::OsDarwin);
    let bytes = if on_unix || std::str::from_utf8(raw).is_ok() { raw } else { decoded.as_bytes() };
    let separator = |byte: &u8| if *byte == b'\\' && !on_unix { b'/' } else { *byte };
    bytes.iter().map(separator).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_paths_below_the_root() {
        for (name, system, path, directory) in [
            ("a/b", System::Unix, "a/b", false),
            ("./a//b/", System::Unix, "a/b", true),
            ("a\\b", System::Unix, "a\\b", false),
            ("a\\b", System::Dos, "a/b", false),
            ("ä", System::Dos, "ä", false),
            ("./", System::Unix, "", true),
        ] {
            assert_eq!(below_root(name.as_bytes(), name, system), Ok((path.into(), directory)), "{name}");
        }
    }

    #[test]
    fn names_that_lead_out_are_refused() {
        for (name, system) in [
            ("/etc/passwd", System::Unix),
            ("../x", System::Unix),
            ("a/../../x", System::Unix),
            ("a/..", System::Unix),
            ("..\\x", System::Dos),
            ("\\x", System::Dos),
            ("a\0b", System::Unix),
        ] {
            assert!(below_root(name.as_bytes(), name, system).is_err(), "{name:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_kept() {
        let (path, _) = below_root(&[b'a', 0xff], "a?", System::Unix).unwrap();
        assert_eq!(path.as_os_str().as_bytes(), [b'a', 0xff]);
        let (path, _) = below_root(&[0x84], "ä", System::Dos).unwrap();
        assert_eq!(path, PathBuf::from("ä"));
    }
}
