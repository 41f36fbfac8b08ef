//! HTTP to git hosts, by the client that the AWS SDKs use.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::{Provider as Tls, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorSettings};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use bytes::Bytes;
use http::{Request, Uri};

use crate::fault::Fault;
use crate::ports::Secret;

/// How long until a connection stands.
const CONNECT: Duration = Duration::from_secs(5);
/// How long until an answer begins, and between its parts. A host may pack an archive before it answers.
const READ: Duration = Duration::from_secs(120);
/// How many redirections are followed.
const REDIRECTIONS: usize = 5;
/// The most bytes of an answer that is read as a whole.
const MAX_TEXT_BYTES: usize = 4 * 1024 * 1024;

/// An HTTP client. It is made at its first use: reading the system's roots takes a while.
#[derive(Clone, Debug, Default)]
pub struct Web {
    connector: OnceLock<Arc<dyn HttpConnector>>,
}

/// An answer, its body still to be read.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Whether the host says that too much was asked of it.
    pub(crate) must_wait: bool,
    body: ByteStream,
}

impl Web {
    /// With TLS by rustls and the system's roots.
    pub fn new() -> Self {
        Self::default()
    }

    /// One whose requests are answered by `connector`.
    #[cfg(test)]
    pub(crate) fn with(connector: impl HttpConnector + 'static) -> Self {
        let made: Arc<dyn HttpConnector> = Arc::new(connector);
        Self { connector: OnceLock::from(made) }
    }

    fn connector(&self) -> &dyn HttpConnector {
        let made = self.connector.get_or_init(|| {
            let settings = HttpConnectorSettings::builder().connect_timeout(CONNECT).read_timeout(READ).build();
            let builder = Connector::builder().connector_settings(settings);
            Arc::new(builder.tls_provider(Tls::Rustls(CryptoMode::AwsLc)).build())
        });
        made.as_ref()
    }

    /// Gets `url`, following redirections. The token goes to the host of `url` alone.
    pub(crate) async fn get(&self, url: &str, accept: &str, token: Option<&Secret>) -> Result<Answer, Fault> {
        let first = parse(url)?;
        let mut place = first.clone();
        for _ in 0..=REDIRECTIONS {
            let token = token.filter(|_| place.authority() == first.authority() && place.scheme() == first.scheme());
            let response = self.send(&place, accept, token).await?;
            let status = response.status().as_u16();
            match response.headers().get("location") {
                Some(location) if matches!(status, 301 | 302 | 303 | 307 | 308) => place = resolve(&place, location)?,
                _ => return Ok(Answer::of(response)),
            }
        }
        Err(Fault::Later(format!("{}: more than {REDIRECTIONS} redirections", host(&first))))
    }

    /// Posts JSON to `url`. A redirection is an answer like any other.
    pub(crate) async fn post(&self, url: &str, json: &str, token: &Secret) -> Result<Answer, Fault> {
        let place = parse(url)?;
        let request = Request::post(&place).header("content-type", "application/json");
        let response = self.call(&place, request, SdkBody::from(json), "application/json", Some(token)).await?;
        Ok(Answer::of(response))
    }

    async fn send(&self, place: &Uri, accept: &str, token: Option<&Secret>) -> Result<HttpResponse, Fault> {
        self.call(place, Request::get(place), SdkBody::empty(), accept, token).await
    }

    async fn call(
        &self,
        place: &Uri,
        request: http::request::Builder,
        body: SdkBody,
        accept: &str,
        token: Option<&Secret>,
    ) -> Result<HttpResponse, Fault> {
        let mut request = request.header("user-agent", "penstock").header("accept", accept);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {}", token.reveal()));
        }
        let request = request.body(body).ok().and_then(|request| request.try_into().ok());
        // Nothing else can be wrong: the place is a URI already. The token itself must not be shown.
        let request = request.ok_or_else(|| Fault::configuration("the connection's token is no text for a header"))?;
        let failed = |error| Fault::Unknown(format!("{}: {error}", host(place)));
        self.connector().call(request).await.map_err(failed)
    }
}

fn parse(url: &str) -> Result<Uri, Fault> {
    let uri: Uri = url.parse().map_err(|_| Fault::configuration(format!("{url} is no URL")))?;
    match (uri.scheme_str(), uri.authority()) {
        (Some("https" | "http"), Some(_)) => Ok(uri),
        _ => Err(Fault::configuration(format!("{url} is no https:// URL"))),
    }
}

/// Where a redirection leads. From TLS it never leads out of it.
fn resolve(from: &Uri, location: &str) -> Result<Uri, Fault> {
    let absolute = match (location.strip_prefix('/'), from.scheme_str(), from.authority()) {
        (Some(path), Some(scheme), Some(authority)) => format!("{scheme}://{authority}/{path}"),
        _ => location.to_owned(),
    };
    let wrong = || Fault::Later(format!("{} redirects to what is no place", host(from)));
    let to = parse(&absolute).map_err(|_| wrong())?;
    if from.scheme_str() == Some("https") && to.scheme_str() != Some("https") {
        return Err(wrong());
    }
    Ok(to)
}

/// The host alone: paths and queries of redirections hold secrets.
fn host(place: &Uri) -> &str {
    place.host().unwrap_or("the host")
}

impl Answer {
    fn of(response: HttpResponse) -> Self {
        let header = |name| response.headers().get(name);
        let must_wait = header("retry-after").is_some() || header("x-ratelimit-remaining") == Some("0");
        Self { status: response.status().as_u16(), must_wait, body: ByteStream::new(response.into_body()) }
    }

    /// The next part of the body; none at its end.
    pub(crate) async fn part(&mut self) -> Result<Option<Bytes>, Fault> {
        let broken = |why: String| Fault::Unknown(format!("an answer broke off: {why}"));
        match tokio::time::timeout(READ, self.body.next()).await {
            Ok(part) => part.transpose().map_err(|error| broken(error.to_string())),
            Err(_) => Err(broken(format!("nothing came for {} seconds", READ.as_secs()))),
        }
    }

    /// The body as text; what is too long, or does not come, is a fault.
    pub(crate) async fn text(mut self) -> Result<String, Fault> {
        let mut bytes = Vec::new();
        while let Some(part) = self.part().await? {
            bytes.extend_from_slice(&part);
            if bytes.len() > MAX_TEXT_BYTES {
                return Err(Fault::job(format!("an answer of more than {MAX_TEXT_BYTES} bytes")));
            }
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

#[cfg(test)]
mod tests;
