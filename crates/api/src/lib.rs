//! Every HTTP surface, host-agnostic: the CodePipeline protocol, webhooks, approval pages.

pub mod approval;
pub mod body;
pub mod credentials;
pub mod error;
pub mod events;
pub mod extensions;
pub mod handle;
pub mod hosts;
pub mod operations;
pub mod protocol;
pub mod regions;
pub mod secret;
pub mod sigv4;

pub use body::Body;
pub use error::ApiError;
pub use handle::{Api, handle};
