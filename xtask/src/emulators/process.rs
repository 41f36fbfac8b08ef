//! The emulators as processes: each leads a group of its own, so that what it starts ends with it.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

use super::install::Installed;

/// The longest that an emulator may take to answer.
const READY: Duration = Duration::from_secs(90);
/// The longest that an emulator may take to end by itself.
const GRACE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(50);
/// How much of a log is shown of an emulator that failed.
const TAIL: usize = 2000;

/// A running emulator; it ends when this is dropped.
pub struct Emulator {
    /// `ministack`, `dynamodb` or `moto`.
    pub name: &'static str,
    /// The port on loopback.
    pub port: u16,
    child: Child,
    log: std::path::PathBuf,
}

impl Emulator {
    fn start(name: &'static str, run: &Path, make: impl FnOnce(u16) -> Command) -> anyhow::Result<Self> {
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let log = run.join(format!("{name}.log"));
        let output = File::create(&log)?;
        let mut command = make(port);
        for (variable, _) in std::env::vars_os() {
            // An emulator calls back what its environment names: without these it would reach AWS.
            let given = command.get_envs().any(|(name, _)| name == variable);
            if variable.to_string_lossy().starts_with("AWS_") && !given {
                command.env_remove(variable);
            }
        }
        let child = command
            .env("TMPDIR", run.join("tmp"))
            .current_dir(run)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .spawn()
            .with_context(|| format!("{name} could not be started"))?;
        Ok(Self { name, port, child, log })
    }

    /// An error with the log's end if it ended.
    pub fn must_run(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{} ended ({status}):\n{}", self.name, self.tail());
        }
        Ok(())
    }

    fn wait(&mut self, ended: &AtomicBool) -> anyhow::Result<()> {
        let since = Instant::now();
        while !self.answers() {
            self.must_run()?;
            if ended.load(Ordering::SeqCst) {
                bail!("interrupted");
            }
            if since.elapsed() > READY {
                bail!("{} does not answer:\n{}", self.name, self.tail());
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Whether it speaks HTTP as it does once it is up.
    fn answers(&self) -> bool {
        let (path, status) = match self.name {
            "ministack" => ("/_ministack/ready", " 200 "),
            "moto" => ("/moto-api/", " 200 "),
            // It wants a signed POST; to say so it must be up.
            _ => ("/", " 400 "),
        };
        let ask = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
            stream.set_read_timeout(Some(Duration::from_secs(2)))?;
            write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
            let mut answer = [0; 64];
            let read = stream.read(&mut answer)?;
            Ok(String::from_utf8_lossy(&answer[..read]).into_owned())
        };
        ask().is_ok_and(|answer| answer.contains(status))
    }

    fn tail(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(TAIL)..]).into_owned()
    }

    fn group(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let Some(group) = self.group() else { return };
        // What ended already cannot be ended again.
        let _ = kill_process_group(group, Signal::TERM);
        let since = Instant::now();
        while since.elapsed() < GRACE && (matches!(self.child.try_wait(), Ok(None)) || alive(group)) {
            std::thread::sleep(LOOK);
        }
        if alive(group) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// Whether any process of a group is left.
fn alive(group: Pid) -> bool {
    test_kill_process_group(group).is_ok()
}

/// Starts all, then waits for all. What was started is in `up` also when another one fails.
pub fn start_all(installed: &Installed, run: &Path, ended: &AtomicBool, up: &mut Vec<Emulator>) -> anyhow::Result<()> {
    std::fs::create_dir(run.join("tmp"))?;
    up.push(Emulator::start("ministack", run, |port| ministack(installed, run, port))?);
    up.push(Emulator::start("moto", run, |port| {
        let mut command = Command::new(installed.bin("moto_server"));
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        command
    })?);
    if let Some(jar) = &installed.dynamodb {
        up.push(Emulator::start("dynamodb", run, |port| dynamodb(jar, run, port))?);
    }
    up.iter_mut().try_for_each(|emulator| emulator.wait(ended))
}

fn ministack(installed: &Installed, run: &Path, port: u16) -> Command {
    let state = run.join("ministack-state");
    let mut command = Command::new(installed.bin("ministack"));
    command
        // Functions get this from it, and call AWS without.
        .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}"))
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("GATEWAY_PORT", port.to_string())
        .env("BIND_HOST", "127.0.0.1")
        .env("MINISTACK_HOST", "localhost")
        .env("S3_DATA_DIR", state.join("s3"))
        .env("STATE_DIR", state)
        .env("IOT_MTLS_ENABLED", "0")
        .env("SFTP_ENABLED", "0");
    command
}

fn dynamodb(jar: &Path, run: &Path, port: u16) -> Command {
    let libraries = jar.with_file_name("DynamoDBLocal_lib");
    let mut command = Command::new("java");
    command
        .arg(format!("-Djava.library.path={}", libraries.display()))
        .arg(format!("-Djava.io.tmpdir={}", run.join("tmp").display()))
        .args(["-Xmx512m", "-jar"])
        .arg(jar)
        .args(["-inMemory", "-sharedDb", "-disableTelemetry", "-port", &port.to_string()]);
    command
}
