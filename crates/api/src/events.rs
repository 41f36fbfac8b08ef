//! `/events`: state changes as server-sent events, each client at its own pace.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream;
use http::request::Parts;
use http::{HeaderValue, Response, header};

use crate::body::Body;
use crate::error::ApiError;
use crate::secret::Secret;

/// The most events sent in one piece.
const MAX_BATCH: usize = 64;

/// An event as it was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbered {
    /// Its place in the order of publication, from 1, without gaps.
    pub number: u64,
    /// EventBridge's envelope, as JSON on one line.
    pub envelope: Arc<str>,
}

/// What was published, to be read again.
#[async_trait]
pub trait EventLog: Send + Sync {
    /// The number of the newest event; 0 before the first.
    async fn newest(&self) -> u64;

    /// The events behind `number`, oldest first, at most `limit`. Waits for the next one if there is none, but not much
    /// longer than 15 seconds: then nothing is returned, and the client is told that the connection lives. An error ends
    /// the client's stream; it comes back and names what it saw last.
    async fn after(&self, number: u64, limit: usize) -> Result<Vec<Numbered>, ApiError>;
}

/// The event stream and the token that opens it.
pub struct Events {
    log: Arc<dyn EventLog>,
    token: Secret,
}

impl Events {
    /// The events of `log`, for whoever has `token`.
    pub fn new(log: Arc<dyn EventLog>, token: Secret) -> Self {
        Self { log, token }
    }

    /// Answers `GET /events`: from the `Last-Event-ID` header or the query's `after` on, else from now on. The token
    /// comes as `Authorization: Bearer TOKEN`, or as the query's `token` from browsers, which can set no header.
    pub async fn serve(&self, parts: &Parts) -> Response<Body> {
        let query = Query::read(parts.uri.query().unwrap_or_default());
        if !self.is_open_to(parts, query.token.as_deref()) {
            return refused(401, "the token is missing or wrong: send Authorization: Bearer TOKEN");
        }
        let header = parts.headers.get("last-event-id").map(|id| id.to_str().unwrap_or_default().to_owned());
        let after = match header.or(query.after) {
            None => self.log.newest().await,
            Some(text) => match text.parse() {
                Ok(number) => number,
                Err(_) => return refused(400, "Last-Event-ID and after must be the number of an event"),
            },
        };
        let mut response = Response::new(Body::Stream(Box::pin(lines(Arc::clone(&self.log), after))));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }

    fn is_open_to(&self, parts: &Parts, in_query: Option<&str>) -> bool {
        let header = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = header.and_then(|value| value.strip_prefix("Bearer ")).or(in_query);
        token.is_some_and(|token| self.token.is(token))
    }
}

/// Pulls from the log only when the piece before was taken, so that a slow client costs one piece.
fn lines(log: Arc<dyn EventLog>, after: u64) -> impl futures::Stream<Item = Bytes> {
    let opened = Bytes::from_static(b": open\n\n");
    let rest = stream::unfold((log, after), |(log, after)| async move {
        let events = log.after(after, MAX_BATCH).await.ok()?;
        let Some(last) = events.last().map(|event| event.number) else {
            return Some((Bytes::from_static(b": waiting\n\n"), (log, after)));
        };
        let text: String = events.iter().map(|e| format!("id: {}\ndata: {}\n\n", e.number, e.envelope)).collect();
        Some((Bytes::from(text), (log, last)))
    });
    futures::StreamExt::chain(stream::iter([opened]), rest)
}

#[derive(Default)]
struct Query {
    token: Option<String>,
    after: Option<String>,
}

impl Query {
    fn read(query: &str) -> Self {
        let mut read = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "token" => read.token = Some(value.into_owned()),
                "after" => read.after = Some(value.into_owned()),
                _ => {}
            }
        }
        read
    }
}

fn refused(status: u16, message: &'static str) -> Response<Body> {
    crate::handle::plain(status, message)
}
