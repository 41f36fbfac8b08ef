//! `emulators`: AWS on loopback for the tests, without Docker and without an account.
//!
//! A process of its own holds them up, so that they end with whoever asked for them, however that ends: by Ctrl-C, or
//! because the pipe to its standard input closes.

mod install;
mod process;

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context, bail};

use crate::step_with;
use process::Emulator;

/// On standard input: leave the logs.
const KEEP: &str = "keep";
/// On standard output: everything answers.
const READY: &str = "# ready";
/// How often it is looked whether an emulator ended or a signal came.
const LOOK: Duration = Duration::from_millis(100);
/// Keeps SDKs from asking the network for credentials, and from proxies on the way to loopback.
const CALM: &[(&str, &str)] =
    &[("AWS_EC2_METADATA_DISABLED", "true"), ("NO_PROXY", "127.0.0.1,localhost"), ("no_proxy", "127.0.0.1,localhost")];
/// What emulators take, and no account does.
const CREDENTIALS: &[(&str, &str)] = &[
    ("AWS_ACCESS_KEY_ID", "test"),
    ("AWS_SECRET_ACCESS_KEY", "test"),
    ("AWS_REGION", "us-east-1"),
    ("AWS_DEFAULT_REGION", "us-east-1"),
];

/// The chore: carries out a command while the emulators are up; without one holds them up until Ctrl-C or the end of
/// standard input.
pub fn emulators(command: &[String]) -> anyhow::Result<()> {
    let Some((program, arguments)) = command.split_first() else { return hold_up() };
    let emulators = Emulators::start()?;
    let mut command = Command::new(program);
    emulators.give_to(&mut command);
    let done = step_with(command.args(arguments).envs(CREDENTIALS.iter().copied()));
    emulators.stop(done.is_err());
    done
}

fn hold_up() -> anyhow::Result<()> {
    let ended = Arc::new(AtomicBool::new(false));
    let installed = install::install()?;
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&ended))?;
    }
    let run = tempfile::Builder::new().prefix("penstock-emulators-").tempdir()?;
    let mut up = Vec::new();
    let held = process::start_all(&installed, run.path(), &ended, &mut up).and_then(|()| {
        print_variables(&up, &installed)?;
        hold(&mut up, &ended)
    });
    drop(up);
    match held {
        Ok(false) => Ok(()),
        kept => {
            eprintln!("The emulators' logs are in {}", run.keep().display());
            kept.map(|_| ())
        }
    }
}

fn print_variables(up: &[Emulator], installed: &install::Installed) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for emulator in up {
        writeln!(out, "export PENSTOCK_TEST_{}=http://127.0.0.1:{}", emulator.name.to_uppercase(), emulator.port)?;
    }
    writeln!(out, "export PENSTOCK_TEST_AWS='{}'", installed.bin("aws").display())?;
    for (name, value) in CALM.iter().chain(CREDENTIALS) {
        writeln!(out, "export {name}={value}")?;
    }
    writeln!(out, "{READY}")?;
    Ok(out.flush()?)
}

/// Waits for the end; whether the logs are wanted.
fn hold(up: &mut [Emulator], ended: &AtomicBool) -> anyhow::Result<bool> {
    let input = lines();
    let mut keep = false;
    loop {
        match input.recv_timeout(LOOK) {
            Ok(line) => keep |= line.trim() == KEEP,
            Err(RecvTimeoutError::Disconnected) => return Ok(keep),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if ended.load(Ordering::SeqCst) {
            return Ok(keep);
        }
        for emulator in up.iter_mut() {
            emulator.must_run()?;
        }
    }
}

/// Standard input, line by line, until it closes.
fn lines() -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Emulators that another process holds up for this one.
pub struct Emulators {
    child: Child,
    input: Option<ChildStdin>,
    variables: Vec<(String, String)>,
}

impl Emulators {
    /// Starts them and waits until they answer.
    pub fn start() -> anyhow::Result<Self> {
        eprintln!("\n$ cargo xtask emulators");
        let mut child = Command::new(std::env::current_exe()?)
            .arg("emulators")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the emulators' process could not be started")?;
        let (input, output) = (child.stdin.take(), child.stdout.take().context("its output is not there")?);
        let mut variables = Vec::new();
        let mut ready = false;
        for line in BufReader::new(output).lines() {
            let line = line?;
            if line == READY {
                ready = true;
                break;
            }
            if let Some((name, value)) = line.strip_prefix("export ").and_then(|rest| rest.split_once('=')) {
                variables.push((name.to_owned(), value.trim_matches('\'').to_owned()));
            }
        }
        if !ready {
            bail!("the emulators did not come up ({})", child.wait()?);
        }
        Ok(Self { child, input, variables })
    }

    /// Gives a command what it needs of them, and nothing of a real account. No credentials either: tests of clients
    /// look for those of their own servers.
    pub fn give_to(&self, command: &mut Command) {
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("AWS_") && name != "AWS_CA_BUNDLE" {
                command.env_remove(name);
            }
        }
        let credential = |name: &str| CREDENTIALS.iter().any(|(known, _)| *known == name);
        let given = self.variables.iter().filter(|(name, _)| !credential(name));
        command.envs(given.map(|(name, value)| (name, value)));
    }

    /// A variable that they brought.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Stops them; with `keep` their logs stay.
    pub fn stop(mut self, keep: bool) {
        if let Some(mut input) = self.input.take()
            && keep
        {
            // It says so itself if it is gone already.
            let _ = writeln!(input, "{KEEP}");
        }
        let _ = self.child.wait();
    }
}

impl Drop for Emulators {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}
