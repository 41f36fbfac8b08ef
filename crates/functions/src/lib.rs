//! What all functions share: start-up, the environment, error names, batches; and one handler a function.

pub mod environment;
pub mod errors;
pub mod handlers;
pub mod handoffs;
pub mod measuring;
pub mod metrics;
pub mod patience;
pub mod permissions;
pub mod plane;
pub mod policies;
pub mod providers;
pub mod run;
pub mod url;

pub use errors::FunctionError;
pub use run::{Handler, Invocation, run};
