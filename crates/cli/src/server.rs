//! The HTTP side of a host: the API, approval pages and event stream on one address.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use api::approval::{Approvals, ControlDesk, KeyFile};
use api::events::Events;
use api::extensions::Logs;
use api::hosts::Hosts;
use api::regions::OneRegion;
use api::sigv4::{Credentials, Verifier};
use api::{Api, ApiError};
use async_trait::async_trait;
use control::Control;
use engine::LogLocation;
use local::host::SystemClock;
use local::http::{Limits, serve};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What a server is made of, beside the control plane.
pub struct Parts {
    /// The data directory: the keys of approval links and the logs lie there.
    pub data: PathBuf,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Who may sign requests.
    pub credentials: Arc<dyn Credentials>,
    /// The event stream, where there is one.
    pub events: Option<Events>,
    /// The names it answers under.
    pub hosts: Hosts,
}

/// A server that takes requests.
pub struct Server {
    api: Arc<Api>,
    address: SocketAddr,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    /// Listens and serves.
    ///
    /// # Errors
    /// The address cannot be listened on, or the keys of approval links cannot be used.
    pub async fn open(control: &Control, parts: Parts) -> anyhow::Result<Self> {
        let keys = Arc::new(KeyFile::load_or_make(&parts.data.join("approval-keys"))?);
        let listener =
            TcpListener::bind(parts.listen).await.with_context(|| format!("cannot listen on {}", parts.listen))?;
        let address = listener.local_addr().context("cannot listen")?;
        let regions = Arc::new(OneRegion(control.clone()));
        let api = Arc::new(Api {
            approvals: Approvals::new(Arc::new(ControlDesk(regions.clone())), keys),
            regions,
            verifier: Verifier::new(parts.credentials, api::handle::SERVICE),
            base_url: format!("http://{address}"),
            logs: Arc::new(FileLogs { data: parts.data }),
            events: parts.events,
            hosts: parts.hosts,
            clock: Arc::new(SystemClock),
        });
        let shutdown = CancellationToken::new();
        let (handler, until) = (api.clone(), shutdown.clone().cancelled_owned());
        let answer = move |request, peer| {
            let api = handler.clone();
            async move { api::handle(&api, request, peer).await }
        };
        let task = tokio::spawn(serve(listener, Limits::default(), answer, until));
        Ok(Self { api, address, shutdown, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What answers.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// Takes no more requests and lets those in progress finish.
    pub async fn close(self) {
        self.shutdown.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the server broke");
        }
    }
}

/// Nobody may sign: only approval pages are served.
pub struct Nobody;

impl Credentials for Nobody {
    fn find(&self, _: &str) -> Option<Arc<api::sigv4::Credential>> {
        None
    }
}

/// Logs as files below the data directory.
pub struct FileLogs {
    /// The data directory.
    pub data: PathBuf,
}

#[async_trait]
impl Logs for FileLogs {
    async fn read(&self, location: &LogLocation, offset: u64, limit: usize) -> Result<Vec<u8>, ApiError> {
        let path = self.data.join(&location.location);
        let read = tokio::task::spawn_blocking(move || read_at(&path, offset, limit)).await;
        match read {
            Ok(Ok(bytes)) => Ok(bytes),
            // An action that was only claimed, or that wrote nothing, has no file.
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Ok(Err(error)) => {
                tracing::error!(%error, log = location.location, "a log cannot be read");
                Err(ApiError::unavailable())
            }
            Err(_) => Err(ApiError::internal()),
        }
    }
}

fn read_at(path: &Path, offset: u64, limit: usize) -> std::io::Result<Vec<u8>> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = std::fs::File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(u64::try_from(limit).unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
    Ok(bytes)
}
