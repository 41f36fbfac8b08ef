//! The commands that talk to a server, and how they reach it.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, ValueHint};

use super::{ActionPath, ConnectionArgs, Format, parse_action_path, parse_assignment};

/// Commands that talk to a server.
#[derive(Subcommand, Debug)]
pub enum ClientCommand {
    /// List pipelines
    #[command(after_help = "Examples:\n  penstock pipelines\n  penstock pipelines --format json")]
    Pipelines(PipelinesArgs),
    /// Create a pipeline from a file
    #[command(after_help = "Examples:\n  penstock create pipeline.json\n  penstock create - < pipeline.yaml")]
    Create(DeclarationArgs),
    /// Replace a pipeline's declaration by a file's
    #[command(after_help = "Examples:\n  penstock update pipeline.json")]
    Update(DeclarationArgs),
    /// Start an execution
    #[command(
        after_help = "Examples:\n  penstock start web\n  penstock start web --variable Release=1.4 --watch\n  penstock start web --source-revision Source=COMMIT_ID:4f2c1e9"
    )]
    Start(StartArgs),
    /// Stop an execution: wait for its running actions, or abandon them
    #[command(
        after_help = "Examples:\n  penstock stop web --reason 'wrong branch'\n  penstock stop web EXECUTION --abandon"
    )]
    Stop(StopArgs),
    /// Run a failed stage again
    #[command(after_help = "Examples:\n  penstock retry web Deploy\n  penstock retry web Deploy --mode all-actions")]
    Retry(RetryArgs),
    /// Run a stage again as an earlier execution left it
    #[command(after_help = "Examples:\n  penstock rollback web Production EXECUTION")]
    Rollback(RollbackArgs),
    /// Approve or reject a pending approval
    #[command(
        after_help = "Examples:\n  penstock approve web Production/SignOff --summary 'looks good'\n  penstock approve web Production/SignOff --reject --summary 'not today'\n  penstock approve web Production/SignOff --link"
    )]
    Approve(ApproveArgs),
    /// Disable or enable the way into or out of a stage
    #[command(
        after_help = "Examples:\n  penstock transition disable web Production --reason 'release freeze'\n  penstock transition enable web Production"
    )]
    Transition(TransitionArgs),
    /// Show where a pipeline stands
    #[command(after_help = "Examples:\n  penstock state web")]
    State(StateArgs),
    /// List a pipeline's executions, or one execution's actions
    #[command(
        after_help = "Examples:\n  penstock history web\n  penstock history web EXECUTION\n  penstock history web --data .penstock     # of an earlier `penstock run`"
    )]
    History(HistoryArgs),
    /// Print the output of an execution's actions
    #[command(
        after_help = "Examples:\n  penstock logs web\n  penstock logs web Build/Test --follow\n  penstock logs web --execution EXECUTION --data .penstock"
    )]
    Logs(LogsArgs),
    /// Follow an execution to its end
    #[command(after_help = "Examples:\n  penstock watch web\n  penstock watch web EXECUTION --format json")]
    Watch(WatchArgs),
    /// Make, list and delete connections to git providers, whose pushes start pipelines
    #[command(
        after_help = "Examples:\n  penstock connection create main --provider GitHub --token-file token\n  penstock connection list\n  penstock connection delete ARN"
    )]
    Connection(ConnectionArgs),
    /// Show the token that a partner's job workers need for the jobs of an action type
    #[command(
        after_help = "Examples:\n  penstock client-token Test BlazeMeter\n  penstock client-token Invoke Snyk --format json"
    )]
    ClientToken(ClientTokenArgs),
    /// Show who called what: changes, and what was refused
    #[command(
        after_help = "Examples:\n  penstock audit\n  penstock audit --refused --limit 10\n  penstock audit --operation DeletePipeline --format json"
    )]
    Audit(AuditArgs),
    /// Say why an execution is not moving
    #[command(after_help = "Examples:\n  penstock why web\n  penstock why web EXECUTION")]
    Why(ExecutionArgs),
}

