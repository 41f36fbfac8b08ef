//! `penstock serve`: pipelines, their API, approvals and events on this machine.

mod events;

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use api::audit::Audit;
use api::credentials::CredentialsFile;
use api::events::Events;
use api::guard::Guard;
use api::hosts::Hosts;
use api::policies::Policies;
use api::regions::Regions;
use api::secret::Secret;
use api::throttle::{Rate, Throttle};
use control::Control;
use local::config::LocalConfig;
use local::host::Host;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing::level_filters::LevelFilter;

use crate::args::ServeArgs;
use crate::environment;
use crate::exit::{Exit, Unusable};
use crate::server::{Parts, Server, key_file, told};
use events::FileEvents;

/// Serves until it is told to end.
///
/// # Errors
/// The configuration, the data directory, the credentials or the address cannot be used.
pub fn run(args: &ServeArgs) -> anyhow::Result<Exit> {
    if !args.listen.ip().is_loopback() && !args.allow_non_loopback {
        return Err(Unusable::new(format!(
            "--listen {}: other machines reach that address, and there is no TLS; listen on 127.0.0.1, or say \
             --allow-non-loopback",
            args.listen
        ))
        .into());
    }
    crate::log::start(LevelFilter::INFO)?;
    let config = match &args.config {
        Some(file) => LocalConfig::load(file),
        None => LocalConfig::discover(Path::new(".")),
    };
    let config = config.map_err(|error| Unusable::new(error.to_string()))?;
    let runtime = crate::run::runtime()?;
    let ended = runtime.block_on(serve(args, config));
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    ended
}

/// The control planes of a host, for the API.
struct HostRegions(Arc<local::host::regions::Regions>);

impl Regions for HostRegions {
    fn control(&self, region: &str) -> Option<Control> {
        self.0.named(region).map(|control| Control::clone(&control))
    }
}

async fn serve(args: &ServeArgs, config: LocalConfig) -> anyhow::Result<Exit> {
    // Before anything starts, so that whoever asks it to end is always heard.
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for signals")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for signals")?;
    let listener = TcpListener::bind(args.listen).await.map_err(|error| {
        Unusable::new(format!("--listen {}: cannot listen there ({error}); port 0 takes a free one", args.listen))
    })?;
    let host = crate::host::open(&args.data, config.clone(), &args.account_id, &environment::region()).await?;
    let events = FileEvents::new(&host);
    let served = match open(&host, args, config, events.clone(), listener) {
        Ok(server) => {
            let told = tell(&server);
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            tracing::info!("ending: once more ends at once");
            tokio::spawn(async move {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                std::process::exit(130);
            });
            events.end();
            server.close().await;
            told
        }
        Err(error) => Err(error),
    };
    let closed = host.close().await;
    served?;
    closed.context("the data directory could not be closed properly")?;
    Ok(Exit::Succeeded)
}

/// Whoever started it reads this line to know when and where requests are taken.
fn tell(server: &Server) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let told = writeln!(out, "listening on http://{}", server.address()).and_then(|()| out.flush());
    match told {
        // Nobody reads it: it serves all the same.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("standard output cannot be written"),
    }
}

fn open(
    host: &Host,
    args: &ServeArgs,
    config: LocalConfig,
    events: FileEvents,
    listener: TcpListener,
) -> anyhow::Result<Server> {
    let file = args.credentials.clone().unwrap_or_else(|| args.data.join("credentials"));
    let credentials = CredentialsFile::load_or_make(&file, &args.account_id).map_err(told)?;
    let token = key_file(&args.data.join("events-token"))?;
    let mut names = vec!["127.0.0.1".to_owned(), "localhost".into(), "[::1]".into()];
    if !args.listen.ip().is_loopback() {
        names.push(args.listen.ip().to_string());
    }
    let address = listener.local_addr().context("cannot listen")?;
    let webhook_url = args.webhook_url.clone().unwrap_or_else(|| format!("http://{address}"));
    // Once, before anything is served.
    host.control().detection().webhook_url.get_or_init(|| webhook_url);
    let parts = Parts {
        data: args.data.clone(),
        listener,
        regions: Arc::new(HostRegions(host.regions())),
        credentials: Arc::new(credentials),
        events: Some(Events::new(Arc::new(events), Secret::new(&token))),
        hosts: Hosts::new(names),
        stand_ins: Some(config),
        guard: guard(args)?,
    };
    Server::open(parts)
}

/// What stands before every operation.
fn guard(args: &ServeArgs) -> anyhow::Result<Guard> {
    let usual = args.data.join("policies.cedar");
    let policies = match &args.policies {
        Some(file) => Policies::load(file),
        None if usual.exists() => Policies::load(&usual),
        None => Ok(Policies::default()),
    };
    let policies = policies.map_err(|error| Unusable::new(format!("{:#}", anyhow::Error::from(error))))?;
    let per_second = f64::from(args.requests_per_second);
    Ok(Guard {
        throttle: Throttle::new(Rate { per_second, burst: 2.0 * per_second }),
        policies: Arc::new(policies),
        audit: Audit::new(args.audit_reads),
    })
}
