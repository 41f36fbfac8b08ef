//! One request here, one answer: who sent it, what the stack said, and what is said where the stack did not answer.

use std::sync::Arc;

use api::ApiError;
use api::hosts::Hosts;
use api::protocol::{self, Protocol};
use api::sigv4::{AuthError, Identity, Verifier};
use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Either, Limited};
use hyper::body::Incoming;
use model::Timestamp;
use uuid::Uuid;

use super::identities::{Found, Identities};
use super::target::Target;
use super::upstream::{Bounded, SendError, Upstream, is_of_the_api, passed_on};

/// How much of an answer that is not the API's is read.
const MAX_FOREIGN: usize = 16 * 1024;
/// How much of it is told.
const MAX_TOLD: usize = 300;

/// What is answered: our own words, or the stack's as they come.
pub type Answer = Response<Either<api::Body, Bounded>>;

/// Everything that answers requests.
pub struct Proxy {
    /// The stack.
    pub target: Target,
    /// Who signs.
    pub identities: Arc<Identities>,
    /// What sends.
    pub upstream: Upstream,
    verifier: Verifier,
    hosts: Hosts,
    any_credentials: bool,
}

impl Proxy {
    /// For a stack; `any_credentials` takes requests whoever signed them.
    pub fn new(target: Target, identities: Arc<Identities>, upstream: Upstream, any_credentials: bool) -> Self {
        let verifier = Verifier::new(identities.clone(), api::handle::SERVICE);
        Self { target, identities, upstream, verifier, hosts: Hosts::loopback(), any_credentials }
    }

    /// Answers a request.
    pub async fn answer(&self, request: Request<Bytes>) -> Answer {
        let (parts, body) = request.into_parts();
        let protocol = Protocol::of(parts.uri.path()).unwrap_or(Protocol::Json);
        match self.pass_on(protocol, &parts, body).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::info!(code = error.code, message = error.message, "a request was not passed on");
                protocol::failure(protocol, &error, &Uuid::new_v4().to_string()).map(Either::Left)
            }
        }
    }

    async fn pass_on(&self, protocol: Protocol, parts: &Parts, body: Bytes) -> Result<Answer, ApiError> {
        // A page in a browser must reach nothing here, whatever name it gave this address.
        if !self.hosts.is_ours(parts) || !self.hosts.is_own_origin(parts, false) {
            let message = "this proxy answers programs on this machine only, under the name of the loopback";
            return Err(ApiError::with_status("AccessDeniedException", 403, message));
        }
        if parts.method != Method::POST {
            return Err(ApiError::with_status("UnknownOperationException", 405, "operations are called by POST"));
        }
        protocol::target(protocol, parts)?;
        // Before anybody is judged by them.
        let found = self.identities.current().await.map_err(|error| no_credentials(&error.to_string()))?;
        self.check_sender(parts, &body, &found).await?;
        let sent = self.upstream.call(&self.target, parts.uri.path(), &parts.headers, body, &found.keys).await;
        let response = sent.map_err(|error| self.unreachable(&error))?;
        // Without a body an answer's content type is whatever Lambda puts there.
        if !response.status().is_success() && !is_of_the_api(protocol, &response) {
            return Err(self.foreign(response, &found).await);
        }
        let (head, body) = response.into_parts();
        let mut answer = Response::new(Either::Right(Bounded::new(body)));
        *answer.status_mut() = head.status;
        *answer.headers_mut() = passed_on(&head.headers);
        Ok(answer)
    }

    /// Whoever sends must hold the very keys that are signed with: other users of this machine reach this address, too.
    async fn check_sender(&self, parts: &Parts, body: &[u8], found: &Found) -> Result<(), ApiError> {
        if self.any_credentials {
            return if parts.headers.contains_key("authorization") { Ok(()) } else { Err(AuthError::Missing.into()) };
        }
        let verify = || self.verifier.verify(parts, body, Timestamp(jiff::Timestamp::now().as_millisecond()));
        let mut verified = verify();
        if verified == Err(AuthError::UnknownKey) {
            self.identities.refresh().await;
            verified = verify();
        }
        match verified {
            Ok(Identity { region, .. }) if region != self.target.region => Err(ApiError::new(
                "InvalidSignatureException",
                format!(
                    "Credential should be scoped to a valid region, not '{region}': this stack is in {}",
                    self.target.region
                ),
            )),
            Ok(_) => Ok(()),
            Err(AuthError::UnknownKey) => Err(ApiError::with_status(
                "UnrecognizedClientException",
                403,
                format!(
                    "penstock proxy signs with the access key {} and takes only what is signed with the same \
                     credentials: give both the same profile or environment, or start it with --any-credentials",
                    found.keys.access_key_id
                ),
            )),
            Err(error) => Err(error.into()),
        }
    }

    fn unreachable(&self, error: &SendError) -> ApiError {
        let message = format!("penstock proxy: {} does not answer: {error}", self.target.url);
        ApiError::with_status("ServiceUnavailable", 503, message)
    }

    /// What Lambda says itself, before or after the function, as AWS's clients read it.
    async fn foreign(&self, response: Response<Incoming>, found: &Found) -> ApiError {
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_FOREIGN).collect().await;
        let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        foreign(&self.target, status, &said(&body), &found.keys.access_key_id)
    }
}

