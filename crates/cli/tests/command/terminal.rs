//! What stands on a terminal: the live tree, seen through a terminal emulator.

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::run::{approval, commands, pipeline};
use super::support::{files, penstock, repository, run, scratch};

/// A command on a terminal of its own.
struct Terminal {
    child: Child,
    controller: std::fs::File,
    screen: vt100::Parser,
    /// Everything written, for what must never have been shown.
    raw: Vec<u8>,
}

impl Terminal {
    fn start(dir: &Path, args: &[&str], columns: u16, rows: u16, no_color: bool) -> Self {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let name = ptsname(&controller, Vec::new()).unwrap();
        resize(&controller, columns, rows);
        let open = || {
            let flags = OFlags::RDWR | OFlags::NOCTTY;
            Stdio::from(rustix::fs::open(&name, flags, Mode::empty()).unwrap())
        };
        let mut command = penstock(dir);
        command.args(args).stdin(open()).stdout(open()).stderr(open()).env("TERM", "xterm-256color");
        if no_color {
            command.env("NO_COLOR", "1");
        }
        let child = command.spawn().unwrap();
        drop(command);
        Self {
            child,
            controller: controller.into(),
            screen: vt100::Parser::new(cells(rows), cells(columns), 1_000),
            raw: Vec::new(),
        }
    }

    /// Reads until the screen shows something; none when the command ended first.
    fn until(&mut self, shows: impl Fn(&str) -> bool) -> Option<String> {
        let begun = Instant::now();
        let mut bytes = [0; 4096];
        loop {
            let shown = self.screen.screen().contents();
            if shows(&shown) {
                return Some(shown);
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "not shown in time:\n{shown}");
            match self.controller.read(&mut bytes) {
                // The other side is closed.
                Ok(0) | Err(_) => return None,
                Ok(count) => {
                    self.raw.extend_from_slice(&bytes[..count]);
                    self.screen.process(&bytes[..count]);
                }
            }
        }
    }

    fn resize(&mut self, columns: u16, rows: u16) {
        resize(&self.controller, columns, rows);
        self.screen.screen_mut().set_size(cells(rows), cells(columns));
    }

    /// Reads to the end; the exit status and what stands on the screen.
    fn end(mut self) -> (i32, String, Vec<u8>) {
        assert_eq!(self.until(|_| false), None);
        let code = self.child.wait().unwrap().code().unwrap();
        assert!(!self.screen.screen().hide_cursor(), "the cursor is still hidden");
        (code, self.screen.screen().contents(), self.raw)
    }
}

fn cells(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).unwrap()
}

