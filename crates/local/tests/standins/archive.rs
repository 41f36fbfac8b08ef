//! Archives: what goes in comes out, archives of other tools are read, and hostile ones write nothing outside.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use local::archive::{ArchiveError, Entry, Limits, entries_of, pack, pack_tree, tree, unpack, unpack_within};
use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

fn scratch() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn write(root: &Path, name: &str, content: &[u8], mode: u32) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

fn sample(root: &Path) {
    write(root, "run.sh", b"#!/bin/sh\nexit 0\n", 0o755);
    write(root, "src/a b/ä.txt", &vec![b'x'; 200_000], 0o644);
    write(root, "read-only", b"", 0o444);
    symlink("../run.sh", root.join("src/run")).unwrap();
    symlink("src", root.join("everything")).unwrap();
    symlink("nowhere", root.join("dangling")).unwrap();
}

#[test]
fn what_goes_in_comes_out_with_modes_and_links() {
    let dir = scratch();
    let (from, to, zip) = (dir.path().join("from"), dir.path().join("to"), dir.path().join("x.zip"));
    sample(&from);
    let packed = pack_tree(&from, &zip).unwrap();
    assert_eq!((packed.files, packed.size), (6, fs::metadata(&zip).unwrap().len()));
    let unpacked = unpack(&zip, &to).unwrap();
    assert_eq!((unpacked.files, unpacked.bytes), (6, 200_017));

    assert_eq!(fs::read(to.join("src/a b/ä.txt")).unwrap(), vec![b'x'; 200_000]);
    assert_eq!(mode(&to.join("run.sh")), 0o755);
    assert_eq!(mode(&to.join("read-only")), 0o444);
    assert_eq!(fs::read_link(to.join("src/run")).unwrap(), PathBuf::from("../run.sh"));
    assert_eq!(fs::read_link(to.join("everything")).unwrap(), PathBuf::from("src"));
    assert_eq!(fs::read_link(to.join("dangling")).unwrap(), PathBuf::from("nowhere"));
}

#[test]
fn the_same_content_has_the_same_digest_whatever_order_and_time() {
    let dir = scratch();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    sample(&one);
    sample(&two);
    fs::File::open(two.join("run.sh")).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let first = pack_tree(&one, &dir.path().join("1.zip")).unwrap();
    let mut entries = tree(&two).unwrap();
    entries.sort_by(|a, b| b.cmp(a));
    let second = pack(&two, entries, &dir.path().join("2.zip")).unwrap();
    assert_eq!(first, second);
    let digest = Command::new("sha256sum").arg(dir.path().join("1.zip")).output().unwrap().stdout;
    assert!(String::from_utf8(digest).unwrap().starts_with(&first.sha256));

    write(&two, "run.sh", b"#!/bin/sh\nexit 0\n", 0o744);
    let changed = pack_tree(&two, &dir.path().join("3.zip")).unwrap();
    assert_ne!(first.sha256, changed.sha256, "a mode is content too");
}

#[test]
fn an_empty_archive_is_an_archive() {
    let dir = scratch();
    let zip = dir.path().join("x.zip");
    pack(dir.path(), Vec::new(), &zip).unwrap();
    assert_eq!(unpack(&zip, &dir.path().join("to")).unwrap().files, 0);
    assert!(dir.path().join("to").is_dir());
}

#[test]
fn other_tools_read_our_archives() {
    let dir = scratch();
    let (from, zip) = (dir.path().join("from"), dir.path().join("x.zip"));
    sample(&from);
    pack_tree(&from, &zip).unwrap();
    let listed = Command::new("python3").args(["-m", "zipfile", "-t"]).arg(&zip).output().unwrap();
    assert!(listed.status.success(), "{listed:?}");
    let Ok(unzip) = Command::new("unzip").arg("-q").arg(&zip).current_dir(dir.path()).output() else { return };
    assert!(unzip.status.success(), "{unzip:?}");
    assert_eq!(fs::read_link(dir.path().join("src/run")).unwrap(), PathBuf::from("../run.sh"));
    assert_eq!(mode(&dir.path().join("run.sh")), 0o755);
}

#[test]
fn archives_of_other_tools_are_read() {
    let dir = scratch();
    let from = dir.path().join("from");
    sample(&from);
    let python = ["-m", "zipfile", "-c", "../python.zip", "run.sh", "src"];
    let tools: [(&str, &[&str], &str, bool); 2] =
        [("python3", &python, "python.zip", false), ("zip", &["-qry", "../info.zip", "."], "info.zip", true)];
    for (tool, arguments, archive, links) in tools {
        let Ok(made) = Command::new(tool).args(arguments).current_dir(&from).output() else { continue };
        assert!(made.status.success(), "{tool}: {made:?}");
        let to = dir.path().join(tool);
        unpack(&dir.path().join(archive), &to).unwrap();
        assert_eq!(fs::read(to.join("src/a b/ä.txt")).unwrap().len(), 200_000, "{tool}");
        assert_eq!(mode(&to.join("run.sh")), 0o755, "{tool}");
        assert_eq!(fs::symlink_metadata(to.join("src/run")).unwrap().is_symlink(), links, "{tool}");
    }
}

