//! Help, completions, manual pages and usage errors.

use super::support::{run, scratch};

const COMMANDS: &[&str] = &[
    "init",
    "validate",
    "run",
    "serve",
    "pipelines",
    "create",
    "update",
    "start",
    "stop",
    "retry",
    "rollback",
    "approve",
    "transition",
    "state",
    "history",
    "logs",
    "watch",
    "connection",
    "client-token",
    "why",
    "audit",
    "proxy",
    "doctor",
    "completions",
    "man",
];

#[test]
fn every_command_explains_itself() {
    let dir = scratch();
    let top = run(dir.path(), &["--help"]);
    assert_eq!((top.code, top.stderr.as_str()), (0, ""));
    let mut text = top.stdout.clone();
    for command in COMMANDS {
        assert!(top.stdout.contains(&format!("\n  {command} ")), "{command} is missing in the overview");
        let help = run(dir.path(), &[command, "--help"]);
        assert_eq!((help.code, help.stderr.as_str()), (0, ""), "{command}");
        assert!(help.stdout.contains("Examples:"), "{command} has no example");
        text.push_str(&format!("\n==== {command}\n{}", help.stdout));
    }
    let listed = top.stdout.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    assert_eq!(listed.count(), COMMANDS.len(), "a command is not looked at here");
    insta::assert_snapshot!("help", text);
}

#[test]
fn the_version_is_told() {
    let dir = scratch();
    assert_eq!(run(dir.path(), &["--version"]).stdout, format!("penstock {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn unusable_arguments_end_with_2_and_say_what_was_meant() {
    let dir = scratch();
    for (args, meant) in [
        (&["valdate", "x"][..], "'validate'"),
        (&["run", "p.json", "--aprove", "A/B"], "--approve"),
        (&["run", "p.json", "--approve", "A"], "STAGE/ACTION"),
        (&["run", "p.json", "--variable", "A"], "NAME=VALUE"),
        (&["serve", "--account-id", "12"], "12 digits"),
        (&["transition", "disable", "p", "S"], "--reason"),
        (&["start", "p", "--source-revision", "A=B:c"], "COMMIT_ID"),
        (&["validate"], "FILE"),
        (&[], "Usage"),
    ] {
        let ended = run(dir.path(), args);
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{args:?}");
        assert!(ended.stderr.contains(meant), "{args:?}: {}", ended.stderr);
    }
}

#[test]
fn completions_and_manual_pages_know_every_command() {
    let dir = scratch();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(dir.path(), &["completions", shell]);
        assert_eq!(script.code, 0);
        for command in COMMANDS {
            assert!(script.stdout.contains(command), "{shell}: {command}");
        }
    }
    assert!(run(dir.path(), &["man"]).stdout.contains(".TH penstock 1"));
    assert_eq!(run(dir.path(), &["man", "pages"]).code, 0);
    for command in COMMANDS {
        assert!(dir.path().join(format!("pages/penstock-{command}.1")).is_file(), "{command}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure_to_tell() {
    let dir = scratch();
    let mut child = super::support::penstock(dir.path())
        .args(["completions", "bash"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(141), ""));
}
