//! Which files become an output artifact: CodeBuild's patterns.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::context::Fault;
use crate::archive::Entry;
use crate::process::LogSink;

/// What to take of a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    /// Patterns of files to take, relative to the base directory.
    pub files: Vec<String>,
    /// Patterns of files to leave out.
    pub exclude: Vec<String>,
    /// A pattern of directories whose files are looked at; the directory itself when absent.
    pub base: Option<String>,
    /// Whether all files lie side by side in the artifact.
    pub discard_paths: bool,
    /// Whether a link to a file becomes that file.
    pub follow_links: bool,
}

/// The files that match the patterns, below `root`, links as links.
pub(crate) async fn select(root: PathBuf, files: &[String], log: &LogSink) -> Result<Vec<Entry>, Fault> {
    let selection = Selection { files: files.to_vec(), ..Selection::default() };
    select_by(root, selection, log).await
}

/// The files of a selection, below `root`. At least one: an artifact of nothing is a mistake.
pub(crate) async fn select_by(root: PathBuf, selection: Selection, log: &LogSink) -> Result<Vec<Entry>, Fault> {
    let found = tokio::task::spawn_blocking(move || find(&root, &selection)).await;
    let found = found.map_err(|error| Fault::failed(error.to_string()))??;
    for remark in &found.remarks {
        log.remark(remark);
    }
    Ok(found.entries)
}

struct Found {
    entries: Vec<Entry>,
    remarks: Vec<String>,
}

fn find(root: &Path, selection: &Selection) -> Result<Found, Fault> {
    let files = selection.files.iter().map(|pattern| Pattern::new(root, pattern)).collect::<Result<Vec<_>, _>>()?;
    let exclude = selection.exclude.iter().map(|pattern| Pattern::new(root, pattern)).collect::<Result<Vec<_>, _>>()?;
    let exclude = set(&exclude)?;
    let mut matched = vec![0_usize; files.len()];
    let mut taken: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    let mut remarks = Vec::new();
    let include = set(&files)?;
    let bases = bases(root, selection.base.as_deref())?;
    for base in &bases {
        for path in walk(base).map_err(|error| Fault::failed(format!("cannot read {}: {error}", base.display())))? {
            let relative = path.strip_prefix(base).unwrap_or(&path);
            let matches = include.matches(relative);
            if matches.is_empty() || exclude.is_match(relative) {
                continue;
            }
            for index in matches {
                if let Some(count) = matched.get_mut(index) {
                    *count += 1;
                }
            }
            let flat = relative.file_name().filter(|_| selection.discard_paths);
            let name = flat.map_or_else(|| relative.to_path_buf(), PathBuf::from);
            let Some(from) = source(&path, selection.follow_links) else { continue };
            if let Some(other) = taken.insert(name.clone(), from) {
                remarks.push(format!(
                    "{} is taken instead of {}: both are {}",
                    path.display(),
                    other.display(),
                    name.display()
                ));
            }
        }
    }
    let without_files = files.iter().zip(&matched).filter(|(_, count)| **count == 0).map(|(pattern, _)| pattern);
    let directories: Vec<&Pattern> = without_files.clone().filter(|pattern| pattern.is_directory(&bases)).collect();
    if taken.is_empty() {
        let patterns = selection.files.join(", ");
        let base = selection.base.as_ref().map(|base| format!(" in {base}")).unwrap_or_default();
        let mut message = format!("no matching artifact paths found: no file matches {patterns}{base}");
        for pattern in directories {
            message.push_str(&format!("; {}", pattern.right_for_directory()));
        }
        return Err(Fault::failed(message));
    }
    remarks.extend(without_files.map(|pattern| format!("No file matches {}", pattern.shown)));
    remarks.extend(directories.into_iter().map(Pattern::right_for_directory));
    let entries = taken.into_iter().map(|(name, from)| Entry { name, from }).collect();
    Ok(Found { entries, remarks })
}

/// A pattern with its form as declared.
struct Pattern {
    shown: String,
    glob: String,
}

impl Pattern {
    /// Patterns are relative to the base directory; `./` and the path of the source directory may stand before.
    fn new(root: &Path, declared: &str) -> Result<Self, Fault> {
        let below = declared.strip_prefix(&root.display().to_string());
        let below =
            below.filter(|rest| rest.is_empty() || rest.starts_with('/')).map(|rest| rest.trim_start_matches('/'));
        let mut plain = below.unwrap_or(declared);
        while let Some(rest) = plain.strip_prefix("./") {
            plain = rest.trim_start_matches('/');
        }
        let leads_out =
            Path::new(plain).components().any(|part| matches!(part, Component::RootDir | Component::ParentDir));
        if leads_out {
            let problem = "leads out of the directory; patterns are relative to it";
            return Err(Fault::configuration(format!("the artifact path {declared:?} {problem}")));
        }
        // A directory with a slash means all below it.
        let glob = if plain.is_empty() || plain.ends_with('/') { format!("{plain}**/*") } else { plain.to_owned() };
        Ok(Self { shown: declared.to_owned(), glob: glob.replace("**/**/", "**/") })
    }

    /// Whether it is a directory's path: such a pattern takes no file.
    fn is_directory(&self, bases: &[PathBuf]) -> bool {
        bases.iter().map(|base| base.join(&self.glob)).any(|path| path.is_dir() && !path.is_symlink())
    }

    fn right_for_directory(&self) -> String {
        format!("{0} is a directory; write {0}/ or {0}/**/*", self.shown)
    }
}

fn set(patterns: &[Pattern]) -> Result<GlobSet, Fault> {
    let mut builder = GlobSetBuilder::new();
    let fault =
        |shown: &str, error: globset::Error| Fault::configuration(format!("the artifact path {shown:?}: {error}"));
    for pattern in patterns {
        let glob = GlobBuilder::new(&pattern.glob).literal_separator(true).build();
        builder.add(glob.map_err(|error| fault(&pattern.shown, error))?);
    }
    builder.build().map_err(|error| Fault::configuration(error.to_string()))
}

/// The directories that the base pattern names. One without special characters must exist.
fn bases(root: &Path, base: Option<&str>) -> Result<Vec<PathBuf>, Fault> {
    let Some(base) = base else { return Ok(vec![root.to_path_buf()]) };
    let trimmed = base.trim_end_matches('/');
    let pattern = Pattern::new(root, if trimmed.is_empty() { base } else { trimmed })?;
    if matches!(pattern.glob.as_str(), "." | "**/*") {
        return Ok(vec![root.to_path_buf()]);
    }
    let missing = || Fault::failed(format!("the base directory {base} does not exist"));
    let literal = root.join(&pattern.glob);
    if literal.is_dir() {
        return Ok(vec![literal]);
    }
    let wanted = set(&[pattern])?;
    let mut found: Vec<PathBuf> = directories(root)
        .map_err(|error| Fault::failed(format!("cannot read {}: {error}", root.display())))?
        .into_iter()
        .filter(|path| path.strip_prefix(root).is_ok_and(|relative| wanted.is_match(relative)))
        .collect();
    found.sort();
    if found.is_empty() { Err(missing()) } else { Ok(found) }
}

/// Where an entry's content comes from; none for a link to nothing, and for one to a directory where links are followed.
fn source(path: &Path, follow_links: bool) -> Option<PathBuf> {
    if !follow_links || !path.is_symlink() {
        return Some(path.to_path_buf());
    }
    fs::canonicalize(path).ok().filter(|target| target.is_file())
}

fn walk(root: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                open.push(entry.path());
            } else if kind.is_file() || kind.is_symlink() {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

fn directories(root: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
                found.push(entry.path());
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
