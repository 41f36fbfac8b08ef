//! Every HTTP surface, host-agnostic: the CodePipeline protocol, webhooks, approval pages.

pub mod credentials;
pub mod error;
pub mod secret;
pub mod sigv4;

pub use error::ApiError;
