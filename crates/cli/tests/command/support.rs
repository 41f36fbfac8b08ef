//! Runs the command in a directory of its own, with an environment of its own.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// What a run of the command gave.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// The command, in `dir`; nothing of this environment but the PATH reaches it.
pub fn penstock(dir: &Path) -> Command {
    let mut command = Command::new("env");
    // Whoever runs these tests may have interrupts ignored, as a shell does for what it starts with `&`.
    command.args(["--default-signal=INT", env!("CARGO_BIN_EXE_penstock")]);
    command.current_dir(dir).env_clear().env("HOME", dir).env("LANG", "C.UTF-8").env("COLUMNS", "100");
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
    command.stdin(Stdio::null());
    command
}

/// Runs the command to its end.
pub fn run(dir: &Path, args: &[&str]) -> Ended {
    ended(penstock(dir).args(args))
}

/// Runs the command to its end with a text on standard input.
pub fn run_with_input(dir: &Path, args: &[&str], input: &str) -> Ended {
    let mut command = penstock(dir);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    of(child.wait_with_output().unwrap())
}

/// Runs a prepared command to its end.
pub fn ended(command: &mut Command) -> Ended {
    of(command.output().unwrap())
}

fn of(output: std::process::Output) -> Ended {
    Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// An empty directory.
pub fn scratch() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Writes files, making their directories.
pub fn files(dir: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

/// Makes a repository of a directory and commits all of it on branch main.
pub fn repository(dir: &Path) {
    git(dir, &["init", "-q", "-b", "main"]);
    commit(dir);
}

/// Commits everything.
pub fn commit(dir: &Path) {
    git(dir, &["add", "-A"]);
    let author = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"];
    git(dir, &[&author[..], &["commit", "-q", "--allow-empty", "-m", "First light"]].concat());
}

/// Runs git.
pub fn git(dir: &Path, args: &[&str]) {
    let status = Command::new("git")
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .status()
        .unwrap();
    assert!(status.success(), "git {args:?}");
}
