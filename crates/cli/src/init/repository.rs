//! The git repository that `penstock init` stands in.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A repository, as far as a starter needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// Its top directory.
    pub top: PathBuf,
    /// Where the starter stands below it: `""` or `services/web`.
    pub prefix: String,
    /// The branch checked out; on a detached HEAD one that is there, of those that stand where it does if there is any.
    pub branch: Option<String>,
    /// `owner/name`, from the remote where it tells.
    pub full_name: String,
    /// Whether anything was committed: a commit without files is nothing to build.
    pub has_commit: bool,
}

impl Repository {
    /// The repository that `dir` stands in; none where there is none, or no git.
    pub fn find(dir: &Path) -> Option<Self> {
        let top = git(dir, &["rev-parse", "--show-toplevel"])?;
        let prefix = git(dir, &["rev-parse", "--show-prefix"])?.trim_end_matches('/').to_owned();
        let branch = git(dir, &["symbolic-ref", "--short", "-q", "HEAD"]).or_else(|| some_branch(dir));
        let remote = git(dir, &["remote", "get-url", "origin"]);
        let name = Path::new(&top).file_name().map(|name| name.to_string_lossy().into_owned());
        let fallback = || format!("local/{}", plain(&name.unwrap_or_default()));
        Some(Self {
            prefix,
            branch,
            full_name: remote.as_deref().and_then(full_name).unwrap_or_else(fallback),
            has_commit: git(dir, &["ls-tree", "--full-tree", "--name-only", "HEAD"])
                .is_some_and(|names| !names.is_empty()),
            top: top.into(),
        })
    }
}

/// A branch where none is checked out.
fn some_branch(dir: &Path) -> Option<String> {
    let branches = |which: &[&str]| {
        let listed = git(dir, &[&["for-each-ref", "--format=%(refname:lstrip=2)"], which, &["refs/heads/"]].concat());
        listed.unwrap_or_default().lines().map(str::to_owned).collect::<Vec<String>>()
    };
    let preferred = |names: Vec<String>| {
        let usual = names.iter().find(|name| matches!(name.as_str(), "main" | "master")).cloned();
        usual.or_else(|| names.into_iter().next())
    };
    preferred(branches(&["--points-at=HEAD"])).or_else(|| preferred(branches(&[])))
}

fn git(dir: &Path, args: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(dir).args(args).output().ok()?;
    if !output.status.success() {
        return None;
    }
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.strip_suffix('\n').unwrap_or(&text).to_owned())
}

/// `owner/name` of a remote's address: its last two parts.
fn full_name(url: &str) -> Option<String> {
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.split_once('/')?.1,
        None => url.split_once(':').map_or(url, |(_, path)| path),
    };
    let mut parts = path.trim_end_matches('/').trim_end_matches(".git").rsplit('/');
    let (name, owner) = (parts.next()?, parts.next()?);
    let is_plain = |part: &str| !part.is_empty() && plain(part) == part;
    (is_plain(name) && is_plain(owner)).then(|| format!("{owner}/{name}"))
}

fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::full_name;

    #[test]
    fn remotes_tell_owner_and_name() {
        for url in
            ["https://example.org/acme/web.git", "git@example.org:acme/web.git", "ssh://git@example.org:22/acme/web/"]
        {
            assert_eq!(full_name(url).as_deref(), Some("acme/web"), "{url}");
        }
        assert_eq!(full_name("https://example.org"), None);
        assert_eq!(full_name("web"), None);
    }
}
