//! The command line: every command, option and help text.

mod client;
mod connection;
mod deployed;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

pub use client::*;
pub use connection::*;
pub use deployed::*;

/// A continuous delivery control plane that speaks AWS CodePipeline's language.
#[derive(Parser, Debug)]
#[command(name = "penstock", version, max_term_width = 100, disable_help_subcommand = true, after_help = EXIT_STATUS)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_STATUS: &str = "\
Exit status:
  0    the execution, or what was asked for, succeeded
  1    it failed
  2    unusable input: nothing was started
  3    the execution was stopped, superseded or cancelled
  130  interrupted

Start here:
  penstock init                  in a git repository, then
  penstock run pipeline.json";

/// Every command.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Write a starter pipeline.json and penstock.toml for the repository it stands in
    #[command(after_help = INIT_EXAMPLES)]
    Init(InitArgs),
    /// Report every fault of every file, with its place
    #[command(after_help = VALIDATE_EXAMPLES)]
    Validate(ValidateArgs),
    /// Run one pipeline to its end in this process
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunArgs),
    /// Host pipelines, their API and approvals on this machine
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(ServeArgs),
    /// Every command that talks to a server.
    #[command(flatten)]
    Client(ClientCommand),
    /// Let unmodified AWS clients on this machine reach a deployed stack
    #[command(after_help = PROXY_EXAMPLES)]
    Proxy(ProxyArgs),
    /// Check configuration, credentials and reachability, and say what to mend
    #[command(after_help = DOCTOR_EXAMPLES)]
    Doctor(DoctorArgs),
    /// Print a completion script for a shell
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions(CompletionsArgs),
    /// Print the manual page, or write one for each command into a directory
    #[command(after_help = MAN_EXAMPLES)]
    Man(ManArgs),
}

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// `penstock init`.
#[derive(Args, Debug)]
pub struct InitArgs {
    /// The directory to write into
    #[arg(default_value = ".", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    /// The pipeline's name [default: the directory's name]
    #[arg(long)]
    pub name: Option<String>,
    /// Overwrite files that exist
    #[arg(long)]
    pub force: bool,
}

const INIT_EXAMPLES: &str = "\
Examples:
  penstock init
  penstock init services/web --name web";

/// `penstock validate`.
#[derive(Args, Debug)]
pub struct ValidateArgs {
    /// Pipeline files, JSON or YAML; - reads standard input
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,
    /// text, or json: one line a file
    #[arg(long, value_enum, default_value_t, hide_possible_values = true)]
    pub format: Format,
}

const VALIDATE_EXAMPLES: &str = "\
FILE is what `aws codepipeline get-pipeline` prints and `create-pipeline --cli-input-json` takes,
the bare declaration, or YAML of either.

