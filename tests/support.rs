//! The project's root, and the `penstock` that this build made.

use std::path::PathBuf;

/// The project's root.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root").to_owned()
}

/// What cargo says of the workspace.
pub fn metadata() -> serde_json::Value {
    let output = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--locked", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON")
}

/// The `penstock` of this build: `cargo test --workspace` makes it beside the tests.
pub fn penstock() -> PathBuf {
    let own = std::env::current_exe().expect("a test knows its own path");
    let built = own.parent().and_then(std::path::Path::parent).expect("tests lie in deps/").join("penstock");
    assert!(built.exists(), "{} is not built: run `cargo build --bin penstock` first", built.display());
    built
}

/// A command in a directory that must succeed; what it printed.
pub fn succeed(command: &mut std::process::Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{command:?} ended with {}\n{}\n{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// Makes a git repository with one file and one commit.
pub fn repository(directory: &std::path::Path) {
    std::fs::create_dir_all(directory).expect("a directory");
    std::fs::write(directory.join("readme.txt"), "hello\n").expect("a file");
    let git = |arguments: &[&str]| {
        let who = ["-c", "user.name=T", "-c", "user.email=t@example.invalid", "-c", "commit.gpgsign=false"];
        succeed(std::process::Command::new("git").args(who).args(arguments).current_dir(directory));
    };
    git(&["init", "--quiet", "--initial-branch", "main"]);
    git(&["add", "--all"]);
    git(&["commit", "--quiet", "--message", "first"]);
}

/// A served data directory; ended when dropped.
pub struct Served {
    child: std::process::Child,
    /// Where it listens, as `http://127.0.0.1:PORT`.
    pub endpoint: String,
}

impl Served {
    /// Starts `penstock serve` in a directory and waits until it takes requests.
    pub fn start(directory: &std::path::Path) -> Self {
        Self::start_with(directory, "data")
    }

    /// The same with a data directory of another name.
    pub fn start_with(directory: &std::path::Path, data: &str) -> Self {
        Self::start_told(directory, data, &[])
    }

    /// The same with more arguments.
    pub fn start_told(directory: &std::path::Path, data: &str, more: &[&str]) -> Self {
        use std::io::BufRead as _;
        let mut child = std::process::Command::new(penstock())
            .args(["serve", "--listen", "127.0.0.1:0", "--data", data])
            .args(more)
            .current_dir(directory)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("penstock starts");
        let output = child.stdout.take().expect("its output");
        let mut line = String::new();
        std::io::BufReader::new(output).read_line(&mut line).expect("a line");
        let endpoint = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("said {line:?}")).to_owned();
        Self { child, endpoint }
    }

    /// Its resident memory.
    pub fn resident_mebibytes(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        let kilobytes: f64 = line.split_whitespace().next().and_then(|word| word.parse().ok()).expect("a number");
        kilobytes / 1024.0
    }

    /// Ends it as `kill -9` does.
    pub fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ended");
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
