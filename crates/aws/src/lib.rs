//! The ports on AWS: DynamoDB, EventBridge, Step Functions, S3, KMS.
//!
//! Every adapter takes a client (or the one configuration of [`load_config`]) and keeps nothing else: a function makes
//! them once at its start.

mod artifacts;
mod bus;
mod config;
mod drivers;
mod failure;
mod from_config;
mod link_keys;
mod policy_object;
mod rules;
mod sealer;
mod table;
mod trace;
mod vault;

pub use artifacts::S3Artifacts;
pub use bus::EventBridgeBus;
pub use config::{ConfigError, load_config};
pub use drivers::StepFunctionsDrivers;
pub use link_keys::KmsLinkKeys;
pub use policy_object::PolicyObject;
pub use rules::EventBridgeRules;
pub use sealer::KmsSealer;
pub use table::DynamoTable;
pub use trace::{current_trace, with_trace};
pub use vault::SecretsManagerVault;
