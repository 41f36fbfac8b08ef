//! `penstock proxy`: a loopback address where unmodified AWS clients find a deployed stack.

mod answer;
mod extension;
mod identities;
mod target;
mod upstream;
mod way;

use std::ffi::OsString;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::sync::Arc;

use anyhow::Context as _;
use local::http::Limits;
use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::level_filters::LevelFilter;

use self::answer::Proxy;
use self::extension::Extension;
use crate::args::ProxyArgs;
use crate::exit::{Exit, Unusable};

pub use self::answer::{foreign, said};
pub use self::identities::{Found, Identities};
pub use self::target::{Target, URL_VARIABLE};
pub use self::upstream::{Outgoing, Upstream, is_of_the_api};

/// What points AWS's clients here.
const ENDPOINT: &str = "AWS_ENDPOINT_URL_CODEPIPELINE";

/// Passes requests on until it is told to end.
///
/// # Errors
/// The stack, the credentials or the address cannot be used.
pub fn run(args: &ProxyArgs) -> anyhow::Result<Exit> {
    if !args.listen.ip().is_loopback() {
        return Err(Unusable::new(format!(
            "--listen {}: other machines reach that address, and whoever does may call the stack; listen on 127.0.0.1",
            args.listen
        ))
        .into());
    }
    crate::log::start(LevelFilter::WARN)?;
    let runtime = crate::run::runtime()?;
    let ended = if args.lambda_extension { in_lambda(args, &runtime) } else { runtime.block_on(proxy(args)) };
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    ended
}

/// Something that listens.
struct Listening {
    address: SocketAddr,
    region: String,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Listening {
    async fn open(args: &ProxyArgs) -> anyhow::Result<Self> {
        let target = Target::find(&args.stack, args.region.as_deref())?;
        let region = target.region.clone();
        let identities = Arc::new(Identities::new(args.profile.as_deref(), &region).await);
        // Without credentials nothing can be passed on: better told now than to each client.
        identities.current().await?;
        let upstream = Upstream::new(!args.lambda_extension).context("no certificates to trust")?;
        let listener = TcpListener::bind(args.listen).await.map_err(|error| {
            Unusable::new(format!("--listen {}: cannot listen there ({error}); port 0 takes a free one", args.listen))
        })?;
        let address = listener.local_addr().context("cannot listen")?;
        let proxy = Arc::new(Proxy::new(target, identities, upstream, args.any_credentials));
        let shutdown = CancellationToken::new();
        let until = shutdown.clone().cancelled_owned();
        let answer = move |request, _| {
            let proxy = proxy.clone();
            async move { proxy.answer(request).await }
        };
        let task = tokio::spawn(local::http::serve(listener, Limits::default(), answer, until));
        Ok(Self { address, region, shutdown, task })
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Takes no more requests and lets those in progress finish.
    async fn close(self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        self.task.await.context("the server broke")
    }
}

async fn proxy(args: &ProxyArgs) -> anyhow::Result<Exit> {
    // Before anything starts, so that whoever asks it to end is always heard.
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for signals")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for signals")?;
    let listening = Listening::open(args).await?;
    let exit = if let Some((program, arguments)) = args.command.split_first() {
        let mut child = start(program, arguments, &listening)?;
        loop {
            tokio::select! {
                status = child.wait() => break of_child(status.context("the command was lost")?),
                // From the terminal it reached the command as well, which may take its time to end.
                _ = interrupt.recv() => {}
                _ = terminate.recv() => ask_to_end(&child),
            }
        }
    } else {
        tell(args, &listening)?;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        Exit::Succeeded
    };
    listening.close().await?;
    Ok(exit)
}

/// Registers first: whatever goes wrong after that is told to Lambda.
fn in_lambda(args: &ProxyArgs, runtime: &tokio::runtime::Runtime) -> anyhow::Result<Exit> {
    let extension = Extension::register()?;
    let listening = match runtime.block_on(Listening::open(args)) {
        Ok(listening) => listening,
        Err(error) => {
            extension.fail(&error);
            return Err(error);
        }
    };
    let ended = extension.until_shutdown();
    runtime.block_on(listening.close())?;
    ended.map(|()| Exit::Succeeded)
}

/// Whoever started it reads this line to know when and where requests are taken.
fn tell(args: &ProxyArgs, listening: &Listening) -> anyhow::Result<()> {
    let url = listening.url();
    let line = if args.print_env { format!("export {ENDPOINT}={url}") } else { format!("listening on {url}") };
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        // Nobody reads it: it serves all the same.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("standard output cannot be written"),
    }
}

fn start(program: &OsString, arguments: &[OsString], listening: &Listening) -> anyhow::Result<Child> {
    let mut command = Command::new(program);
    command.args(arguments).env(ENDPOINT, listening.url()).kill_on_drop(true);
    // The one region that the stack takes, unless the command is to say another for its other services.
    for name in ["AWS_REGION", "AWS_DEFAULT_REGION"] {
        if std::env::var_os(name).is_none() {
            command.env(name, &listening.region);
        }
    }
    let started = command.spawn();
    Ok(started.map_err(|error| Unusable::new(format!("{}: cannot be run ({error})", program.to_string_lossy())))?)
}

fn ask_to_end(child: &Child) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid
        && let Err(error) = kill_process(pid, Signal::TERM)
    {
        tracing::warn!(%error, "the command could not be asked to end");
    }
}

/// As a shell says it.
fn of_child(status: std::process::ExitStatus) -> Exit {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    Exit::OfCommand(u8::try_from(code).unwrap_or(1))
}
