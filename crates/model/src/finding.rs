//! What is wrong with a document: every fault with its place, a stable code and a sentence.

use std::fmt::{self, Display};
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// How bad a finding is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The document is refused.
    Error,
    /// The document is accepted, but this will probably bite.
    Warning,
}

impl Severity {
    /// The word as findings write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

impl Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $code:ident),+ $(,)?) => {
        /// What kind of fault a finding is. Codes are stable: tools may match on them.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        pub enum Code {
            $($(#[$doc])* $code),+
        }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$code),+];

            /// The code as findings write it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$code => stringify!($code)),+ }
            }
        }
    };
}

codes! {
    /// The file is not UTF-8.
    InvalidEncoding,
    /// The text is not JSON or YAML.
    InvalidSyntax,
    /// The text is YAML, but uses what has no meaning here (tags, several documents, keys that are not scalars).
    UnsupportedYaml,
    /// A key stands twice in one object.
    DuplicateKey,
    /// Nested deeper than any declaration is.
    TooDeep,
    /// Larger than a declaration may be.
    TooLarge,
    /// More faults than are listed.
    TooManyFindings,

    /// A field that the API does not know.
    UnknownField,
    /// A field that must be there.
    MissingField,
    /// Not the JSON type that is needed.
    WrongType,
    /// A string too short or too long.
    InvalidLength,
    /// A string that does not have the form it must have.
    InvalidPattern,
    /// A number too small or too large.
    InvalidRange,
    /// Not one of the fixed words.
    InvalidEnum,
    /// A list or map with too few or too many entries.
    InvalidCount,

    /// Fewer than two stages.
    TooFewStages,
    /// More stages than a pipeline may have.
    TooManyStages,
    /// A stage without an action.
    EmptyStage,
    /// A stage with blockers, which the API reserves.
    ReservedBlocker,
    /// More actions than a stage or a pipeline may have.
    TooManyActions,
    /// A name that must be unique stands twice.
    DuplicateName,
    /// A source action outside the first stage, or another kind of action in it.
    SourcePlacement,
    /// An artifact that two actions produce, or that one action reads twice.
    DuplicateArtifact,
    /// An input artifact that no action produces.
    UnknownArtifact,
    /// An input artifact that is produced at the same time or later.
    ArtifactOrder,
    /// Fewer or more artifacts than the action type takes.
    ArtifactCount,
    /// Neither or both of artifactStore and artifactStores.
    ArtifactStoreChoice,
    /// A region without an artifact store.
    MissingRegionStore,
    /// An action that cannot run in another region.
    CrossRegion,
    /// A namespace that is used twice, reserved, or an artifact's name.
    NamespaceConflict,
    /// A reference whose namespace or variable does not exist.
    UnresolvedVariable,
    /// A reference to what is produced at the same time or later.
    VariableOrder,
    /// A reference in a source action.
    VariableInSource,
    /// Text that looks like a reference and is none.
    MalformedReference,
    /// A reference to a variable that the action type does not document.
    UnknownVariable,
    /// A reference to text that strangers write, where a shell reads it.
    UntrustedVariable,
    /// Something that only V2 pipelines have.
    RequiresV2,
    /// Something that the execution mode excludes.
    ExecutionModeConflict,

    /// An action type that does not exist.
    UnknownActionType,
    /// An action type whose definition is not at hand.
    UnverifiedActionType,
    /// A configuration key that the action type requires.
    MissingConfiguration,
    /// A configuration key that the action type does not know.
    UnknownConfiguration,
    /// A configuration value that the action type cannot read.
    InvalidConfiguration,
    /// A field that has no meaning for this action type.
    MisplacedField,
    /// A timeout outside its range, or one that CodePipeline ignores.
    InvalidTimeout,

    /// A result that this kind of condition cannot have.
    InvalidResult,
    /// A rule that this result cannot have.
    RuleNotAllowed,
    /// A rule type that does not exist.
    UnknownRuleType,
    /// A failure result beside conditions, or a retry configuration without RETRY.
    FailureConflict,

    /// A combination of filters that a trigger cannot have.
    InvalidTrigger,
    /// A second trigger of one source action.
    DuplicateTrigger,
    /// A trigger whose source action is missing or has no connection.
    TriggerSource,

    /// A source that polls because nothing says that it should not.
    PollingDefault,
    /// A value that looks like a secret in plain text.
    PossibleSecret,
}

