//! What sources of git repositories share: which commit to bring, in which form, and how much of it.

use control::ports::ActionRequest;
use model::SourceRevisionType;

use crate::configuration::Settings;
use crate::fault::Fault;

/// The most bytes of a commit message that become a variable: all variables of an action have 122,880 (semantics 5).
pub(crate) const MESSAGE_BYTES: usize = 64 * 1024;
/// The most bytes of an archive (semantics 13: 1 GB from git).
pub(crate) const MAX_ARCHIVE_BYTES: u64 = 1024 * 1024 * 1024;

/// Which commit to bring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Revision {
    /// This one: asked for, or pushed.
    Commit(String),
    /// The newest of a branch.
    Branch(String),
}

/// `OutputArtifactFormat`.
pub(crate) enum Format {
    /// The files, as an archive.
    Zip,
    /// A reference to a clone, which CodeBuild makes.
    CloneRef,
}

/// What the action asks for.
pub(crate) fn format(settings: Settings<'_>) -> Result<Format, Fault> {
    match settings.optional("OutputArtifactFormat").unwrap_or("CODE_ZIP") {
        "CODE_ZIP" => Ok(Format::Zip),
        "CODEBUILD_CLONE_REF" => Ok(Format::CloneRef),
        other => {
            let what = format!("is CODE_ZIP or CODEBUILD_CLONE_REF, not {other:?}");
            Err(settings.fault("OutputArtifactFormat", &what))
        }
    }
}

/// The commit that was asked for or pushed, else the newest of the branch.
pub(crate) fn revision(request: &ActionRequest, branch: &str) -> Result<Revision, Fault> {
    let asked = match &request.source_override {
        Some(asked) if asked.kind == SourceRevisionType::CommitId => Some(&asked.value),
        Some(asked) => {
            let what = format!("a git source takes a COMMIT_ID as source revision, not a {}", asked.kind);
            return Err(Fault::configuration(what));
        }
        None => request.pushed_commit.as_ref(),
    };
    match asked {
        Some(id) if is_full_id(id) => Ok(Revision::Commit(id.to_ascii_lowercase())),
        Some(id) => Err(Fault::revision(format!("`{id}` is no full commit id"))),
        None => Ok(Revision::Branch(branch.to_owned())),
    }
}

/// Whether it is a commit's id, whole.
pub(crate) fn is_full_id(id: &str) -> bool {
    matches!(id.len(), 40 | 64) && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// As much of a message as a variable takes.
pub(crate) fn cut(message: &str) -> &str {
    let mut end = message.len().min(MESSAGE_BYTES);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message.get(..end).unwrap_or_default()
}
