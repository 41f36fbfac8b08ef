//! The nouns of a pipeline, in CodePipeline's words: declarations, names, statuses, ids, times, and the faults
//! found in a declaration.
#![warn(clippy::wildcard_enum_match_arm)]

pub mod declaration;
pub mod ids;
pub mod names;
pub mod status;
pub mod time;

pub use declaration::*;
pub use ids::*;
pub use names::*;
pub use status::*;
pub use time::Timestamp;
