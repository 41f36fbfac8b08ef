//! `penstock connection`: what git hosts are reached by.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::CommonArgs;

/// `penstock connection`.
#[derive(Args, Debug)]
pub struct ConnectionArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ConnectionCommand,
}

/// `penstock connection create|list|delete`.
#[derive(Subcommand, Debug)]
pub enum ConnectionCommand {
    /// Make a connection, and print its webhook's URL and secret
    Create(CreateConnectionArgs),
    /// List connections
    List(ListConnectionsArgs),
    /// Delete a connection
    Delete(DeleteConnectionArgs),
}

/// `penstock connection create`.
#[derive(Args, Debug)]
pub struct CreateConnectionArgs {
    /// What to call it
    pub name: String,
    /// The provider
    #[arg(long, value_name = "PROVIDER", value_parser = ["GitHub", "GitHubEnterpriseServer", "GitLab", "GitLabSelfManaged", "Bitbucket"])]
    pub provider: String,
    /// The provider's host, for a server of your own
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
    /// A file with the token that reads its repositories, or a GitHub App's private key; - reads standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub token_file: Option<PathBuf>,
    /// The GitHub App's id, where the token is an app's key
    #[arg(long, value_name = "ID", requires = "token_file")]
    pub app_id: Option<String>,
    /// A file with the webhook's secret [default: a random one]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub webhook_secret_file: Option<PathBuf>,
    /// The ARN of a connection elsewhere that pipelines name: it stands for this one
    #[arg(long = "map", value_name = "ARN")]
    pub map_arn: Option<String>,
    /// Let pull requests from forks start pipelines: anybody can open one
    #[arg(long)]
    pub allow_forks: bool,
    /// Shared.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// `penstock connection list`.
#[derive(Args, Debug)]
pub struct ListConnectionsArgs {
    /// Shared.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// `penstock connection delete`.
#[derive(Args, Debug)]
pub struct DeleteConnectionArgs {
    /// The connection's ARN
    pub arn: String,
    /// Shared.
    #[command(flatten)]
    pub common: CommonArgs,
}
