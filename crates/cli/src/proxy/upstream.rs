//! Sends signed requests: to the stack's Function URL, and for the doctor to AWS's own services.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use api::protocol::Protocol;
use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use local::sign::{self, Keys};
use model::Timestamp;
use tokio::time::Sleep;

use super::target::Target;
use super::way::Way;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer's head may take: the function ends itself after 30 s.
const HEAD: Duration = Duration::from_secs(40);
/// How long an answer's body may take.
const BODY: Duration = Duration::from_secs(60);
/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(30);
/// The largest answer: Lambda lets no larger one out.
const MAX_ANSWER: usize = 8 * 1024 * 1024;

/// What belongs to one connection, or to the signature that is replaced.
const NOT_PASSED_ON: [&str; 14] = [
    "authorization",
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-security-token",
];

#[cfg(feature = "aws")]
type Connector = hyper_rustls::HttpsConnector<Way>;
#[cfg(not(feature = "aws"))]
type Connector = Way;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// What was to be sent is no request.
    #[error("the request cannot be passed on")]
    Request(#[from] http::Error),
    /// Nobody took or answered it.
    #[error("{0}")]
    Broken(String),
    /// Nothing came in time.
    #[error("no answer within {} s", HEAD.as_secs())]
    Slow,
}

/// What is sent: a POST, not signed yet.
pub struct Outgoing<'a> {
    /// Where to connect.
    pub to: (&'a Scheme, &'a Authority),
    /// For whom it is.
    pub host: &'a str,
    /// The path.
    pub path: &'a str,
    /// What it is signed for: service and region.
    pub scope: (&'a str, &'a str),
    /// What goes with it, but for what belongs to the signature or the connection.
    pub headers: &'a HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// A client that keeps its connections.
pub struct Upstream(Client<Connector, Full<Bytes>>);

impl Upstream {
    /// Connects when it is needed. Without `keep` each request has a connection of its own: a process that is frozen
    /// between requests does not see that others closed theirs.
    ///
    /// # Errors
    /// This machine has no certificates to trust.
    pub fn new(keep: bool) -> std::io::Result<Self> {
        let mut http = HttpConnector::new();
        http.set_connect_timeout(Some(CONNECT));
        http.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(if keep { usize::MAX } else { 0 })
            .build(connector(http)?);
        Ok(Self(client))
    }

    /// Signs and sends.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn send(&self, request: Outgoing<'_>, keys: &Keys) -> Result<Response<Incoming>, SendError> {
        let request = signed(request, keys)?;
        match tokio::time::timeout(HEAD, self.0.request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(SendError::Broken(format!("{:#}", anyhow::Error::from(error)))),
            Err(_) => Err(SendError::Slow),
        }
    }

    /// Sends a call of the API to a stack.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn call(
        &self,
        target: &Target,
        path: &str,
        headers: &HeaderMap,
        body: Bytes,
        keys: &Keys,
    ) -> Result<Response<Incoming>, SendError> {
        let path = format!("{}{path}", target.base);
        let (to, scope) = ((&target.scheme, &target.authority), ("lambda", target.region.as_str()));
        self.send(Outgoing { to, host: &target.host, path: &path, scope, headers, body }, keys).await
    }
}

#[cfg(feature = "aws")]
fn connector(mut http: HttpConnector) -> std::io::Result<Connector> {
    http.enforce_http(false);
    let builder = hyper_rustls::HttpsConnectorBuilder::new().with_native_roots()?;
    Ok(builder.https_or_http().enable_http1().wrap_connector(Way::of_environment(http)))
}

#[cfg(not(feature = "aws"))]
#[expect(clippy::unnecessary_wraps, reason = "a build with TLS looks for certificates")]
fn connector(http: HttpConnector) -> std::io::Result<Connector> {
    Ok(Way::of_environment(http))
}

/// The request, signed. Its target and content type are, too: they decide what is done.
fn signed(request: Outgoing<'_>, keys: &Keys) -> Result<Request<Full<Bytes>>, http::Error> {
    let text = |name: &'static str| request.headers.get(name).and_then(|value| value.to_str().ok()).map(|v| (name, v));
    let also: Vec<(&'static str, &str)> = ["content-type", "x-amz-target"].into_iter().filter_map(text).collect();
    let unsigned = sign::Unsigned {
        service: request.scope.0,
        region: request.scope.1,
        host: request.host,
        path: request.path,
        headers: &also,
        body: &request.body,
        at: Timestamp(jiff::Timestamp::now().as_millisecond()),
    };
    let uri = Uri::builder().scheme(request.to.0.clone()).authority(request.to.1.clone()).path_and_query(request.path);
    let mut made = Request::new(Full::new(request.body.clone()));
    *made.method_mut() = Method::POST;
    *made.uri_mut() = uri.build()?;
    *made.headers_mut() = passed_on(request.headers);
    for (name, value) in sign::headers(&unsigned, keys) {
        made.headers_mut().insert(name, HeaderValue::from_str(&value)?);
    }
    Ok(made)
}

/// The headers that go on to whoever is next.
pub fn passed_on(headers: &HeaderMap) -> HeaderMap {
    let connection = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let named: Vec<String> = connection.flat_map(|list| list.split(',')).map(|one| one.trim().to_lowercase()).collect();
    let stays =
        |name: &HeaderName| NOT_PASSED_ON.contains(&name.as_str()) || named.iter().any(|named| named == name.as_str());
    headers.iter().filter(|(name, _)| !stays(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// A body that must be whole in time, and no larger than it may be.
pub struct Bounded {
    body: Limited<Incoming>,
    until: Pin<Box<Sleep>>,
}

impl Bounded {
    /// From now on.
    pub fn new(body: Incoming) -> Self {
        Self { body: Limited::new(body, MAX_ANSWER), until: Box::pin(tokio::time::sleep(BODY)) }
    }
}

impl Body for Bounded {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.until.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err("the answer did not come in time".into())));
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Whether an answer is of the API itself, and not of what stands before it.
pub fn is_of_the_api(protocol: Protocol, response: &Response<Incoming>) -> bool {
    let content_type = response.headers().get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let own: &[u8] = match protocol {
        Protocol::Json => b"application/x-amz-json-1.1",
        Protocol::Cbor => b"application/cbor",
    };
    content_type.starts_with(own)
}
