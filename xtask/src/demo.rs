//! `demo`: the example's pipeline on a scratch git repository, approved through its signed URL.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::{root, step, target_dir};

/// What the deployed page must say: the example's version.
const DEPLOYED: &str = "VERSION";

/// Builds the command, runs the example with it, and checks what was deployed.
pub fn demo() -> anyhow::Result<()> {
    step("cargo", &["build", "--quiet", "--bin", "penstock"])?;
    let penstock = target_dir().join("debug/penstock");
    let scratch = target_dir().join("demo");
    let repository = scratch.join("semver");
    if scratch.exists() {
        fs::remove_dir_all(&scratch)?;
    }
    copy(&root().join("examples/semver"), &repository)?;
    commit(&repository)?;
    println!("A scratch git repository with the example's code: {}", repository.display());
    let started = Instant::now();
    run(&penstock, &repository)?;
    let took = started.elapsed();
    let deployed = check(&repository)?;
    println!(
        "\nThe pipeline ran in {:.2} s: source, parallel build and test, approval by signed URL, deploy.",
        took.as_secs_f64()
    );
    println!("Deployed, and its content checked: {}", deployed.display());
    println!("Look around:  {} history semver --data {}", penstock.display(), repository.join(".penstock").display());
    Ok(())
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("{} cannot be read", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn commit(repository: &Path) -> anyhow::Result<()> {
    let who = ["-c", "user.name=Demo", "-c", "user.email=demo@example.invalid", "-c", "commit.gpgsign=false"];
    git(repository, &["init", "--quiet", "--initial-branch", "main"])?;
    git(repository, &["add", "--all"])?;
    let commit = [&who[..], &["commit", "--quiet", "--message", "Compare versions by the rules of semver"]].concat();
    git(repository, &commit)
}

fn git(repository: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let status =
        Command::new("git").args(arguments).current_dir(repository).status().context("git could not be started")?;
    ensure!(status.success(), "git {} failed", arguments.join(" "));
    Ok(())
}

/// Runs the pipeline, shows what it prints, and approves through the link it prints, as a person would with a browser.
fn run(penstock: &Path, repository: &Path) -> anyhow::Result<()> {
    println!("\n$ penstock run pipeline.json");
    let mut child = Command::new(penstock)
        .args(["run", "pipeline.json"])
        .current_dir(repository)
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("{} could not be started", penstock.display()))?;
    let output = child.stdout.take().context("the command's output is not there")?;
    let mut approved = false;
    for line in BufReader::new(output).lines() {
        let line = line?;
        println!("{line}");
        if let Some(link) = link_of(&line).filter(|_| !approved) {
            approve(link)?;
            approved = true;
        }
    }
    let status = child.wait()?;
    ensure!(status.success(), "the pipeline did not succeed ({status})");
    ensure!(approved, "no approval link was printed");
    Ok(())
}

fn link_of(line: &str) -> Option<&str> {
    let start = line.find("http://127.0.0.1:")?;
    let link = line[start..].split_whitespace().next()?;
    link.contains("/approve/").then_some(link)
}

/// GET shows the approval and changes nothing; POST decides it.
fn approve(link: &str) -> anyhow::Result<()> {
    let rest = link.strip_prefix("http://").context("not a link")?;
    let (host, path) = rest.split_once('/').context("not a link")?;
    let page = exchange(host, &format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))?;
    ensure!(page.starts_with("HTTP/1.1 200"), "the approval page was not shown:\n{page}");
    let form = "decision=approve&summary=Looks+good";
    let request = format!(
        "POST /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{form}",
        form.len()
    );
    let answer = exchange(host, &request)?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "the approval was not taken:\n{answer}");
    println!("  (approved through the signed link)");
    Ok(())
}

fn exchange(host: &str, request: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// What was deployed is what the example builds.
fn check(repository: &Path) -> anyhow::Result<PathBuf> {
    let deployed = repository.join("out/releases");
    let version = find(&deployed, DEPLOYED)?;
    let Some(version) = version else { bail!("{} holds no {DEPLOYED}", deployed.display()) };
    let text = fs::read_to_string(&version)?;
    ensure!(!text.trim().is_empty(), "{} is empty", version.display());
    Ok(deployed)
}

fn find(directory: &Path, name: &str) -> anyhow::Result<Option<PathBuf>> {
    for entry in fs::read_dir(directory).with_context(|| format!("{} cannot be read", directory.display()))? {
        let path = entry?.path();
        if path.file_name().is_some_and(|file| file == name) {
            return Ok(Some(path));
        }
        if path.is_dir()
            && let Some(found) = find(&path, name)?
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