#[test]
fn names_of_a_git_archive_come_out_as_the_repository_has_them() {
    let dir = scratch();
    let (from, zip, to) = (dir.path().join("from"), dir.path().join("x.zip"), dir.path().join("to"));
    let raw = OsStr::from_bytes(b"caf\xe9.txt");
    write(&from, r"back\slash", b"1", 0o644);
    write(&from, r"back\run", b"2", 0o755);
    write(&from, "é.txt", b"3", 0o644);
    fs::write(from.join(raw), b"4").unwrap();
    let git = |arguments: &[&str]| {
        let author = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"];
        let done = Command::new("git").arg("-C").arg(&from).args(author).args(arguments).status().unwrap();
        assert!(done.success(), "{arguments:?}");
    };
    git(&["init", "-q", "-b", "main"]);
    git(&["add", "-A"]);
    git(&["commit", "-q", "-m", "First light"]);
    git(&["archive", "--format=zip", "-o", zip.to_str().unwrap(), "main"]);
    assert_eq!(unpack(&zip, &to).unwrap().files, 4);
    for name in [OsStr::new(r"back\slash"), OsStr::new(r"back\run"), OsStr::new("é.txt"), raw] {
        assert_eq!(fs::read(to.join(name)).unwrap(), fs::read(from.join(name)).unwrap(), "{name:?}");
    }
}

#[test]
fn what_cannot_be_packed_is_named() {
    let dir = scratch();
    let zip = dir.path().join("x.zip");
    let from = dir.path().join("from");
    write(&from, "ok", b"", 0o644);

    symlink("/etc/passwd", from.join("absolute")).unwrap();
    let error = pack_tree(&from, &zip).unwrap_err().to_string();
    assert!(error.contains("`absolute` is a link to `/etc/passwd`, which leads out"), "{error}");
    assert!(!zip.exists(), "nothing is left of a failed archive");
    fs::remove_file(from.join("absolute")).unwrap();

    let pipe = from.join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let error = pack_tree(&from, &zip).unwrap_err().to_string();
    assert!(error.contains("`pipe` is a named pipe"), "{error}");

    let twice = vec![
        Entry { name: "x".into(), from: from.join("ok") },
        Entry { name: "x".into(), from: dir.path().join("other") },
    ];
    assert!(pack(&from, twice, &zip).unwrap_err().to_string().contains("would be there twice"));
    let outside = vec![Entry { name: "../x".into(), from: from.join("ok") }];
    assert!(pack(&from, outside, &zip).unwrap_err().to_string().contains("not a path below"));
    let missing = entries_of(&from, &["gone".into()]);
    assert!(pack(&from, missing, &zip).unwrap_err().to_string().contains("gone"));
    write(dir.path(), "x.zip", b"mine", 0o644);
    assert!(pack(&from, Vec::new(), &zip).is_err(), "an existing file is never overwritten");
    assert_eq!(fs::read(&zip).unwrap(), b"mine");
}

/// An entry of a hostile archive: name, mode with its kind, content.
type Hostile<'a> = (&'a str, u32, &'a [u8]);

const FILE: u32 = 0o100_644;
const LINK: u32 = 0o120_777;

