//! Which files each pattern takes.

use std::os::unix::fs::symlink;

use super::*;

fn tree() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for name in [
        "a.txt",
        ".dot",
        "my-build-1/my-file-1.txt",
        "my-build-2/my-file-2.txt",
        "my-build-2/my-subdirectory/my-file-3.txt",
        "node/.bin/tool",
        "node/index.js",
        "node/index.js.map",
    ] {
        let file = directory.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, name).unwrap();
    }
    symlink("a.txt", directory.path().join("link")).unwrap();
    symlink("nowhere", directory.path().join("dangling")).unwrap();
    symlink("node", directory.path().join("linked-directory")).unwrap();
    directory
}

fn taken(selection: &Selection) -> Result<Vec<String>, String> {
    let directory = tree();
    let found =
        find(directory.path(), selection).map_err(|fault| engine::Outcome::from(fault).error.unwrap().message)?;
    Ok(found.entries.iter().map(|entry| entry.name.display().to_string()).collect())
}

fn files(patterns: &[&str]) -> Selection {
    Selection { files: patterns.iter().map(|pattern| (*pattern).to_owned()).collect(), ..Selection::default() }
}

const ALL: [&str; 11] = [
    ".dot",
    "a.txt",
    "dangling",
    "link",
    "linked-directory",
    "my-build-1/my-file-1.txt",
    "my-build-2/my-file-2.txt",
    "my-build-2/my-subdirectory/my-file-3.txt",
    "node/.bin/tool",
    "node/index.js",
    "node/index.js.map",
];

#[test]
fn patterns_take_files_as_codebuild_does() {
    for (patterns, expected) in [
        (vec!["**/*"], ALL.to_vec()),
        (vec!["**/"], ALL.to_vec()),
        (vec!["./"], ALL.to_vec()),
        (vec!["a.txt"], vec!["a.txt"]),
        (vec!["./a.txt"], vec!["a.txt"]),
        (vec!["node/*"], vec!["node/index.js", "node/index.js.map"]),
        (vec!["node/**/*"], vec!["node/.bin/tool", "node/index.js", "node/index.js.map"]),
        (vec!["node/"], vec!["node/.bin/tool", "node/index.js", "node/index.js.map"]),
        (vec!["**/*.js", "a.*"], vec!["a.txt", "node/index.js"]),
        (vec!["*/my-file-1.txt"], vec!["my-build-1/my-file-1.txt"]),
        (vec!["{a,b}.txt"], vec!["a.txt"]),
        (vec!["my-build-[12]/*.txt"], vec!["my-build-1/my-file-1.txt", "my-build-2/my-file-2.txt"]),
        (vec!["a.txt", "missing"], vec!["a.txt"]),
    ] {
        assert_eq!(taken(&files(&patterns)).unwrap(), expected, "{patterns:?}");
    }
}

#[test]
fn the_path_of_the_source_directory_is_the_directory_itself() {
    let directory = tree();
    let root = directory.path().to_str().unwrap();
    let names = |selection: &Selection| -> Vec<String> {
        let found = find(directory.path(), selection).map_err(|fault| engine::Outcome::from(fault).error.unwrap());
        found.unwrap().entries.iter().map(|entry| entry.name.display().to_string()).collect()
    };
    for same in [root.to_owned(), format!("{root}/"), format!("{root}//"), format!("{root}/./")] {
        assert_eq!(names(&files(&[&same])), ALL, "{same}");
        let based = Selection { base: Some(same.clone()), ..files(&["a.txt"]) };
        assert_eq!(names(&based), ["a.txt"], "{same}");
    }
    assert_eq!(names(&files(&[&format!("{root}/a.txt")])), ["a.txt"]);
    assert!(find(directory.path(), &files(&[&format!("{root}x")])).is_err(), "a directory beside it");
}

