//! What each action and rule provider does: one file per provider, its decisions pure.
//!
//! The providers on AWS sit behind the feature `aws`: [`runner::ProviderRunner`] finds the provider of an action's type,
//! keeps its start guarantee, and runs it under the action's role.

pub mod variable_check;

#[cfg(feature = "aws")]
mod approval;
#[cfg(feature = "aws")]
mod archive;
#[cfg(feature = "aws")]
mod clone_ref;
#[cfg(feature = "aws")]
mod codebuild;
#[cfg(feature = "aws")]
mod codecommit;
#[cfg(feature = "aws")]
mod commands;
#[cfg(feature = "aws")]
pub mod completion;
#[cfg(feature = "aws")]
mod configuration;
#[cfg(feature = "aws")]
mod connection_source;
#[cfg(feature = "aws")]
mod fault;
#[cfg(feature = "aws")]
pub mod files;
#[cfg(feature = "aws")]
mod git_source;
#[cfg(feature = "aws")]
pub mod heads;
#[cfg(feature = "aws")]
mod inputs;
#[cfg(feature = "aws")]
mod lambda;
#[cfg(feature = "aws")]
mod objects;
#[cfg(feature = "aws")]
mod pipeline_invoke;
#[cfg(feature = "aws")]
pub mod polling;
#[cfg(feature = "aws")]
pub mod ports;
#[cfg(feature = "aws")]
mod registry;
#[cfg(feature = "aws")]
pub mod roles;
#[cfg(feature = "aws")]
mod rules;
#[cfg(feature = "aws")]
pub mod runner;
#[cfg(feature = "aws")]
mod s3_deploy;
#[cfg(feature = "aws")]
mod s3_source;
#[cfg(feature = "aws")]
mod step_functions;
#[cfg(test)]
#[cfg(feature = "aws")]
mod testing;
#[cfg(feature = "aws")]
pub mod web;