Examples:
  penstock validate pipeline.json
  penstock validate --format json pipelines/*.json
  aws codepipeline get-pipeline --name web | penstock validate -";

/// `penstock run`.
#[derive(Args, Debug)]
pub struct RunArgs {
    /// The pipeline file, JSON or YAML
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// penstock.toml [default: the one beside FILE]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Give a pipeline variable its value
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_assignment)]
    pub variable: Vec<(String, String)>,
    /// Approve this approval action without asking
    #[arg(long, value_name = "STAGE/ACTION", value_parser = parse_action_path)]
    pub approve: Vec<ActionPath>,
    /// Where history, artifacts and logs are kept [default: .penstock beside FILE]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub data: Option<PathBuf>,
    /// text, or json: each state-change event as one line in EventBridge's envelope, nothing else on standard output
    #[arg(long, value_enum, default_value_t, hide_possible_values = true)]
    pub format: Format,
}

const RUN_EXAMPLES: &str = "\
Ctrl-C once stops the execution when the actions in progress have ended; twice abandons them.

Examples:
  penstock run pipeline.json
  penstock run pipeline.json --variable Release=1.4 --approve Production/SignOff
  penstock run pipeline.json --format json | jq -r '.detail.state'";

/// `penstock serve`.
#[derive(Args, Debug)]
pub struct ServeArgs {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7707")]
    pub listen: SocketAddr,
    /// Where everything is kept
    #[arg(long, value_name = "DIR", default_value = ".penstock", value_hint = ValueHint::DirPath)]
    pub data: PathBuf,
    /// penstock.toml [default: the one in the working directory]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// An AWS-format credentials file, whose profiles may log in; made if absent [default: DIR/credentials]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub credentials: Option<PathBuf>,
    /// Cedar policies that say who may do what [default: DIR/policies.cedar if it is there, else the account may all]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub policies: Option<PathBuf>,
    /// How often a principal may call an operation, a second; twice as often at once
    #[arg(long, value_name = "COUNT", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub requests_per_second: u32,
    /// Record calls that only read as well
    #[arg(long)]
    pub audit_reads: bool,
    /// The account that ARNs and events name
    #[arg(long, value_name = "ID", default_value = "123456789012", value_parser = parse_account)]
    pub account_id: String,
    /// Where git providers reach this server, as a tunnel's address [default: the address it listens on]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, value_parser = parse_url)]
    pub webhook_url: Option<String>,
    /// Listen on an address that other machines reach, without TLS
    #[arg(long)]
    pub allow_non_loopback: bool,
}

const SERVE_EXAMPLES: &str = "\
Ends on Ctrl-C and SIGTERM: requests are finished, running programs are ended, and what was running
goes on at the next start. Events are appended to DIR/events.jsonl, and GET /events streams them to
whoever sends the token of DIR/events-token.

Examples:
  penstock serve
  AWS_SHARED_CREDENTIALS_FILE=.penstock/credentials \\
    aws codepipeline list-pipelines --endpoint-url http://127.0.0.1:7707 --region us-east-1";

/// `penstock doctor`.
#[derive(Args, Debug)]
pub struct DoctorArgs {
    /// penstock.toml [default: the one in the working directory]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Look at a deployed stack instead: that of this name, in --region
    #[arg(long = "stack", value_name = "NAME")]
    pub stack_name: Option<String>,
    /// How to reach the stack.
    #[command(flatten)]
    pub stack: StackArgs,
    /// How to reach the server.
    #[command(flatten)]
    pub connect: ConnectArgs,
}

const DOCTOR_EXAMPLES: &str = "\
Looks at this machine, its configuration and its server; with --stack or --url at a deployed stack.
Ends with 1 when something must be mended.

Examples:
  penstock doctor
  penstock doctor --stack penstock --region eu-west-1
  penstock doctor --config ci/penstock.toml";

/// `penstock completions`.
#[derive(Args, Debug)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  penstock completions bash > ~/.local/share/bash-completion/completions/penstock
  penstock completions zsh > ~/.zfunc/_penstock
  penstock completions fish > ~/.config/fish/completions/penstock.fish";

/// `penstock man`.
#[derive(Args, Debug)]
pub struct ManArgs {
    /// Where to write one page for each command
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dir: Option<PathBuf>,
}

const MAN_EXAMPLES: &str = "\
Examples:
  penstock man | man -l -
  penstock man ~/.local/share/man/man1";

/// An action, named by its stage and its own name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionPath {
    /// Its stage.
    pub stage: String,
    /// Its name.
    pub action: String,
}

impl std::fmt::Display for ActionPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.stage, self.action)
    }
}

fn parse_action_path(text: &str) -> Result<ActionPath, String> {
    match text.split_once('/') {
        Some((stage, action)) if !stage.is_empty() && !action.is_empty() && !action.contains('/') => {
            Ok(ActionPath { stage: stage.into(), action: action.into() })
        }
        _ => Err("write it as STAGE/ACTION".into()),
    }
}

fn parse_assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.into(), value.into())),
        _ => Err("write it as NAME=VALUE".into()),
    }
}

fn parse_url(text: &str) -> Result<String, String> {
    let authority = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match authority.filter(|rest| !rest.is_empty() && !rest.starts_with('/') && !rest.contains(['?', '#', ' '])) {
        Some(_) => Ok(text.trim_end_matches('/').into()),
        None => Err("write it as https://hooks.example.org".into()),
    }
}

fn parse_account(text: &str) -> Result<String, String> {
    if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        Ok(text.into())
    } else {
        Err("an account has 12 digits".into())
    }
}
