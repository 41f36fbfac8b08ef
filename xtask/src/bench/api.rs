//! The API of a running `penstock serve`: latencies, rates and the server's processor time, at growing sizes.
//!
//! Client and server share the machine. The client signs each measured request once and repeats it, so that nearly all
//! of the time is the server's; the server verifies each.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::signed::{ACCESS_KEY, Connection, SECRET, signed};

/// The pipeline of ten stages that is looked at.
const TEN: &str = "ten";
/// How many requests are made by one connection alone, and by each of several.
const ALONE: usize = 2_000;
const TOGETHER: usize = 1_000;
/// How many connections several are.
const SEVERAL: usize = 16;
const STARTS: usize = 500;
const PIPELINES: usize = 1_000;
const EXECUTIONS: usize = 10_000;
const CONNECTION: &str =
    "arn:aws:codeconnections:us-east-1:123456789012:connection/11111111-2222-3333-4444-555555555555";

/// Measures the API of this `penstock`, as a table.
#[expect(clippy::print_stdout, reason = "the table is what this is for")]
pub fn api(penstock: &Path) -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let server = Server::start(penstock, scratch.path())?;
    let sync = fdatasync(scratch.path())?;
    println!("\none fdatasync of 1 KB: {} ms (median of 50)\n", millis(sync));
    println!("| API | connections | p50 ms | p99 ms | requests/s | server's processor ms a request | resident MiB |");
    println!("|---|--:|--:|--:|--:|--:|--:|");

    for number in 0..9 {
        server.call("CreatePipeline", &pipeline(&format!("other-{number}"), "Nowhere", 1))?;
    }
    server.call("CreatePipeline", &pipeline(TEN, "Source", 9))?;
    server.wait()?;
    reads(&server, "10 pipelines, 1 execution")?;
    grow(&server, 100)?;
    reads(&server, "10 pipelines, 100 executions")?;
    start(&server, "10 pipelines, 100 executions")?;
    for number in 10..PIPELINES {
        server.call("CreatePipeline", &pipeline(&format!("other-{number}"), "Nowhere", 1))?;
    }
    server.wait()?;
    reads(&server, "1,000 pipelines, 200 executions")?;
    grow(&server, EXECUTIONS)?;
    reads(&server, "1,000 pipelines, 10,000 executions")?;
    start(&server, "1,000 pipelines, 10,000 executions")
}

/// A source, then stages of one program that does nothing.
fn pipeline(name: &str, source: &str, stages: usize) -> Value {
    let source = json!({
        "name": source, "outputArtifacts": [{ "name": "Src" }],
        "actionTypeId": { "category": "Source", "owner": "AWS", "provider": "CodeStarSourceConnection", "version": "1" },
        "configuration": { "ConnectionArn": CONNECTION, "FullRepositoryId": "g/p", "BranchName": "main" },
    });
    let stage = |number: usize| {
        let action = json!({
            "name": format!("a{number}"), "inputArtifacts": [{ "name": "Src" }], "commands": ["true"],
            "actionTypeId": { "category": "Compute", "owner": "AWS", "provider": "Commands", "version": "1" },
        });
        json!({ "name": format!("s{number}"), "actions": [action] })
    };
    let first = json!({ "name": "Source", "actions": [source] });
    let stages: Vec<Value> = std::iter::once(first).chain((0..stages).map(stage)).collect();
    json!({ "pipeline": {
        "name": name, "roleArn": "arn:aws:iam::123456789012:role/p", "pipelineType": "V2",
        "executionMode": "SUPERSEDED", "artifactStore": { "type": "S3", "location": "artifacts" }, "stages": stages,
    } })
}

/// Starts so many executions; those that overtake each other are superseded.
fn grow(server: &Server, executions: usize) -> anyhow::Result<()> {
    let input = json!({ "name": TEN });
    measure(server, 8, executions / 8, "StartPipelineExecution", &input)?;
    server.wait()
}

fn reads(server: &Server, at: &str) -> anyhow::Result<()> {
    let state = ("GetPipelineState", json!({ "name": TEN }));
    let list = ("ListPipelineExecutions", json!({ "pipelineName": TEN, "maxResults": 100 }));
    for (operation, input) in [&state, &list] {
        for (connections, requests) in [(1, ALONE), (SEVERAL, TOGETHER)] {
            measure(server, connections, 100, operation, input)?;
            measure(server, connections, requests, operation, input)?.print(server, operation, at, connections)?;
        }
    }
    Ok(())
}

/// Starts one by one: each is answered once it is on the disk, while what the one before started is being done.
fn start(server: &Server, at: &str) -> anyhow::Result<()> {
    let (operation, input) = ("StartPipelineExecution", json!({ "name": "other-1" }));
    measure(server, 1, 50, operation, &input)?;
    measure(server, 1, STARTS, operation, &input)?.print(server, "StartPipelineExecution and its work", at, 1)
}

/// What was measured.
struct Figures {
    latencies: Vec<Duration>,
    took: Duration,
    processor: Duration,
}

impl Figures {
    #[expect(clippy::print_stdout, reason = "the table is what this is for")]
    fn print(mut self, server: &Server, operation: &str, at: &str, connections: usize) -> anyhow::Result<()> {
        self.latencies.sort_unstable();
        let count = self.latencies.len();
        let at_share = |percent: usize| self.latencies.get(count * percent / 100).copied().unwrap_or_default();
        let count = u32::try_from(count)?;
        println!(
            "| {operation}: {at} | {connections} | {} | {} | {:.0} | {} | {:.1} |",
            millis(at_share(50)),
            millis(at_share(99)),
            f64::from(count) / self.took.as_secs_f64(),
            millis(self.processor / count.max(1)),
            server.resident()?,
        );
        Ok(())
    }
}