/// How to reach the server.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Server")]
pub struct ConnectArgs {
    /// The server [default: $PENSTOCK_ENDPOINT_URL, $AWS_ENDPOINT_URL_CODEPIPELINE, $AWS_ENDPOINT_URL,
    /// else http://127.0.0.1:7707]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub endpoint_url: Option<String>,
    /// An AWS-format credentials file [default: $AWS_ACCESS_KEY_ID and $AWS_SECRET_ACCESS_KEY,
    /// $AWS_SHARED_CREDENTIALS_FILE, .penstock/credentials, ~/.aws/credentials]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub credentials: Option<PathBuf>,
    /// The profile in it [default: $AWS_PROFILE, else "default"]
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// The region [default: $AWS_REGION, $AWS_DEFAULT_REGION, else us-east-1]
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
}

/// What every client command takes.
#[derive(Args, Debug, Clone)]
pub struct CommonArgs {
    /// text, or json: the API's answer
    #[arg(long, value_enum, default_value_t, hide_possible_values = true)]
    pub format: Format,
    /// How to reach the server.
    #[command(flatten)]
    pub connect: ConnectArgs,
}

/// `penstock pipelines`.
#[derive(Args, Debug)]
pub struct PipelinesArgs {
    /// The most to list [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// Shared.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// `penstock create` and `penstock update`.
#[derive(Args, Debug)]
pub struct DeclarationArgs {
    /// The pipeline file, JSON or YAML; - reads standard input
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Shared.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// `penstock start`.
#[derive(Args, Debug)]
pub struct StartArgs {
    /// The pipeline
    pub pipeline: String,
    /// Give a pipeline variable its value
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_assignment)]
    pub variable: Vec<(String, String)>,
    /// Run this revision instead of the newest
    #[arg(long, value_name = "ACTION=TYPE:VALUE", value_parser = parse_source_revision)]
    pub source_revision: Vec<SourceRevisionArg>,
    /// Follow it to its end
    #[arg(long)]
    pub watch: bool,
    /// Shared.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// A revision given to a start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceRevisionArg {
    /// The source action.
    pub action: String,
    /// `COMMIT_ID`, `IMAGE_DIGEST`, `S3_OBJECT_VERSION_ID` or `S3_OBJECT_KEY`.
    pub kind: String,
    /// The revision.
    pub value: String,
}

/// `penstock stop`.
#[derive(Args, Debug)]
pub struct StopArgs {
    /// The pipeline
    pub pipeline: String,
    /// The execution [default: the newest that runs]
    pub execution: Option<String>,
    /// Do not wait for running actions
    #[arg(long)]
    pub abandon: bool,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Shared.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// Which actions of a stage run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RetryModeArg {
    /// The failed ones, then those not yet run.
    FailedActions,
    /// All.
    AllActions,
}