fn hostile(path: &Path, entries: &[Hostile<'_>]) {
    let mut zip = ZipWriter::new(fs::File::create(path).unwrap());
    for (name, mode, content) in entries {
        let options = SimpleFileOptions::default().external_attributes(mode << 16).system(zip::System::Unix);
        zip.start_file(*name, options).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap();
}

#[test]
fn hostile_archives_write_nothing_outside() {
    let cases: &[(&str, &[Hostile<'_>], &str)] = &[
        ("absolute", &[("/tmp/x", FILE, b"x")], "absolute"),
        ("up", &[("../escaped", FILE, b"x")], "`..` in its path"),
        ("up inside", &[("a/../../escaped", FILE, b"x")], "`..` in its path"),
        ("link up", &[("l", LINK, b"..")], "leads out"),
        ("link absolute", &[("l", LINK, b"/etc")], "leads out"),
        ("link through link", &[("s/d/up", LINK, b"../.."), ("out", LINK, b"s/d/up/../escaped")], "leads out"),
        ("through a link", &[("l", LINK, b"."), ("l/escaped", FILE, b"x")], "lies below `l`"),
        ("through a link, deep", &[("l", LINK, b"."), ("l/a/b/c", FILE, b"x")], "lies below `l`"),
        ("below a file", &[("f", FILE, b""), ("f/x", FILE, b"x")], "lies below `f`"),
        ("twice", &[("a", FILE, b""), ("./a", FILE, b"x")], "is there twice"),
        ("link over file", &[("a", FILE, b""), ("a/", LINK, b"..")], "has the name of a directory"),
        ("device", &[("d", 0o060_644, b"")], "a device, a pipe or a socket"),
        ("pipe", &[("p", 0o010_644, b"")], "a device, a pipe or a socket"),
        ("socket", &[("s", 0o140_644, b"")], "a device, a pipe or a socket"),
        ("empty link", &[("l", LINK, b"")], "nothing sensible"),
        ("link with a zero", &[("l", LINK, b"a\0b")], "nothing sensible"),
        ("endless link", &[("l", LINK, &[b'a'; 5000])], "nothing sensible"),
    ];
    for (case, entries, said) in cases {
        let dir = scratch();
        let (zip, to) = (dir.path().join("x.zip"), dir.path().join("deep/to"));
        hostile(&zip, entries);
        let error = unpack(&zip, &to).expect_err(case).to_string();
        assert!(error.contains(said), "{case}: {error}");
        assert!(!dir.path().join("escaped").exists() && !dir.path().join("deep/escaped").exists(), "{case}");
    }
}

#[test]
fn set_user_id_is_dropped() {
    let dir = scratch();
    let zip = dir.path().join("x.zip");
    hostile(&zip, &[("s", 0o106_755, b"x"), ("none", 0, b"x")]);
    unpack(&zip, &dir.path().join("to")).unwrap();
    assert_eq!(mode(&dir.path().join("to/s")), 0o755);
    assert_eq!(mode(&dir.path().join("to/none")), 0o644);
}

#[test]
fn bombs_are_stopped() {
    let dir = scratch();
    let (zip, to) = (dir.path().join("x.zip"), dir.path().join("to"));
    let zeros = vec![0; 4 << 20];
    hostile(&zip, &[("a", FILE, &zeros), ("b", FILE, &zeros)]);
    let tight = Limits { always_bytes: 1 << 20, ..Limits::default() };
    let error = unpack_within(&zip, &to, &tight).unwrap_err();
    assert!(matches!(error, ArchiveError::TooLarge { .. }), "{error}");
    assert!(!to.exists(), "what is declared to be too large is not begun");
    unpack_within(&zip, &to, &Limits { ratio: 2000, ..tight }).unwrap();

    let few = Limits { entries: 1, ..Limits::default() };
    let error = unpack_within(&zip, &dir.path().join("few"), &few).unwrap_err().to_string();
    assert!(error.contains("2 entries; at most 1"), "{error}");
}

#[test]
fn an_archive_that_lies_about_its_size_is_stopped() {
    let dir = scratch();
    let (zip, to) = (dir.path().join("x.zip"), dir.path().join("to"));
    hostile(&zip, &[("a", FILE, &vec![0; 4 << 20])]);
    let mut bytes = fs::read(&zip).unwrap();
    let size = (4_u32 << 20).to_le_bytes();
    for place in 0..bytes.len() - 4 {
        if bytes[place..place + 4] == size {
            bytes[place..place + 4].copy_from_slice(&10_u32.to_le_bytes());
        }
    }
    fs::write(&zip, bytes).unwrap();
    unpack_within(&zip, &to, &Limits { always_bytes: 1 << 20, ..Limits::default() }).unwrap_err();
    assert!(fs::metadata(to.join("a")).unwrap().len() <= (1 << 20) + 1);
}

#[test]
fn broken_archives_are_errors() {
    let dir = scratch();
    let zip = dir.path().join("x.zip");
    fs::write(&zip, b"not a zip").unwrap();
    let error = unpack(&zip, &dir.path().join("to")).unwrap_err().to_string();
    assert!(error.contains("x.zip: not a zip archive"), "{error}");
    let error = unpack(&dir.path().join("absent.zip"), &dir.path().join("to")).unwrap_err();
    assert!(matches!(error, ArchiveError::Io { .. }), "{error}");

    hostile(&zip, &[("a", FILE, &[b'a'; 10_000])]);
    let mut bytes = fs::read(&zip).unwrap();
    bytes[40] ^= 0xff;
    fs::write(&zip, bytes).unwrap();
    assert!(unpack(&zip, &dir.path().join("broken")).is_err());
}

#[test]
fn only_an_empty_directory_is_unpacked_into() {
    let dir = scratch();
    let zip = dir.path().join("x.zip");
    hostile(&zip, &[("a", FILE, b"x")]);
    fs::create_dir(dir.path().join("to")).unwrap();
    symlink("/tmp", dir.path().join("to/b")).unwrap();
    let error = unpack(&zip, &dir.path().join("to")).unwrap_err().to_string();
    assert!(error.contains("something in it already"), "{error}");
}