/// The same request so many times over each of several connections.
fn measure(
    server: &Server,
    connections: usize,
    requests: usize,
    operation: &str,
    input: &Value,
) -> anyhow::Result<Figures> {
    let begin = Barrier::new(connections + 1);
    let one = || -> anyhow::Result<Vec<Duration>> {
        let connection = Connection::open(server.address);
        let request = signed(server.address, operation, input);
        begin.wait();
        let (mut connection, request) = (connection?, request?);
        let mut latencies = Vec::with_capacity(requests);
        for _ in 0..requests {
            let started = Instant::now();
            connection.exchange(&request)?;
            latencies.push(started.elapsed());
        }
        Ok(latencies)
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..connections).map(|_| scope.spawn(one)).collect();
        let before = server.processor_time();
        begin.wait();
        let started = Instant::now();
        let mut latencies = Vec::with_capacity(connections * requests);
        for thread in threads {
            latencies.extend(thread.join().map_err(|_| anyhow::anyhow!("a client broke"))??);
        }
        let took = started.elapsed();
        Ok(Figures { latencies, took, processor: server.processor_time()?.saturating_sub(before?) })
    })
}

/// A `penstock serve` in a directory of its own.
struct Server {
    process: Child,
    address: SocketAddr,
}

impl Server {
    fn start(penstock: &Path, directory: &Path) -> anyhow::Result<Self> {
        repository(directory)?;
        let credentials = directory.join("credentials");
        let keys = format!("[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET}\n");
        std::fs::write(&credentials, keys)?;
        std::fs::set_permissions(&credentials, Permissions::from_mode(0o600))?;
        let mut process = Command::new(penstock)
            .args(["serve", "--listen", "127.0.0.1:0", "--data", "data", "--credentials", "credentials"])
            .args(["--requests-per-second", "1000000"])
            .current_dir(directory)
            .env("NO_COLOR", "1")
            .stdout(Stdio::piped())
            .stderr(File::create(directory.join("log"))?)
            .spawn()
            .with_context(|| format!("{} could not be started", penstock.display()))?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().context("no standard output")?).read_line(&mut line)?;
        let address = line.trim().rsplit('/').next().unwrap_or_default();
        let address = address.parse().with_context(|| format!("the server said {line:?}"))?;
        Ok(Self { process, address })
    }

    /// Calls an operation over a connection of its own: the server does not keep idle ones for long.
    fn call(&self, operation: &str, input: &Value) -> anyhow::Result<Value> {
        let answer = Connection::open(self.address)?.exchange(&signed(self.address, operation, input)?)?.to_vec();
        Ok(serde_json::from_slice(&answer)?)
    }

    /// Waits until nothing of the pipeline runs.
    fn wait(&self) -> anyhow::Result<()> {
        let newest = json!({ "pipelineName": TEN, "maxResults": 1 });
        let until = Instant::now() + Duration::from_secs(120);
        loop {
            let found = self.call("ListPipelineExecutions", &newest)?;
            if found["pipelineExecutionSummaries"][0]["status"] != "InProgress" {
                // What its end still leads to, and a checkpoint of the table.
                thread::sleep(Duration::from_secs(1));
                return Ok(());
            }
            ensure!(Instant::now() < until, "the executions do not end: {found}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The processor time of its threads until now.
    fn processor_time(&self) -> anyhow::Result<Duration> {
        let mut nanoseconds = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.process.id()))? {
            // A thread may end meanwhile.
            let Ok(text) = std::fs::read_to_string(task?.path().join("schedstat")) else { continue };
            nanoseconds += text.split(' ').next().unwrap_or_default().parse::<u64>()?;
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// Its resident memory, in MiB.
    fn resident(&self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kilobytes = line.split_whitespace().next().unwrap_or_default().parse::<f64>()?;
        Ok(kilobytes / 1024.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended already is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn repository(directory: &Path) -> anyhow::Result<()> {
    let source = directory.join("src");
    std::fs::create_dir(&source)?;
    std::fs::write(source.join("a"), "b")?;
    let identity = ["-c", "user.name=b", "-c", "user.email=b@example.invalid", "-c", "commit.gpgsign=false"];
    let steps: [&[&str]; 3] = [&["init", "-q", "-b", "main"], &["add", "-A"], &["commit", "-q", "-m", "x"]];
    for words in steps {
        let status = Command::new("git").args(identity).args(words).current_dir(&source).status()?;
        ensure!(status.success(), "git {words:?} failed");
    }
    std::fs::write(directory.join("penstock.toml"), "[source.\"Source\"]\npath = \"src\"\n")?;
    Ok(())
}

fn fdatasync(directory: &Path) -> anyhow::Result<Duration> {
    let mut file = OpenOptions::new().append(true).create(true).open(directory.join("probe"))?;
    let mut took = Vec::new();
    for _ in 0..50 {
        let started = Instant::now();
        file.write_all(&[b'x'; 1024])?;
        file.sync_data()?;
        took.push(started.elapsed());
    }
    took.sort_unstable();
    took.get(25).copied().context("nothing was measured")
}

fn millis(duration: Duration) -> String {
    format!("{:.3}", duration.as_secs_f64() * 1000.0)
}