/// `penstock retry`.
#[derive(Args, Debug)]
pub struct RetryArgs {
    /// The pipeline
    pub pipeline: String,
    /// The stage
    pub stage: String,
    /// The execution [default: the stage's latest]
    pub execution: Option<String>,
    /// failed-actions (then those not yet run), or all-actions
    #[arg(long, value_enum, default_value = "failed-actions", hide_possible_values = true)]
    pub mode: RetryModeArg,
    /// Shared.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// `penstock rollback`.
#[derive(Args, Debug)]
pub struct RollbackArgs {
    /// The pipeline
    pub pipeline: String,
    /// The stage
    pub stage: String,
    /// The execution to go back to
    pub execution: String,
    /// Shared.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// `penstock approve`.
#[derive(Args, Debug)]
pub struct ApproveArgs {
    /// The pipeline
    pub pipeline: String,
    /// The approval action [default: the only one pending]
    #[arg(value_name = "STAGE/ACTION", value_parser = parse_action_path)]
    pub action: Option<ActionPath>,
    /// Reject instead
    #[arg(long)]
    pub reject: bool,
    /// What to say to it
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub summary: String,
    /// Print a signed link that lets whoever opens it decide, instead of deciding
    #[arg(long, conflicts_with_all = ["reject", "summary", "token"])]
    pub link: bool,
    /// The approval's token [default: taken from the pipeline's state]
    #[arg(long, value_name = "TOKEN")]
    pub token: Option<String>,
    /// Shared.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// What to do with a transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TransitionChange {
    /// Let nothing through.
    Disable,
    /// Let executions through.
    Enable,
}

/// `penstock transition`.
#[derive(Args, Debug)]
pub struct TransitionArgs {
    /// disable or enable
    #[arg(value_enum, hide_possible_values = true)]
    pub change: TransitionChange,
    /// The pipeline
    pub pipeline: String,
    /// The stage
    pub stage: String,
    /// The way out of the stage instead of the way in
    #[arg(long)]
    pub outbound: bool,
    /// Why; needed to disable
    #[arg(long, value_name = "TEXT", required_if_eq("change", "disable"))]
    pub reason: Option<String>,
    /// Shared.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// `penstock state`.
#[derive(Args, Debug)]
pub struct StateArgs {
    /// The pipeline
    pub pipeline: String,
    /// Shared.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// `penstock history`.
#[derive(Args, Debug)]
pub struct HistoryArgs {
    /// The pipeline
    pub pipeline: String,
    /// An execution, to list its actions
    pub execution: Option<String>,
    /// The most to list, newest first
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// Read what an earlier `penstock run` left here instead of asking a server
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub data: Option<PathBuf>,
    /// Shared.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// `penstock logs`.
#[derive(Args, Debug)]
pub struct LogsArgs {
    /// The pipeline
    pub pipeline: String,
    /// Only this action
    #[arg(value_name = "STAGE/ACTION", value_parser = parse_action_path)]
    pub action: Option<ActionPath>,
    /// The execution [default: the newest]
    #[arg(long, value_name = "ID")]
    pub execution: Option<String>,
    /// Go on until the execution ends
    #[arg(long, short, conflicts_with = "data")]
    pub follow: bool,
    /// Read what an earlier `penstock run` left here instead of asking a server
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub data: Option<PathBuf>,
    /// Shared.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// `penstock watch`.
#[derive(Args, Debug)]
pub struct WatchArgs {
    /// The pipeline
    pub pipeline: String,
    /// The execution [default: the newest]
    pub execution: Option<String>,
    /// Shared.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// `penstock client-token`.
#[derive(Args, Debug)]
pub struct ClientTokenArgs {
    /// The action type's category
    #[arg(value_name = "CATEGORY", value_parser = ["Build", "Deploy", "Test", "Invoke", "Approval"])]
    pub category: String,
    /// The action type's provider
    #[arg(value_name = "PROVIDER")]
    pub provider: String,
    /// The action type's version
    #[arg(long = "type-version", value_name = "VERSION", default_value = "1")]
    pub version: String,
    /// Shared.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// `penstock audit`.
#[derive(Args, Debug)]
pub struct AuditArgs {
    /// Only calls of this operation, as DeletePipeline
    #[arg(long, value_name = "OPERATION")]
    pub operation: Option<String>,
    /// Only calls of this principal
    #[arg(long, value_name = "ARN")]
    pub principal: Option<String>,
    /// Only calls that were refused
    #[arg(long)]
    pub refused: bool,
    /// At most this many, the newest first
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    pub limit: u32,
    /// Shared.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// `penstock why`.
#[derive(Args, Debug)]
pub struct ExecutionArgs {
    /// The pipeline
    pub pipeline: String,
    /// The execution [default: the newest]
    pub execution: Option<String>,
    /// Shared.
    #[command(flatten)]
    pub common: CommonArgs,
}

fn parse_source_revision(text: &str) -> Result<SourceRevisionArg, String> {
    let parts = text.split_once('=').and_then(|(action, rest)| {
        let (kind, value) = rest.split_once(':')?;
        let known = model::SourceRevisionType::parse(kind)?;
        (!action.is_empty() && !value.is_empty()).then(|| SourceRevisionArg {
            action: action.into(),
            kind: known.as_str().into(),
            value: value.into(),
        })
    });
    parts.ok_or_else(|| {
        let kinds: Vec<&str> = model::SourceRevisionType::ALL.iter().map(|kind| kind.as_str()).collect();
        format!("write it as ACTION=TYPE:VALUE, TYPE one of {}", kinds.join(", "))
    })
}
