//! One HTTP request in, one answer out: which surface it is for, and what every surface asks of it.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use control::ports::Clock;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use uuid::Uuid;

use crate::approval::Approvals;
use crate::audit::{CallRecord, is_read};
use crate::body::Body;
use crate::error::ApiError;
use crate::events::Events;
use crate::extensions::{self, Logs};
use crate::guard::Guard;
use crate::hosts::Hosts;
use crate::means::Means;
use crate::operations::{self, Call};
use crate::output::Output;
use crate::protocol::{self, Protocol, Target};
use crate::regions::Regions;
use crate::sigv4::{Identity, Verifier};
use crate::webhooks;

/// The service that requests must be signed for.
pub const SERVICE: &str = "codepipeline";
/// The largest request, in bytes.
pub const MAX_REQUEST_BYTES: usize = 5 * 1024 * 1024;

/// What whoever decides by a link is told where policies forbid it meanwhile.
pub const RESTRICTED: &str = "who may approve here was restricted after this link was made";

/// Everything that answers requests.
pub struct Api {
    /// The control planes.
    pub regions: Arc<dyn Regions>,
    /// What operations need beside them.
    pub means: Arc<Means>,
    /// What stands before every operation.
    pub guard: Guard,
    /// Who may sign, for [`SERVICE`].
    pub verifier: Verifier,
    /// The approval pages.
    pub approvals: Approvals,
    /// Where this server is reached, as `http://127.0.0.1:7707`: links begin with it.
    pub base_url: String,
    /// What actions wrote.
    pub logs: Arc<dyn Logs>,
    /// The event stream, where there is one.
    pub events: Option<Events>,
    /// The names this server answers under.
    pub hosts: Hosts,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Answers a request.
pub async fn handle(api: &Api, request: Request<Bytes>, peer: SocketAddr) -> Response<Body> {
    let (parts, body) = request.into_parts();
    if body.len() > MAX_REQUEST_BYTES {
        return plain(413, "the request is too large");
    }
    let token = parts.uri.path().strip_prefix("/approve/");
    let hook = parts.uri.path().strip_prefix("/webhooks/");
    let is_ours = api.hosts.is_ours(&parts) || (hook.is_some() && webhooks::is_served_there(api, &parts));
    if !is_ours {
        return plain(403, "this server does not answer under that name");
    }
    if !api.hosts.is_own_origin(&parts, token.is_some()) {
        return plain(403, "requests from web pages elsewhere are refused");
    }
    if let Some(token) = token {
        if parts.method == Method::POST && !api.guard.policies.permit_decision(&*api.regions, token).await {
            return plain(403, RESTRICTED);
        }
        return api.approvals.serve(&parts, token, &body, peer.ip(), api.clock.now()).await;
    }
    if let Some(hook) = hook {
        return match parts.method {
            Method::POST => webhooks::serve(api, &parts, hook, &body, peer.ip()).await,
            _ => not_allowed("POST"),
        };
    }
    if let Some(protocol) = Protocol::of(parts.uri.path()) {
        return if parts.method == Method::POST {
            call(api, protocol, &parts, &body, peer).await
        } else {
            not_allowed("POST")
        };
    }
    match (parts.uri.path(), &parts.method) {
        ("/healthz", &(Method::GET | Method::HEAD)) => plain(200, "ok"),
        ("/events", &Method::GET) => match &api.events {
            Some(events) => events.serve(&parts).await,
            None => plain(404, "there is no event stream here"),
        },
        ("/healthz" | "/events", _) => not_allowed("GET"),
        _ => plain(404, "there is nothing here"),
    }
}

/// One call of an operation.
async fn call(api: &Api, protocol: Protocol, parts: &Parts, body: &[u8], peer: SocketAddr) -> Response<Body> {
    let request_id = Uuid::new_v4().to_string();
    match run(api, protocol, parts, body, peer, &request_id).await {
        Ok((target, output)) => protocol::success(protocol, &target, output, &request_id),
        Err(error) => {
            tracing::debug!(code = error.code, message = error.message, request_id, "a call was refused");
            protocol::failure(protocol, &error, &request_id)
        }
    }
}

async fn run(
    api: &Api,
    protocol: Protocol,
    parts: &Parts,
    body: &[u8],
    peer: SocketAddr,
    request_id: &str,
) -> Result<(Target, Output), ApiError> {
    let target = protocol::target(protocol, parts)?;
    // A host in front of which somebody else verified the signature says who it was; no client can.
    let identity = match parts.extensions.get::<Identity>() {
        Some(identity) => identity.clone(),
        None => api.verifier.verify(parts, body, api.clock.now())?,
    };
    let control = api.regions.control(&identity.region).ok_or_else(|| {
        let message = format!("Credential should be scoped to a valid region, not '{}'.", identity.region);
        ApiError::new("InvalidSignatureException", message)
    })?;
    if !api.guard.throttle.admit(&identity.principal, target.operation(), api.clock.now()) {
        return Err(ApiError::throttled());
    }
    let input = protocol::body(protocol, &parts.headers, body)?;
    let record = CallRecord::new(&control, &identity, &target, &input, (parts, peer), request_id);
    let changes = !is_read(target.operation());
    let call = Call {
        control: if changes { control.with_beside(record.clone()) } else { control.clone() },
        principal: identity.principal,
        means: api.means.clone(),
        policies: api.guard.policies.clone(),
        operation: target.operation().to_owned(),
        input,
    };
    let output = allowed(api, &target, &call).await;
    api.guard.audit.done(&control, &record, output.as_ref().err()).await;
    Ok((target, output?))
}

/// Runs what the caller may do.
async fn allowed(api: &Api, target: &Target, call: &Call) -> Result<Output, ApiError> {
    let extension = matches!(target, Target::Extension(_));
    api.guard.policies.check(call, extension).await?;
    if extension { Ok(extensions::run(api, call).await?.into()) } else { operations::run(call).await }
}

/// An answer in plain text, which nobody keeps and no browser takes for anything else.
pub fn plain(status: u16, text: &str) -> Response<Body> {
    let mut response = Response::new(Body::Full(Bytes::copy_from_slice(text.as_bytes())));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn not_allowed(methods: &'static str) -> Response<Body> {
    let mut response = plain(405, "another method is needed here");
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(methods));
    response
}
