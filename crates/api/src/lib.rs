//! Every HTTP surface, host-agnostic: the CodePipeline protocol, webhooks, approval pages.

pub mod approval;
pub mod audit;
pub mod body;
pub mod credentials;
pub mod error;
pub mod events;
pub mod extensions;
pub mod guard;
pub mod handle;
pub mod hosts;
pub mod means;
pub mod operations;
pub mod output;
pub mod page_tokens;
pub mod policies;
pub mod protocol;
pub mod regions;
pub mod secret;
pub mod sigv4;
pub mod throttle;
pub mod webhooks;

pub use body::Body;
pub use error::ApiError;
pub use handle::{Api, handle};