impl Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One fault.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Finding {
    /// Where, as a JSON path within the declaration (`$.tags…` within the file).
    pub path: String,
    /// Whether it refuses the document.
    pub severity: Severity,
    /// What kind of fault.
    pub code: Code,
    /// What is wrong and what would be right. Never holds a secret's value.
    pub message: String,
    /// Where in the text, in bytes, when only the text can tell (a syntax error).
    #[serde(skip)]
    pub span: Option<Range<usize>>,
}

impl Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {} [{}]", self.severity, self.path, self.message, self.code)
    }
}

/// Whether no finding refuses the document.
pub fn is_accepted(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.severity == Severity::Warning)
}

/// The most errors that are listed: hostile input must not cost memory and time without bound.
const MAX_ERRORS: usize = 1_000;

/// The most warnings that are listed.
const MAX_WARNINGS: usize = 10_000;

/// Findings as they are collected.
#[derive(Default, Debug)]
pub(crate) struct Findings {
    list: Vec<Finding>,
    errors: usize,
    warnings: usize,
}

impl Findings {
    /// Adds an error.
    pub(crate) fn error(&mut self, code: Code, path: impl Display, message: impl Into<String>) {
        self.error_in_text(code, path, message, None);
    }

    /// Adds an error whose place only the text can tell.
    pub(crate) fn error_in_text(
        &mut self,
        code: Code,
        path: impl Display,
        message: impl Into<String>,
        span: Option<Range<usize>>,
    ) {
        if self.errors < MAX_ERRORS {
            self.push(Severity::Error, code, path.to_string(), message.into(), span);
        } else if self.errors == MAX_ERRORS {
            let message = format!("more than {MAX_ERRORS} errors: mend these first, the others are not listed");
            self.push(Severity::Error, Code::TooManyFindings, "$".into(), message, None);
        }
    }

    /// Adds a warning.
    pub(crate) fn warning(&mut self, code: Code, path: impl Display, message: impl Into<String>) {
        if self.warnings < MAX_WARNINGS {
            self.push(Severity::Warning, code, path.to_string(), message.into(), None);
        } else if self.warnings == MAX_WARNINGS {
            let message = format!("more than {MAX_WARNINGS} warnings: the others are not listed");
            self.push(Severity::Warning, Code::TooManyFindings, "$".into(), message, None);
        }
    }

    fn push(&mut self, severity: Severity, code: Code, path: String, message: String, span: Option<Range<usize>>) {
        match severity {
            Severity::Error => self.errors += 1,
            Severity::Warning => self.warnings += 1,
        }
        self.list.push(Finding { path, severity, code, message, span });
    }

    /// Whether no further error is taken.
    pub(crate) fn is_full(&self) -> bool {
        self.errors > MAX_ERRORS
    }

    /// Whether nothing was found.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Moves what was found in a text that started later than its file.
    pub(crate) fn shift_spans(&mut self, by: usize) {
        for span in self.list.iter_mut().filter_map(|finding| finding.span.as_mut()) {
            *span = span.start + by..span.end + by;
        }
    }

    /// Makes paths below `envelope` start at the document.
    pub(crate) fn leave_envelope(&mut self, envelope: &str) {
        for finding in &mut self.list {
            if let Some(rest) =
                finding.path.strip_prefix(envelope).filter(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            {
                finding.path = format!("${rest}");
            }
        }
    }

    /// Whether no error is among them.
    pub(crate) fn accepted(&self) -> bool {
        self.errors == 0
    }

    /// What was found, in the order in which it was found.
    pub(crate) fn into_vec(self) -> Vec<Finding> {
        self.list
    }
}