#[test]
fn nothing_found_and_paths_that_lead_out_are_faults() {
    for (patterns, expected) in [
        (vec!["missing"], "no matching artifact paths found"),
        (vec!["node"], "no matching artifact paths found"),
        (vec!["../a"], "leads out"),
        (vec!["/etc/passwd"], "leads out"),
        (vec!["a/../../b"], "leads out"),
        (vec!["[a"], "artifact path"),
    ] {
        let problem = taken(&files(&patterns)).unwrap_err();
        assert!(problem.contains(expected), "{patterns:?}: {problem}");
    }
}

#[test]
fn for_a_directorys_own_path_it_is_said_what_takes_its_files() {
    let right = "node is a directory; write node/ or node/**/*";
    assert!(taken(&files(&["node"])).unwrap_err().ends_with(right));
    let based = Selection { base: Some("my-build-2".into()), ..files(&["my-subdirectory"]) };
    assert!(taken(&based).unwrap_err().ends_with("write my-subdirectory/ or my-subdirectory/**/*"));
    assert!(!taken(&files(&["missing"])).unwrap_err().contains("is a directory"));
    let found = find(tree().path(), &files(&["a.txt", "node"])).unwrap();
    assert_eq!(found.remarks, ["No file matches node", right]);
}

#[test]
fn a_base_directory_is_where_paths_begin() {
    let based = |base: &str, pattern: &str| taken(&Selection { base: Some(base.into()), ..files(&[pattern]) });
    assert_eq!(based("my-build-2", "*/my-file-3.txt").unwrap(), ["my-subdirectory/my-file-3.txt"]);
    assert_eq!(based("./my-build-2/", "**/*").unwrap(), ["my-file-2.txt", "my-subdirectory/my-file-3.txt"]);
    assert_eq!(based("my-build*", "*").unwrap(), ["my-file-1.txt", "my-file-2.txt"]);
    assert_eq!(based(".", "a.txt").unwrap(), ["a.txt"]);
    assert!(based("missing", "*").unwrap_err().contains("does not exist"));
    assert!(based("none*", "*").unwrap_err().contains("does not exist"));
    for outside in ["..", "/", "/etc"] {
        assert!(based(outside, "*").unwrap_err().contains("leads out"), "{outside}");
    }
}

#[test]
fn discarded_paths_put_all_files_side_by_side() {
    let flat = Selection { base: Some("my-build*".into()), discard_paths: true, ..files(&["**/*"]) };
    assert_eq!(taken(&flat).unwrap(), ["my-file-1.txt", "my-file-2.txt", "my-file-3.txt"]);
}

#[test]
fn of_two_files_with_one_name_it_is_said_which_is_taken() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        fs::create_dir(directory.path().join(name)).unwrap();
        fs::write(directory.path().join(name).join("same"), name).unwrap();
    }
    let found = find(directory.path(), &Selection { discard_paths: true, ..files(&["**/*"]) }).unwrap();
    assert_eq!(found.entries.len(), 1);
    assert!(found.remarks[0].contains("b/same is taken instead of"), "{:?}", found.remarks);
}

#[test]
fn excluded_paths_win() {
    let without = |exclude: &[&str]| {
        let exclude = exclude.iter().map(|pattern| (*pattern).to_owned()).collect();
        taken(&Selection { exclude, ..files(&["node/**/*"]) }).unwrap()
    };
    assert_eq!(without(&["**/*.map"]), ["node/.bin/tool", "node/index.js"]);
    assert_eq!(without(&["**/.*/**/*"]), ["node/index.js", "node/index.js.map"]);
    assert_eq!(without(&["node/.bin/"]), ["node/index.js", "node/index.js.map"]);
}

#[test]
fn links_are_followed_only_where_that_is_asked() {
    let directory = tree();
    let from = |follow_links: bool| {
        let found =
            find(directory.path(), &Selection { follow_links, ..files(&["link", "dangling", "linked-directory"]) });
        found
            .unwrap()
            .entries
            .into_iter()
            .map(|entry| entry.from.strip_prefix(directory.path()).unwrap().display().to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(from(false), ["dangling", "link", "linked-directory"]);
    assert_eq!(from(true), ["a.txt"]);
}
