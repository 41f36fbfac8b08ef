//! What a buildspec means, and what is said of one that cannot be read.

use super::*;

fn read_ok(text: &str) -> Buildspec {
    read(text).unwrap()
}

const MINIMAL: &str = "version: 0.2\nphases:\n  build:\n    commands: [\"true\"]\n";

#[test]
fn scalars_stay_as_they_are_written() {
    let spec = read_ok(&format!(
        "{MINIMAL}env:\n  variables:\n    A: 1.10\n    B: yes\n    C: \"quoted: text\"\n    D: 007\n    E:\n"
    ));
    let expected = [("A", "1.10"), ("B", "yes"), ("C", "quoted: text"), ("D", "007"), ("E", "")];
    assert_eq!(spec.variables, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(spec.remarks, Vec::<String>::new());
}

#[test]
fn phases_come_in_codebuilds_order_with_its_transitions() {
    let text = "version: 0.2\nphases:\n  post_build: {commands: [d]}\n  build: {commands: [c]}\n  install: {commands: [a]}\n  pre_build: {commands: [b]}\n";
    let spec = read_ok(text);
    let phases: Vec<_> = spec.phases.iter().map(|phase| (phase.name.unwrap(), phase.after_failure)).collect();
    let expected = [
        ("INSTALL", AfterFailure::End),
        ("PRE_BUILD", AfterFailure::End),
        ("BUILD", AfterFailure::Continue),
        ("POST_BUILD", AfterFailure::End),
    ];
    assert_eq!(phases, expected);
}

#[test]
fn on_failure_says_what_follows() {
    for (word, expected) in [
        ("ABORT", Ok((0, AfterFailure::End))),
        ("CONTINUE", Ok((0, AfterFailure::Continue))),
        ("RETRY", Ok((3, AfterFailure::Continue))),
        ("RETRY-0", Ok((0, AfterFailure::Continue))),
        ("RETRY-100", Ok((100, AfterFailure::Continue))),
        ("RETRY-101", Err("RETRY-n")),
        ("RETRY-.*timed out.*", Err("regular expressions")),
        ("RETRY-3-oops", Err("regular expressions")),
        ("abort", Err("ABORT")),
    ] {
        match (on_failure_of(word, AfterFailure::Continue), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{word}"),
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{word}: {found}"),
            (found, expected) => panic!("{word}: {found:?} instead of {expected:?}"),
        }
    }
}

#[test]
fn what_cannot_be_read_is_named_with_its_place() {
    for (text, expected) in [
        ("", "a buildspec is a mapping"),
        ("- a", "it is a list"),
        ("phases: {}", "version: is missing"),
        ("version: 0.1\nphases: {}", "version: 0.1 is not supported"),
        ("version: 0.2", "phases: is missing"),
        (
            "version: 0.2\nphases: {}",
            "phases: has none; at least one of install, pre_build, build, post_build is needed",
        ),
        ("version: 0.2\nphases: {bild: {commands: [a]}}", "phases: has bild; at least one of install"),
        ("version: 0.2\nphases: {build: {}}", "phases/build/commands: is missing"),
        (
            "version: 0.2\nphases: {build: {command: [make test]}}",
            "phases/build/commands: is missing; did you mean it by command?",
        ),
        ("version: 0.2\nphases: {build: {commands: echo}}", "phases/build/commands: is a text; it must be a list"),
        (
            "version: 0.2\nphases:\n  build:\n    commands:\n      - echo a: b",
            "phases/build/commands[0]: is a mapping; put the command in quotes",
        ),
        ("version: 0.2\nphases:\n  build:\n   commands:\n  - a", "line "),
        ("version: 0.2\nversion: 0.2", "line "),
        ("version: 0.2\nphases: {build: {commands: [a]}}\n---\na: b", "several documents"),
        (
            "version: 0.2\nphases: {build: {commands: [a]}}\nenv: {shell: powershell.exe}",
            "env/shell: powershell.exe cannot be run here",
        ),
        (
            "version: 0.2\nphases: {build: {commands: [a]}}\nartifacts: {files: [a], discard-paths: maybe}",
            "artifacts/discard-paths: is maybe",
        ),
        (
            "version: 0.2\nphases: {build: {commands: [a]}}\nbatch: {fast-fail: true}",
            "batch: batch builds cannot be run here",
        ),
        ("version: 0.2\nphases: {build: {commands: [a], on-failure: STOP}}", "phases/build/on-failure: is STOP"),
        (
            "version: 0.2\nphases: {build: {commands: [a]}}\nartifacts: {secondary-artifacts: {A: {name: x}}}",
            "artifacts/secondary-artifacts/A/files: is missing",
        ),
    ] {
        let problem = read(text).unwrap_err();
        assert!(problem.contains(expected), "{text:?}: {problem}");
    }
}

#[test]
fn what_is_unknown_or_of_no_meaning_is_remarked() {
    let text = "version: 0.2\nphases:\n  instal: {}\n  install:\n    runtime-versions: {python: 3.x, java: corretto8}\n    run-as: builder\ncache: {paths: [a]}\nreports: {r: {files: [a]}}\nenv: {exported-variables: [AWS_X, OK]}\n";
    let spec = read_ok(text);
    assert_eq!(spec.exported, ["OK"]);
    for expected in [
        "phases/instal is unknown; did you mean install?",
        "runtime-versions (python, java)",
        "phases/install/run-as",
        "cache is",
        "reports is",
        "AWS_X is not exported",
    ] {
        assert!(spec.remarks.iter().any(|remark| remark.contains(expected)), "{expected}: {:?}", spec.remarks);
    }
    assert_eq!(spec.remarks.len(), 6);
}

#[test]
fn artifacts_are_read_with_all_their_settings() {
    let text = format!(
        "{MINIMAL}artifacts:\n  files: ['**/*']\n  name: x\n  base-directory: 'out*'\n  discard-paths: yes\n  exclude-paths: '**/*.map'\n  enable-symlinks: yes\n  secondary-artifacts:\n    A:\n      files: [a]\n"
    );
    let spec = read_ok(&text);
    let whole = Selection {
        files: vec!["**/*".into()],
        exclude: vec!["**/*.map".into()],
        base: Some("out*".into()),
        discard_paths: true,
        follow_links: false,
    };
    assert_eq!(spec.artifacts, Some(whole));
    let plain = Selection { files: vec!["a".into()], follow_links: true, ..Selection::default() };
    assert_eq!(spec.secondary, [("A".to_owned(), plain)]);
    assert_eq!(spec.remarks, Vec::<String>::new());
}
