//! What kind of project stands in a directory, and the commands that build and test it.

use std::path::Path;

/// The commands of a starter's pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// What was found, as a sentence.
    pub found: String,
    /// What builds it and leaves what to deploy.
    pub build: Vec<String>,
    /// What tests it.
    pub test: Vec<String>,
    /// What is deployed, as globs.
    pub files: Vec<String>,
    /// Programs that the commands need.
    pub tools: Vec<&'static str>,
}

/// Where the builds leave what to deploy.
const DIST: &str = "dist/**/*";

impl Project {
    /// The project in `dir`, which stands at `prefix` in its repository.
    pub fn detect(dir: &Path, prefix: &str) -> Self {
        let has = |name: &str| dir.join(name).is_file();
        let project = if has("Cargo.toml") {
            cargo()
        } else if has("package.json") {
            node(dir)
        } else if has("go.mod") {
            go(dir)
        } else if has("pyproject.toml") || has("setup.py") {
            python(dir)
        } else if let Some(makefile) = ["GNUmakefile", "Makefile", "makefile"].into_iter().find(|name| has(name)) {
            make(dir, makefile)
        } else {
            plain()
        };
        project.within(prefix)
    }

    /// The programs that the commands need and the PATH lacks.
    pub fn missing_tools(&self) -> Vec<&'static str> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let is_there = |tool: &str| std::env::split_paths(&path).any(|dir| dir.join(tool).is_file());
        self.tools.iter().copied().filter(|tool| !is_there(tool)).collect()
    }

    /// The source is the whole repository: a project below its top runs its commands there.
    fn within(mut self, prefix: &str) -> Self {
        if prefix.is_empty() {
            return self;
        }
        let quoted = format!("'{}'", prefix.replace('\'', r"'\''"));
        for command in self.build.iter_mut().chain(&mut self.test) {
            *command = format!("(cd {quoted} && {command})");
        }
        for glob in &mut self.files {
            *glob = format!("{prefix}/{glob}");
        }
        self
    }

    fn new(found: &str, build: &[&str], test: &[&str], files: &[&str], tools: &[&'static str]) -> Self {
        let own = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        Self { found: found.into(), build: own(build), test: own(test), files: own(files), tools: tools.to_vec() }
    }
}

fn cargo() -> Project {
    let collect = "find target/release -maxdepth 1 -type f -perm -u+x -exec cp {} dist/ ';'";
    Project::new(
        "found Cargo.toml: cargo build --release; cargo test",
        // A library has no program to deploy; its manifest keeps the artifact from being empty.
        &["cargo build --release", "mkdir -p dist", "cp Cargo.toml dist/", collect],
        &["cargo test"],
        &[DIST],
        &["cargo"],
    )
}

fn node(dir: &Path) -> Project {
    let manifest: serde_json::Value = std::fs::read(dir.join("package.json"))
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_default();
    let has = |name: &str| dir.join(name).is_file();
    let (tool, install) = if has("pnpm-lock.yaml") {
        ("pnpm", "pnpm install --frozen-lockfile")
    } else if has("yarn.lock") {
        ("yarn", "yarn install --frozen-lockfile")
    } else if has("package-lock.json") || has("npm-shrinkwrap.json") {
        ("npm", "npm ci")
    } else {
        ("npm", "npm install")
    };
    let needs_install = ["dependencies", "devDependencies"].iter().any(|kind| {
        manifest.get(kind).and_then(serde_json::Value::as_object).is_some_and(|packages| !packages.is_empty())
    });
    let script = |name: &str| manifest["scripts"].get(name).map(|_| format!("{tool} run {name}"));
    let install = needs_install.then(|| install.to_owned());
    let can_pack = manifest["name"].is_string() && manifest["version"].is_string();
    let pack = if can_pack { "npm pack --pack-destination dist" } else { "cp package.json dist/" };
    let build =
        install.clone().into_iter().chain(script("build")).chain(["mkdir -p dist".into(), pack.into()]).collect();
    let test: Vec<String> = install.into_iter().chain(script("test")).collect();
    let test = if test.is_empty() { vec!["node --version".into()] } else { test };
    let found = format!("found package.json: {tool} for building and testing");
    Project {
        found,
        build,
        test,
        files: vec![DIST.into()],
        tools: if tool == "npm" { vec!["npm"] } else { vec![tool, "npm"] },
    }
}

fn go(dir: &Path) -> Project {
    // `go build -o dist/` fails where no package makes a program.
    let makes_programs = dir.join("main.go").is_file() || dir.join("cmd").is_dir();
    let build = if makes_programs { "go build -o dist/ ./..." } else { "go build ./..." };
    let commands = ["mkdir -p dist", "cp go.mod dist/", build];
    Project::new("found go.mod: go build; go test", &commands, &["go test ./..."], &[DIST], &["go"])
}

fn python(dir: &Path) -> Project {
    let manifest = std::fs::read_to_string(dir.join("pyproject.toml")).unwrap_or_default();
    let test = if manifest.contains("pytest") {
        "python3 -m pytest -q"
    } else if dir.join("tests").is_dir() || dir.join("test").is_dir() {
        "python3 -m unittest discover -v"
    } else {
        "python3 -m compileall -q ."
    };
    let found = format!("found a Python project: compileall; {test}");
    Project::new(
        &found,
        &["python3 -m compileall -q ."],
        &[test],
        &["**/*.py", "pyproject.toml", "setup.py"],
        &["python3"],
    )
}

fn make(dir: &Path, makefile: &str) -> Project {
    let text = std::fs::read_to_string(dir.join(makefile)).unwrap_or_default();
    let has = |target: &&str| text.lines().any(|line| is_rule(line, target));
    let build =
        ["build", "all"].iter().find(|target| has(target)).map_or("make".into(), |target| format!("make {target}"));
    let test = ["test", "check"].iter().find(|target| has(target)).map(|target| format!("make {target}"));
    let found = format!("found {makefile}: {build}; {}", test.as_deref().unwrap_or("no test or check target"));
    let test = test.unwrap_or_else(|| "ls -la".into());
    Project { found, build: vec![build], test: vec![test], files: vec!["**/*".into()], tools: vec!["make"] }
}

/// Whether a line of a Makefile begins a rule for `target`.
fn is_rule(line: &str, target: &str) -> bool {
    let Some((targets, rest)) = line.split_once(':') else { return false };
    let is_recipe = line.starts_with('\t') || line.starts_with('#');
    !is_recipe && !rest.starts_with('=') && targets.split_whitespace().any(|word| word == target)
}

fn plain() -> Project {
    let found = "found no project that it knows: Build and Test list the files; put your commands there";
    Project::new(found, &["ls -la"], &["ls"], &["**/*"], &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makefile_rules_are_told_from_assignments_and_recipes() {
        assert!(is_rule("test: build", "test"));
        assert!(is_rule("check test:", "test"));
        assert!(!is_rule("test := x", "test"));
        assert!(!is_rule("\ttest: x", "test"));
        assert!(!is_rule("testing: x", "test"));
        assert!(!is_rule("test", "test"));
    }

    #[test]
    fn a_project_below_the_top_runs_its_commands_there() {
        let project = plain().within("services/o'web");
        assert_eq!(project.test, [r"(cd 'services/o'\''web' && ls)"]);
        assert_eq!(project.files, ["services/o'web/**/*"]);
    }
}
