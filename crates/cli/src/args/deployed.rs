//! What reaches a deployed stack: the proxy, and how its API is named.

use std::net::SocketAddr;

use clap::{Args, ValueHint};

/// How to reach a deployed stack.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Stack")]
pub struct StackArgs {
    /// The stack's API: its output ApiUrl [default: $PENSTOCK_API_URL]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub url: Option<String>,
    /// Connect there instead of to the URL's own host, as to an emulator at http://127.0.0.1:4566
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub connect: Option<String>,
}

/// `penstock proxy`.
#[derive(Args, Debug)]
pub struct ProxyArgs {
    /// The stack's region [default: the one in the URL, $AWS_REGION, $AWS_DEFAULT_REGION]
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// The profile to sign with [default: $AWS_PROFILE, else what the environment says]
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Where to listen, on loopback; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Take requests signed with whatever key: everybody on this machine may then call the stack as you
    #[arg(long)]
    pub any_credentials: bool,
    /// Print the line that points AWS clients here, for a shell to take, instead of "listening on …"
    #[arg(long, conflicts_with_all = ["command", "lambda_extension"])]
    pub print_env: bool,
    /// Run as an extension of a Lambda function, until that is shut down
    #[arg(long, conflicts_with = "command")]
    pub lambda_extension: bool,
    /// Run a command whose AWS clients are pointed here, and end with it
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<std::ffi::OsString>,
    /// How to reach the stack.
    #[command(flatten)]
    pub stack: StackArgs,
}

pub const PROXY_EXAMPLES: &str = "\
AWS clients sign for the service codepipeline, a stack's Function URL wants lambda: what they send
here is verified, signed anew with the same credentials and passed on. Ends on Ctrl-C and SIGTERM.

Examples:
  penstock proxy --url https://abc.lambda-url.eu-west-1.on.aws/ -- aws codepipeline list-pipelines
  penstock proxy --url https://abc.lambda-url.eu-west-1.on.aws/ --listen 127.0.0.1:7708
  AWS_ENDPOINT_URL_CODEPIPELINE=http://127.0.0.1:7708 aws codepipeline list-pipelines";
