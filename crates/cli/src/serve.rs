//! `penstock serve`: the API, approval pages and events of one host, on loopback.

mod events;
mod logs;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use api::approval::{Approvals, ControlDesk, KeyFile};
use api::credentials::{CredentialsFile, read_or_make_private};
use api::events::Events;
use api::handle::Api;
use api::hosts::Hosts;
use api::regions::Regions;
use api::secret::Secret;
use api::sigv4::Verifier;
use control::Control;
use local::config::LocalConfig;
use local::host::{Host, HostOptions, SystemClock};
use local::process::SupervisorCommand;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::ServeArgs;
use crate::exit::{Exit, Unusable};

/// The `source` of events.
const EVENT_SOURCE: &str = "penstock.codepipeline";

/// Serves until it is asked to end.
///
/// # Errors
/// The input cannot be used, or this machine fails.
pub fn run(args: &ServeArgs) -> anyhow::Result<Exit> {
    if !args.listen.ip().is_loopback() && !args.allow_non_loopback {
        return Err(Unusable::new(format!(
            "--listen {}: other machines reach that address, and there is no TLS; listen on 127.0.0.1, or say \
             --allow-non-loopback",
            args.listen
        ))
        .into());
    }
    let config = configuration(args.config.as_deref())?;
    let runtime = crate::run::runtime()?;
    let ended = runtime.block_on(serve(args, config));
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    ended
}

fn configuration(named: Option<&Path>) -> anyhow::Result<LocalConfig> {
    let config = match named {
        Some(file) => LocalConfig::load(file),
        None => LocalConfig::discover(Path::new(".")),
    };
    config.map_err(|error| Unusable::new(error.to_string()).into())
}

/// The control planes of a host, for the API.
struct HostRegions(Arc<local::host::regions::Regions>);

impl Regions for HostRegions {
    fn control(&self, region: &str) -> Option<Control> {
        self.0.named(region).map(|control| Control::clone(&control))
    }
}

async fn serve(args: &ServeArgs, config: LocalConfig) -> anyhow::Result<Exit> {
    let listener = TcpListener::bind(args.listen).await.map_err(|error| {
        Unusable::new(format!("--listen {}: cannot listen there ({error}); port 0 takes a free one", args.listen))
    })?;
    let address = listener.local_addr()?;
    let host = Host::open(HostOptions {
        data: args.data.clone(),
        config,
        account: args.account_id.clone(),
        region: crate::environment::region(),
        event_source: EVENT_SOURCE.into(),
        supervisor: SupervisorCommand::default(),
    })
    .await
    .map_err(|error| crate::run::explain_open(error, &args.data))?;
    let api = Arc::new(api_of(&host, args, address)?);
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let shutdown = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    announce(address)?;
    let answer = move |request, peer| {
        let api = api.clone();
        async move { api::handle(&api, request, peer).await }
    };
    local::http::serve(listener, local::http::Limits::default(), answer, shutdown).await;
    host.close().await.context("the data directory could not be closed properly")?;
    Ok(Exit::Succeeded)
}

/// Tells on standard output that requests can be taken.
fn announce(address: SocketAddr) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "listening on http://{address}")?;
    out.flush()
}

fn api_of(host: &Host, args: &ServeArgs, address: SocketAddr) -> anyhow::Result<Api> {
    let data: PathBuf = host.data().clone();
    let credentials = args.credentials.clone().unwrap_or_else(|| data.join("credentials"));
    let credentials = CredentialsFile::load_or_make(&credentials, &args.account_id).map_err(unusable)?;
    let keys = KeyFile::load_or_make(&data.join("approval-keys")).map_err(unusable)?;
    let token = read_or_make_private(&data.join("events-token"), || Ok(format!("{}\n", uuid::Uuid::new_v4().simple())));
    let token = Secret::new(token.map_err(unusable)?.trim().to_owned());
    let regions = Arc::new(HostRegions(host.regions()));
    let log = events::FileLog::new(data.join("events.jsonl"), host);
    let hosts = if args.listen.ip().is_loopback() {
        Hosts::loopback()
    } else {
        Hosts::new(["127.0.0.1".to_owned(), "localhost".into(), "[::1]".into(), address.ip().to_string()])
    };
    Ok(Api {
        approvals: Approvals::new(Arc::new(ControlDesk(regions.clone())), Arc::new(keys)),
        regions,
        verifier: Verifier::new(Arc::new(credentials), api::handle::SERVICE),
        base_url: format!("http://{address}"),
        logs: Arc::new(logs::LogFiles::new(data)),
        events: Some(Events::new(Arc::new(log), token)),
        hosts,
        clock: Arc::new(SystemClock),
    })
}

fn unusable(error: impl std::fmt::Display) -> Unusable {
    Unusable::new(error.to_string())
}
