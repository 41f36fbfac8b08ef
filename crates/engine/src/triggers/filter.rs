//! A source action's filters, or its one branch, against a change of its repository.

use model::{Action, Patterns, Pipeline, PipelineType, PullRequestFilter, PushFilter};
use serde::{Deserialize, Serialize};

use super::change::{PullRequest, Push, RepositoryChange};
use super::glob::{Glob, GlobError};

/// How many changed files are looked at.
pub const MAX_FILES: usize = 100;

/// What starts a git source action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Watch {
    /// Pushes to this branch: no trigger is declared.
    Branch(String),
    /// A declared trigger: any of its filters.
    Trigger {
        /// Filters of pushes.
        push: Vec<PushFilter>,
        /// Filters of pull requests.
        pull_request: Vec<PullRequestFilter>,
    },
}

impl Watch {
    /// What starts a source action with a connection; none when nothing does.
    ///
    /// A declared trigger takes the place of the default, whatever `DetectChanges` says; V1 has no triggers.
    pub fn of(pipeline: &Pipeline, action: &Action) -> Option<Self> {
        let is_own = |git: &&model::GitConfiguration| git.source_action_name == action.name;
        let mut triggers = pipeline.triggers.iter().map(|trigger| &trigger.git_configuration);
        match triggers.find(is_own).filter(|_| pipeline.kind() == PipelineType::V2) {
            Some(git) => Some(Self::Trigger { push: git.push.clone(), pull_request: git.pull_request.clone() }),
            None => {
                let setting = |key: &str| action.configuration.get(key).map(String::as_str);
                let detects = setting("DetectChanges").is_none_or(|value| !value.eq_ignore_ascii_case("false"));
                setting("BranchName").filter(|_| detects).map(|branch| Self::Branch(branch.to_owned()))
            }
        }
    }
}

/// Why a change starts an action, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed {
    /// The branch is the configured one.
    Branch,
    /// The filter of this index in `push`.
    Push(usize),
    /// The filter of this index in `pullRequest`.
    PullRequest(usize),
}

/// What a change means for a source action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It starts the pipeline.
    Starts(Passed),
    /// It does if the changed files pass: the event does not say them.
    NeedsFiles,
    /// It does not.
    Passes(&'static str),
    /// A filter cannot be read: nothing starts.
    Unreadable(GlobError),
}

/// Judges a change. Filters of a list are alternatives; of one filter, all fields must fit.
pub fn judge(watch: &Watch, change: &RepositoryChange) -> Verdict {
    let judged = match (watch, change) {
        (Watch::Branch(branch), RepositoryChange::Push(push)) => return default_trigger(branch, push),
        (Watch::Branch(_), RepositoryChange::PullRequest(_)) => {
            return Verdict::Passes("no trigger for pull requests is declared");
        }
        (Watch::Trigger { .. }, RepositoryChange::Push(push)) if push.deleted() => {
            return Verdict::Passes("the ref was deleted");
        }
        (Watch::Trigger { push: filters, .. }, RepositoryChange::Push(push)) => {
            any(filters, Passed::Push, |filter| fits_push(filter, push))
        }
        (Watch::Trigger { pull_request: filters, .. }, RepositoryChange::PullRequest(request)) => {
            any(filters, Passed::PullRequest, |filter| fits_pull_request(filter, request))
        }
    };
    judged.unwrap_or_else(Verdict::Unreadable)
}

fn default_trigger(branch: &str, push: &Push) -> Verdict {
    match (push.branch() == Some(branch), push.deleted()) {
        (true, false) => Verdict::Starts(Passed::Branch),
        (true, true) => Verdict::Passes("the branch was deleted"),
        (false, _) => Verdict::Passes("it is not the configured branch"),
    }
}

/// How far a filter fits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fit {
    Yes,
    No,
    NeedsFiles,
}

fn any<F>(
    filters: &[F],
    passed: fn(usize) -> Passed,
    fits: impl Fn(&F) -> Result<Fit, GlobError>,
) -> Result<Verdict, GlobError> {
    let mut verdict = Verdict::Passes("no filter fits");
    for (index, filter) in filters.iter().enumerate() {
        match fits(filter)? {
            Fit::Yes => return Ok(Verdict::Starts(passed(index))),
            Fit::NeedsFiles => verdict = Verdict::NeedsFiles,
            Fit::No => {}
        }
    }
    Ok(verdict)
}

fn fits_push(filter: &PushFilter, push: &Push) -> Result<Fit, GlobError> {
    if filter.tags.is_none() && filter.branches.is_none() && filter.file_paths.is_none() {
        return Ok(Fit::No);
    }
    if !fits_name(filter.tags.as_ref(), push.tag())? || !fits_name(filter.branches.as_ref(), push.branch())? {
        return Ok(Fit::No);
    }
    match &filter.file_paths {
        None => Ok(Fit::Yes),
        // What a new branch changes cannot be told, and a tag changes nothing.
        Some(_) if push.created() || push.branch().is_none() => Ok(Fit::No),
        Some(paths) => fits_files(paths, push.files.as_deref()),
    }
}

fn fits_pull_request(filter: &PullRequestFilter, request: &PullRequest) -> Result<Fit, GlobError> {
    let is_named = |word: &String| word == request.event.as_str();
    if !filter.events.is_empty() && !filter.events.iter().any(is_named) {
        return Ok(Fit::No);
    }
    if !fits_name(filter.branches.as_ref(), Some(&request.target_branch))? {
        return Ok(Fit::No);
    }
    match &filter.file_paths {
        None => Ok(Fit::Yes),
        Some(paths) => fits_files(paths, request.files.as_deref()),
    }
}

/// A field that is absent asks for nothing; one that is there needs a name.
fn fits_name(patterns: Option<&Patterns>, name: Option<&str>) -> Result<bool, GlobError> {
    match (patterns, name) {
        (None, _) => Ok(true),
        (Some(_), None) => Ok(false),
        (Some(patterns), Some(name)) => Ok(Compiled::new(patterns)?.let_in(name)),
    }
}

/// One changed file that passes is enough.
fn fits_files(patterns: &Patterns, files: Option<&[String]>) -> Result<Fit, GlobError> {
    let compiled = Compiled::new(patterns)?;
    Ok(match files {
        None => Fit::NeedsFiles,
        Some(files) if files.iter().take(MAX_FILES).any(|file| compiled.let_in(file)) => Fit::Yes,
        Some(_) => Fit::No,
    })
}

struct Compiled {
    includes: Vec<Glob>,
    excludes: Vec<Glob>,
}

impl Compiled {
    fn new(patterns: &Patterns) -> Result<Self, GlobError> {
        let compile = |patterns: &[String]| patterns.iter().map(|pattern| Glob::new(pattern)).collect::<Result<_, _>>();
        Ok(Self { includes: compile(&patterns.includes)?, excludes: compile(&patterns.excludes)? })
    }

    /// Excludes win; without includes all that is not excluded is let in.
    fn let_in(&self, name: &str) -> bool {
        let included = self.includes.is_empty() || self.includes.iter().any(|glob| glob.fits(name));
        included && !self.excludes.iter().any(|glob| glob.fits(name))
    }
}
