//! The HTTP side of a host: the API, approval pages and event stream on one address.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use api::approval::{Approvals, ControlDesk, KeyFile};
use api::credentials::{CredentialsError, read_or_make_private};
use api::events::Events;
use api::extensions::Logs;
use api::guard::Guard;
use api::hosts::Hosts;
use api::means::Means;
use api::regions::{OneRegion, Regions};
use api::sigv4::{Credentials, Verifier};
use api::{Api, ApiError};
use async_trait::async_trait;
use bytes::Bytes;
use control::Control;
use engine::LogLocation;
use http::Request;
use local::config::LocalConfig;
use local::host::SystemClock;
use local::http::{Limits, serve};
use local::runner::Unsupported;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::exit::Unusable;

/// What a server is made of, beside the control plane.
pub struct Parts {
    /// The data directory: the keys of approval links and the logs lie there.
    pub data: PathBuf,
    /// What listens.
    pub listener: TcpListener,
    /// The control planes.
    pub regions: Arc<dyn Regions>,
    /// Who may sign requests.
    pub credentials: Arc<dyn Credentials>,
    /// The event stream, where there is one.
    pub events: Option<Events>,
    /// The names it answers under.
    pub hosts: Hosts,
    /// What stands before and behind every operation.
    pub guard: Guard,
    /// What stands in for what: pipelines that are made and lack something are told of in the log.
    pub stand_ins: Option<LocalConfig>,
}

/// A server that takes requests.
pub struct Server {
    api: Arc<Api>,
    address: SocketAddr,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    /// Serves.
    ///
    /// # Errors
    /// The keys of approval links cannot be used.
    pub fn open(parts: Parts) -> anyhow::Result<Self> {
        let address = parts.listener.local_addr().context("cannot listen")?;
        let base_url = format!("http://{address}");
        let mut api = api_of(parts.data, parts.regions, parts.credentials, parts.events, parts.hosts, base_url)?;
        api.guard = parts.guard;
        let api = Arc::new(api);
        let shutdown = CancellationToken::new();
        let (handler, until) = (api.clone(), shutdown.clone().cancelled_owned());
        let stand_ins = parts.stand_ins.map(Arc::new);
        let answer = move |request: Request<Bytes>, peer| {
            let (api, stand_ins) = (handler.clone(), stand_ins.clone());
            async move {
                let made =
                    stand_ins.filter(|_| makes_pipeline(&request)).map(|config| (config, request.body().clone()));
                let response = api::handle(&api, request, peer).await;
                if let Some((config, body)) = made.filter(|_| response.status().is_success()) {
                    warn_of_missing(&config, &body);
                }
                response
            }
        };
        let task = tokio::spawn(serve(parts.listener, Limits::default(), answer, until));
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

    /// Takes no more requests, lets those in progress finish, and writes what is still to be recorded of them.
    pub async fn close(self) {
        self.shutdown.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the server broke");
        }
        self.api.guard.audit.flush().await;
    }
}

fn makes_pipeline(request: &Request<Bytes>) -> bool {
    let target = request.headers().get("x-amz-target").map_or(&b""[..], http::HeaderValue::as_bytes);
    target.ends_with(b".CreatePipeline") || target.ends_with(b".UpdatePipeline")
}

/// Such a pipeline may be made, but what lacks a stand-in will fail.
fn warn_of_missing(config: &LocalConfig, body: &[u8]) {
    let (Some(pipeline), _) = model::validate_text(body, model::parse::Format::Json) else { return };
    let by_jobs = |missing: &Unsupported| {
        let mut same = pipeline.actions().filter(|(_, action)| action.name == missing.action);
        same.any(|(_, action)| control::jobs::takes_jobs(&action.action_type_id))
    };
    for missing in local::runner::unsupported(&pipeline, config).into_iter().filter(|missing| !by_jobs(missing)) {
        tracing::warn!(pipeline = %pipeline.name, "has no stand-in and will fail: {missing}");
    }
}

/// What answers calls from a data directory, without a server.
///
/// # Errors
/// The keys of approval links cannot be used.
pub fn offline(data: &Path, control: Control) -> anyhow::Result<Api> {
    let regions = Arc::new(OneRegion(control));
    api_of(data.into(), regions, Arc::new(Nobody), None, Hosts::loopback(), String::new())
}

fn api_of(
    data: PathBuf,
    regions: Arc<dyn Regions>,
    credentials: Arc<dyn Credentials>,
    events: Option<Events>,
    hosts: Hosts,
    base_url: String,
) -> anyhow::Result<Api> {
    let keys = Arc::new(KeyFile::load_or_make(&data.join("approval-keys"))?);
    let page_token_key = key_file(&data.join("page-token-key"))?;
    Ok(Api {
        means: Arc::new(Means { starts_created: true, ..Means::new(page_token_key.trim()) }),
        guard: Guard::default(),
        approvals: Approvals::new(Arc::new(ControlDesk(regions.clone())), keys),
        regions,
        verifier: Verifier::new(credentials, api::handle::SERVICE),
        base_url,
        logs: Arc::new(FileLogs { data }),
        events,
        hosts,
        clock: Arc::new(SystemClock),
    })
}

/// The key in a private file; a random one is made if there is none.
///
/// # Errors
/// It cannot be read or made, or it holds something else: an empty key would let everybody in.
pub fn key_file(path: &Path) -> anyhow::Result<String> {
    let text = read_or_make_private(path, || Ok(random_key())).map_err(told)?;
    let key = text.trim();
    if key.len() != KEY_DIGITS || !key.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let right = "remove it, and a new one is made at the next start";
        let what = format!("{}: is no key of {KEY_DIGITS} hexadecimal digits; {right}", path.display());
        return Err(Unusable::new(what).into());
    }
    Ok(key.to_owned())
}

/// A private file that cannot be used.
pub fn told(error: CredentialsError) -> Unusable {
    Unusable::new(format!("{:#}", anyhow::Error::from(error)))
}

/// How many hexadecimal digits a key has.
const KEY_DIGITS: usize = 64;

/// 244 random bits.
fn random_key() -> String {
    format!("{}{}\n", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple())
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