fn resize(terminal: impl AsFd, columns: u16, rows: u16) {
    tcsetwinsize(terminal, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
}

/// A project whose action `name` prints a line and waits for `go`.
fn project(name: &str, line: &str) -> tempfile::TempDir {
    let dir = scratch();
    let here = dir.path().display();
    let script = format!("printf '{line}\\n'; until test -e {here}/go; do sleep 0.02; done");
    let declared = pipeline(&[("Build", &[commands(name, &[&script]), commands("Quick", &["true"])])]);
    files(dir.path(), &[("pipeline.json", &declared.to_string())]);
    repository(dir.path());
    dir
}

fn go(dir: &Path) {
    std::fs::write(dir.join("go"), "").unwrap();
}

#[test]
fn the_tree_is_redrawn_in_place_and_its_last_state_stays() {
    let dir = project("Slow", "half way there");
    let mut terminal = Terminal::start(dir.path(), &["run", "pipeline.json"], 100, 24, false);
    // A frame may be read in pieces: what is waited for is a whole one.
    let is_whole = |shown: &str| {
        let lines: Vec<&str> = shown.lines().filter(|line| !line.trim().is_empty()).collect();
        lines.len() == 6
            && lines[0].contains("web ")
            && lines[1].starts_with("✓ Source")
            && lines[4].contains("Slow")
            && lines[4].contains("InProgress")
            && lines[4].contains("half way there")
            && lines[5].contains("✓ Quick")
    };
    terminal.until(is_whole).unwrap();
    go(dir.path());
    let (code, shown, raw) = terminal.end();
    assert_eq!(code, 0, "{shown}");
    assert_eq!(shown.matches("✓ Build").count(), 1, "{shown}");
    assert_eq!(shown.matches("Slow").count(), 1, "{shown}");
    assert!(shown.contains("3 actions, 3 Succeeded") && !shown.contains("half way there"), "{shown}");
    assert!(String::from_utf8_lossy(&raw).contains("\u{1b}[32m"), "no colour");
}

#[test]
fn no_color_is_honoured_and_the_tree_lives_all_the_same() {
    let dir = project("Slow", "working");
    go(dir.path());
    let (code, shown, raw) = Terminal::start(dir.path(), &["run", "pipeline.json"], 100, 24, true).end();
    assert!(code == 0 && shown.contains("✓ Build"), "{shown}");
    let raw = String::from_utf8_lossy(&raw).into_owned();
    let styles = raw.split("\u{1b}[").skip(1).filter(|rest| {
        let end = rest.find(|c: char| c.is_ascii_alphabetic()).unwrap();
        rest[end..].starts_with('m')
    });
    assert_eq!(styles.count(), 0, "{raw:?}");
}

#[test]
fn a_small_and_shrinking_terminal_keeps_one_tree() {
    let dir = project("Slow", "とても長い行 とても長い行 とても長い行 とても長い行");
    let mut terminal = Terminal::start(dir.path(), &["run", "pipeline.json"], 60, 5, false);
    let is_whole = |shown: &str| {
        let fits = shown.lines().count() <= 5;
        fits && ["web", "Build", "Slow"].iter().all(|name| shown.matches(name).count() == 1)
    };
    terminal.until(|shown| is_whole(shown) && shown.contains("とても")).unwrap();
    terminal.resize(30, 5);
    terminal.until(|shown| is_whole(shown) && shown.contains("InProgress  …")).unwrap();
    terminal.resize(100, 40);
    go(dir.path());
    let (code, shown, _) = terminal.end();
    assert_eq!(code, 0);
    assert_eq!(shown.matches("Slow").count(), 1, "{shown}");
}

#[test]
fn a_pending_approval_shows_its_link_above_the_tree() {
    let dir = scratch();
    files(dir.path(), &[("pipeline.json", &pipeline(&[("Gate", &[approval("SignOff")])]).to_string())]);
    repository(dir.path());
    let mut terminal = Terminal::start(dir.path(), &["run", "pipeline.json"], 200, 30, false);
    let shown = terminal.until(|shown| shown.contains("/approve/") && shown.contains("? SignOff")).unwrap();
    let joined = shown.replace('\n', "");
    let url = joined[joined.find("http://").unwrap()..].split(char::is_whitespace).next().unwrap().to_owned();
    // The link wraps at the terminal's edge; what follows it is the tree.
    let url = url.split(['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏']).next().unwrap();
    let page = super::run::http(url, "POST", "decision=approve&summary=fine");
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    let (code, shown, _) = terminal.end();
    assert!(code == 0 && shown.contains("✓ Gate"), "{shown}");
}

#[test]
fn ctrl_c_typed_once_and_twice_leaves_the_terminal_as_it_was() {
    let dir = project("Slow", "working");
    let mut terminal = Terminal::start(dir.path(), &["run", "pipeline.json"], 100, 24, false);
    terminal.until(|shown| shown.contains("working")).unwrap();
    let interrupt = |terminal: &Terminal| {
        let pid = rustix::process::Pid::from_child(&terminal.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    };
    interrupt(&terminal);
    terminal.until(|shown| shown.contains("Ctrl-C again abandons")).unwrap();
    interrupt(&terminal);
    let (code, shown, _) = terminal.end();
    assert_eq!(code, 130, "{shown}");
    assert!(shown.contains("Abandoned") && shown.contains("Stopped in"), "{shown}");
}

#[test]
fn a_dumb_terminal_gets_plain_lines() {
    let dir = project("Slow", "working");
    go(dir.path());
    let ended = run(dir.path(), &["run", "pipeline.json"]);
    assert!(ended.stdout.contains("Build/Slow Succeeded"), "{}", ended.stdout);
    let mut terminal = Terminal::start(dir.path(), &["validate", "pipeline.json"], 80, 24, false);
    terminal.controller.write_all(b"").unwrap();
    let (code, shown, raw) = terminal.end();
    assert!(code == 0 && shown.contains("accepted"), "{shown}");
    assert!(String::from_utf8_lossy(&raw).contains('\u{1b}'), "a terminal gets colours");
}
