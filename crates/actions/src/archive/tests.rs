use std::io::Cursor;

use zip::write::SimpleFileOptions;

use super::*;

/// An archive in a directory of its own.
fn written(write: impl FnOnce(&mut ZipWriter<Cursor<Vec<u8>>>)) -> (tempfile::TempDir, PathBuf) {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    write(&mut writer);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.zip");
    std::fs::write(&path, writer.finish().unwrap().into_inner()).unwrap();
    (directory, path)
}

fn archive(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
    written(|writer| {
        for (name, content) in files {
            writer.start_file(*name, SimpleFileOptions::default()).unwrap();
            writer.write_all(content.as_bytes()).unwrap();
        }
    })
}

fn message<T: std::fmt::Debug>(result: Result<T, Fault>) -> String {
    match result {
        Err(Fault::Ends { message, .. }) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn names_that_lead_out_are_refused_before_anything_is_read() {
    for (name, wrong) in [
        ("../etc/passwd", "has `..` in its path"),
        ("a/../../b", "has `..` in its path"),
        ("/etc/passwd", "has an absolute path"),
        ("a\0b", "zero byte"),
    ] {
        let (_directory, path) = archive(&[("fine.txt", "1"), (name, "2")]);
        let said = message(Archive::open(&path, "the artifact In").unwrap().files());
        assert!(said.starts_with("the artifact In: ") && said.contains(wrong), "{name:?}: {said}");
    }
}

#[test]
fn files_are_sorted_and_directories_left_out() {
    let (_directory, path) = written(|writer| {
        writer.add_directory("b/", SimpleFileOptions::default()).unwrap();
        writer.start_file("b/./x", SimpleFileOptions::default()).unwrap();
        writer.start_file("a", SimpleFileOptions::default()).unwrap();
    });
    let files = Archive::open(&path, "it").unwrap().files().unwrap();
    assert_eq!(files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["a", "b/x"]);
}

#[test]
fn a_file_is_read_by_its_path() {
    let (_directory, path) = archive(&[("dir/input.json", "{\"a\":1}")]);
    let mut archive = Archive::open(&path, "the artifact In").unwrap();
    assert_eq!(archive.read_path("./dir/input.json"), Ok(b"{\"a\":1}".to_vec()));
    assert_eq!(message(archive.read_path("other.json")), "the artifact In: `other.json` is not there");
    assert!(archive.read_path("../x").is_err());
}

#[test]
fn a_link_has_the_content_of_the_file_it_leads_to() {
    let (_directory, path) = written(|writer| {
        writer.start_file("a/real", SimpleFileOptions::default()).unwrap();
        writer.write_all(b"content").unwrap();
        writer.add_symlink("b/link", "../a/real", SimpleFileOptions::default()).unwrap();
        writer.add_symlink("out", "../../etc/passwd", SimpleFileOptions::default()).unwrap();
        writer.add_symlink("twice", "b/link", SimpleFileOptions::default()).unwrap();
    });
    let mut archive = Archive::open(&path, "it").unwrap();
    assert_eq!(archive.read_path("b/link"), Ok(b"content".to_vec()));
    for name in ["out", "twice"] {
        assert!(message(archive.read_path(name)).contains("is no file of the archive"), "{name}");
    }
}

#[test]
fn what_would_fill_the_disk_is_refused() {
    let (_directory, path) = archive(&[("a", "1")]);
    let archive = Archive::open(&path, "it").unwrap();
    assert!(archive.refuse_bomb(ALWAYS_BYTES).is_ok());
    assert!(archive.refuse_bomb(ALWAYS_BYTES + 1).is_err());
}

#[test]
fn what_is_no_archive_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.zip");
    std::fs::write(&path, "no archive").unwrap();
    assert!(
        message(Archive::open(&path, "the artifact In").map(|_| ())).starts_with("the artifact In is no zip archive")
    );
}

#[test]
fn the_folder_around_everything_goes_and_modes_and_links_stay() {
    let (directory, path) = written(|writer| {
        writer.add_directory("repo-abc/", SimpleFileOptions::default()).unwrap();
        writer.start_file("repo-abc/run.sh", SimpleFileOptions::default().unix_permissions(0o755)).unwrap();
        writer.write_all(b"echo").unwrap();
        writer.add_symlink("repo-abc/dir/link", "../run.sh", SimpleFileOptions::default()).unwrap();
        writer.set_comment("0123456789012345678901234567890123456789").unwrap();
    });
    let mut archive = Archive::open(&path, "it").unwrap();
    assert_eq!(archive.comment(), "0123456789012345678901234567890123456789");
    let to = directory.path().join("b.zip");
    archive.without_top_folder(&to).unwrap();
    let mut copy = ZipArchive::new(File::open(&to).unwrap()).unwrap();
    let names: Vec<String> = copy.file_names().map(|name| name.unwrap_or_default().into_owned()).collect();
    assert_eq!(names, ["dir/link", "run.sh"]);
    assert_eq!(copy.by_name("run.sh").unwrap().unix_mode().map(|mode| mode & 0o777), Some(0o755));
    assert_eq!(copy.by_name("dir/link").unwrap().unix_mode().map(|mode| mode & KIND), Some(LINK));
    assert_eq!(Archive::open(&to, "it").unwrap().read_path("dir/link"), Ok(b"echo".to_vec()));
}

#[test]
fn files_outside_the_folder_are_refused() {
    for files in [[("one/a", "1"), ("two/b", "2")], [("one/a", "1"), ("b", "2")]] {
        let (directory, path) = archive(&files);
        let copied = Archive::open(&path, "it").unwrap().without_top_folder(&directory.path().join("b.zip"));
        assert!(message(copied).contains("outside the folder"), "{files:?}");
    }
}

#[test]
fn the_same_content_makes_the_same_archive() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    pack_one(&path("1"), "output.json", b"{}").unwrap();
    pack_one(&path("2"), "output.json", b"{}").unwrap();
    assert_eq!(std::fs::read(path("1")).unwrap(), std::fs::read(path("2")).unwrap());
    assert_eq!(Archive::open(&path("1"), "it").unwrap().read_path("output.json"), Ok(b"{}".to_vec()));
}

#[cfg(target_os = "linux")]
#[test]
fn what_does_not_fit_says_so() {
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let (_directory, path) = archive(&[("a", "1")]);
    let mut archive = Archive::open(&path, "it").unwrap();
    let files = archive.files().unwrap();
    let copied = archive.copy(&files, &files[0], &mut full());
    let mut packing = Packing(ZipWriter::new(BufWriter::new(full())));
    for did in [copied, packing.file("a", b"1", false)] {
        assert!(message(did).contains("does not fit into the function's temporary storage"));
    }
}
