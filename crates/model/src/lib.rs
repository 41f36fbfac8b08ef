//! The nouns of a pipeline, in CodePipeline's words: declarations, names, statuses, ids, times, and the faults
//! found in a declaration.
#![warn(clippy::wildcard_enum_match_arm)]

pub mod action_types;
pub mod declaration;
mod defaults;
pub mod deployment_window;
pub mod finding;
pub mod ids;
pub mod names;
pub mod parse;
pub mod place;
pub mod references;
pub mod secrets;
pub mod shapes;
pub mod status;
pub mod suggestion;
pub mod time;
pub mod validate;

pub use declaration::*;
pub use finding::{Code, Finding, Severity};
pub use ids::*;
pub use names::*;
pub use status::*;
pub use time::Timestamp;
pub use validate::{validate, validate_in, validate_text};
