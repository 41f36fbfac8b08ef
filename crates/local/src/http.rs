//! An HTTP/1.1 server that slow, broken and hostile clients cannot hurt: bounded in sizes, times and connections.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::Body as _;
use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::stall::StallGuard;

mod stall;
#[cfg(test)]
mod tests;

/// What a client may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest body, in bytes.
    pub body_bytes: usize,
    /// The most connections at once; more wait in the kernel's queue.
    pub connections: usize,
    /// How long a request's head may take, which is also how long an idle connection is kept.
    pub head_timeout: Duration,
    /// How long a request's body may take.
    pub body_timeout: Duration,
    /// How long a client may leave an answer unread without taking any of it.
    pub write_timeout: Duration,
    /// How long answers in progress may take once the server is asked to end.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 5 * 1024 * 1024,
            connections: 256,
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(5),
        }
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The most bytes of a request's head.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// How long to wait after the system refused a connection (out of file descriptors, as a rule).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `shutdown` is done; then takes no more requests, lets answers in progress finish for as long as
/// [`Limits::drain_timeout`], and returns.
///
/// `handler` gets whole requests. A body too large is answered with 413 and one too slow with 408 before it is called.
pub async fn serve<H, F, B>(listener: TcpListener, limits: Limits, handler: H, shutdown: impl Future<Output = ()>)
where
    H: Fn(Request<Bytes>, SocketAddr) -> F + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let handler = Arc::new(handler);
    let places = Arc::new(Semaphore::new(limits.connections));
    let (ending, ended) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &places) => accepted,
        };
        match accepted {
            Ok((stream, peer, place)) => {
                let connection = connect(stream, peer, limits, Arc::clone(&handler), ended.clone());
                connections.spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    ending.send_replace(true);
    let drained = timeout(limits.drain_timeout, async { while connections.join_next().await.is_some() {} });
    if drained.await.is_err() {
        tracing::warn!(open = connections.len(), "connections were cut: they did not end in time");
        connections.shutdown().await;
    }
}

type Accepted = (TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit);

/// A place first, then a connection: without one, clients wait in the kernel's queue.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> io::Result<Accepted> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    if let Err(error) = stream.set_nodelay(true) {
        // Slower, not wrong.
        tracing::debug!(%peer, %error, "small answers may be delayed");
    }
    Ok((stream, peer, place))
}

async fn connect<H, F, B>(
    stream: TcpStream,
    peer: SocketAddr,
    limits: Limits,
    handler: Arc<H>,
    mut ended: watch::Receiver<bool>,
) where
    H: Fn(Request<Bytes>, SocketAddr) -> F + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let service = service_fn(move |request| {
        let handler = Arc::clone(&handler);
        async move { Ok::<_, Infallible>(answer(request, peer, limits, &*handler).await) }
    });
    let io = TokioIo::new(StallGuard::new(stream, limits.write_timeout));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(io, service);
    let mut connection = pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = async { drop(ended.wait_for(|ended| *ended).await) } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        // Clients break off as they like: of interest only to whoever looks for it.
        tracing::debug!(%peer, %error, "a connection broke");
    }
}

async fn answer<H, F, B>(
    request: Request<Incoming>,
    peer: SocketAddr,
    limits: Limits,
    handler: &H,
) -> Response<Either<B, Full<Bytes>>>
where
    H: Fn(Request<Bytes>, SocketAddr) -> F,
    F: Future<Output = Response<B>>,
    B: http_body::Body<Data = Bytes>,
{
    let (parts, body) = request.into_parts();
    let limit = limits.body_bytes;
    if body.size_hint().lower() > u64::try_from(limit).unwrap_or(u64::MAX) {
        return too_large(limit).map(Either::Right);
    }
    let body = match timeout(limits.body_timeout, Limited::new(body, limit).collect()).await {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => return too_large(limit).map(Either::Right),
        Ok(Err(_)) => {
            let message = "the body broke off or is not in the form that its head says";
            return refused(StatusCode::BAD_REQUEST, "SerializationException", message).map(Either::Right);
        }
        Err(_) => {
            let message = "the body did not come in time";
            return refused(StatusCode::REQUEST_TIMEOUT, "RequestTimeoutException", message).map(Either::Right);
        }
    };
    handler(Request::from_parts(parts, body), peer).await.map(Either::Left)
}

fn too_large(limit: usize) -> Response<Full<Bytes>> {
    let message = format!("the body is larger than {limit} bytes");
    refused(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLargeException", &message)
}

/// An answer after which the connection ends: what is left of the request is not read.
fn refused(status: StatusCode, code: &'static str, message: &str) -> Response<Full<Bytes>> {
    let body = serde_json::json!({ "__type": code, "message": message });
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"));
    headers.insert("x-amzn-errortype", HeaderValue::from_static(code));
    response
}
