//! `penstock init`: a starter that runs as it is.

mod project;
mod repository;
mod starter;

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::args::InitArgs;
use crate::exit::{Exit, Unusable};
use crate::progress::quoted;
use project::Project;
use repository::Repository;

/// The files it writes.
const PIPELINE: &str = "pipeline.json";
const CONFIG: &str = "penstock.toml";

/// Writes the starter and says what to do next.
pub fn run(args: &InitArgs) -> anyhow::Result<Exit> {
    let dir = args
        .dir
        .canonicalize()
        .map_err(|error| Unusable::new(format!("{} cannot be used: {error}", args.dir.display())))?;
    let name = match &args.name {
        Some(name) => checked_name(name)?,
        None => name_of(&dir),
    };
    let repository = Repository::find(&dir);
    let project = Project::detect(&dir, repository.as_ref().map_or("", |found| &found.prefix));
    let pipeline = starter::pipeline(&name, &project, repository.as_ref())?;
    let config = starter::config(&dir, repository.as_ref());
    let paths = [dir.join(PIPELINE), dir.join(CONFIG)];
    refuse_existing(&paths, args.force)?;
    write(&paths[0], &pipeline, args.force)?;
    write(&paths[1], &config, args.force)?;
    std::io::stdout().write_all(report(&args.dir, &project, repository.as_ref()).as_bytes())?;
    Ok(Exit::Succeeded)
}

fn refuse_existing(paths: &[PathBuf], force: bool) -> Result<(), Unusable> {
    let existing: Vec<String> =
        paths.iter().filter(|path| path.symlink_metadata().is_ok()).map(|path| path.display().to_string()).collect();
    if existing.is_empty() || force {
        return Ok(());
    }
    let verb = if existing.len() == 1 { "exists" } else { "exist" };
    Err(Unusable::new(format!("{} {verb} already: nothing was written; --force overwrites", existing.join(" and "))))
}

fn write(path: &Path, text: &str, force: bool) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    match written {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            Err(Unusable::new(format!("{} exists already; --force overwrites", path.display())).into())
        }
        other => other.map_err(|error| Unusable::new(format!("cannot write {}: {error}", path.display())).into()),
    }
}

/// A pipeline's name as the API wants it: 1–100 of `[A-Za-z0-9.@\-_]`.
fn checked_name(name: &str) -> Result<String, Unusable> {
    if (1..=100).contains(&name.len()) && name.chars().all(is_name_char) {
        Ok(name.into())
    } else {
        Err(Unusable::new(format!("--name {name:?}: a pipeline's name has 1 to 100 of A-Z a-z 0-9 . @ - _")))
    }
}

fn name_of(dir: &Path) -> String {
    let name = dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name: String = name.chars().map(|c| if is_name_char(c) { c } else { '-' }).take(100).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "pipeline".into() } else { name.into() }
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || ".@-_".contains(c)
}

fn report(dir: &Path, project: &Project, repository: Option<&Repository>) -> String {
    let file = dir.join(PIPELINE);
    let file = file.strip_prefix(".").unwrap_or(&file);
    let (command, file) = (quoted(file), file.display());
    let mut text = format!(
        "wrote {file}: Source, then Build and Test in parallel, then Deploy\nwrote {}\n{}\n",
        dir.join(CONFIG).strip_prefix(".").unwrap_or(&dir.join(CONFIG)).display(),
        project.found,
    );
    for tool in project.missing_tools() {
        text.push_str(&format!("warning: {tool} is not on the PATH: the pipeline's commands need it\n"));
    }
    match repository {
        None => text.push_str("warning: not a git repository: the pipeline reads the directory as it is; after `git init` and a first commit, run `penstock init --force`\n"),
        Some(found) if !found.has_commit => {
            text.push_str("warning: the repository has no commit yet with files in it: commit first, the pipeline builds what is committed\n");
        }
        Some(_) => {}
    }
    text.push_str("\nNext:\n");
    if repository.is_some() {
        text.push_str(
            "  git add and commit what the pipeline should build: it reads the branch, not the working tree\n",
        );
    }
    text.push_str(&format!("  penstock run {command}\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_out_as_the_api_wants_them() {
        for (dir, name) in [("/a/web", "web"), ("/a/My Shop!", "My-Shop"), ("/a/日本", "pipeline"), ("/", "pipeline")]
        {
            assert_eq!(name_of(Path::new(dir)), name);
        }
        assert!(checked_name("a b").is_err());
        assert!(checked_name(&"x".repeat(101)).is_err());
        assert_eq!(checked_name("web-1").unwrap(), "web-1");
    }
}