/// What Lambda's own answers mean, and what to do.
pub fn foreign(target: &Target, status: StatusCode, said: &str, access_key: &str) -> ApiError {
    let url = &target.url;
    let (code, status, message) = match status {
        StatusCode::FORBIDDEN if said.contains("security token") => (
            "UnrecognizedClientException",
            403,
            format!(
                "AWS does not know the access key {access_key} that penstock proxy signs with, or it has ended: {said}"
            ),
        ),
        StatusCode::FORBIDDEN if said.contains("ignature") => (
            "InvalidSignatureException",
            403,
            format!("{url} refused the signature (is this machine's clock right?): {said}"),
        ),
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => (
            "AccessDeniedException",
            403,
            format!(
                "{url} refused the access key {access_key}: its principal needs lambda:InvokeFunctionUrl and \
                 lambda:InvokeFunction on the stack's function serve-api: {said}"
            ),
        ),
        StatusCode::NOT_FOUND => {
            ("ResourceNotFoundException", 404, format!("nothing is at {url}: name the stack's output ApiUrl: {said}"))
        }
        StatusCode::PAYLOAD_TOO_LARGE => {
            ("RequestEntityTooLargeException", 413, format!("the request is too large: {said}"))
        }
        StatusCode::TOO_MANY_REQUESTS => ("ThrottlingException", 429, format!("Rate exceeded: {said}")),
        status if status.is_server_error() => (
            "ServiceUnavailable",
            503,
            format!("the stack's function serve-api failed with status {status}, its log says why: {said}"),
        ),
        status => (
            "ServiceUnavailable",
            503,
            format!(
                "{url} answered with status {status}, and not as the API does: is it the stack's output ApiUrl? {said}"
            ),
        ),
    };
    ApiError::with_status(code, status, message)
}

pub fn no_credentials(why: &str) -> ApiError {
    ApiError::with_status("UnrecognizedClientException", 403, format!("penstock proxy has {why}"))
}

/// The message in an answer, or its beginning.
pub fn said(body: &[u8]) -> String {
    let value: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let message = value.as_ref().and_then(|value| value["Message"].as_str().or(value["message"].as_str()));
    let text = message.map_or_else(|| String::from_utf8_lossy(body).trim().to_owned(), str::to_owned);
    text.chars().filter(|c| !c.is_control()).take(MAX_TOLD).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::StackArgs;

    #[test]
    fn what_lambda_says_is_told_as_aws_names_it() {
        let args = StackArgs { url: Some("http://127.0.0.1:1/".into()), connect: None };
        let target = Target::find(&args, Some("r")).unwrap();
        for (status, said, code) in [
            (403, "The security token included in the request is expired", "UnrecognizedClientException"),
            (403, "Signature expired: 2026", "InvalidSignatureException"),
            (403, "Forbidden", "AccessDeniedException"),
            (404, "", "ResourceNotFoundException"),
            (413, "", "RequestEntityTooLargeException"),
            (429, "", "ThrottlingException"),
            (502, "Internal Server Error", "ServiceUnavailable"),
            (200, "<html>", "ServiceUnavailable"),
        ] {
            let error = foreign(&target, StatusCode::from_u16(status).unwrap(), said, "AKIA");
            assert_eq!(error.code, code, "{status} {said}");
            assert!(error.message.ends_with(said), "{}", error.message);
        }
    }

    #[test]
    fn a_message_is_found_and_cut() {
        assert_eq!(said(br#"{"Message":"Forbidden"}"#), "Forbidden");
        assert_eq!(said(b"a\nb"), "ab");
        assert_eq!(said(&[b'x'; 1000]).len(), MAX_TOLD);
    }
}
