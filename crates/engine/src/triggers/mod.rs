//! Which change of a source starts which source action: trigger filters, the default trigger, and pushes seen before
//! (semantics.md 6, 10, 11).

mod change;
mod filter;
mod glob;
mod repeat;
#[cfg(test)]
mod tests;

pub use change::{
    Commit, ImageChange, ObjectChange, PullRequest, PullRequestEvent, Push, ReferenceChange, RepositoryChange,
    RepositoryEvent,
};
pub use filter::{MAX_FILES, Passed, Verdict, Watch, judge};
pub use glob::{Glob, GlobError};
pub use repeat::{is_gone, is_repeat, note_passed, tip};
