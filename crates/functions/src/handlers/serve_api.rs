//! `serve-api`: CodePipeline's API behind a Function URL that IAM guards.

use std::sync::Arc;

use api::approval::{Approvals, ControlDesk, LinkKeys};
use api::extensions::Logs;
use api::guard::Guard;
use api::hosts::Hosts;
use api::means::Means;
use api::regions::OneRegion;
use api::sigv4::{Credential, Credentials, Identity, Verifier};
use api::{Api, ApiError, handle};
use async_trait::async_trait;
use aws::{KmsLinkKeys, SystemClock};
use aws_config::SdkConfig;
use control::handoff::Sender;
use control::hexadecimal::hex;
use engine::LogLocation;
use http::header;
use serde_json::Value;

use crate::environment::{Environment, names};
use crate::plane;

use crate::errors::FunctionError;
use crate::run::{Handler, Invocation};
use crate::url::{UrlEvent, is_url_event, response};

/// The API.
pub struct ServeApi {
    /// The control plane.
    pub sender: Sender,
    /// Everything that answers.
    pub api: Api,
    /// Whether the stack runs in an emulator that does not say who called: then every signed call is the account's.
    pub emulated: bool,
}

/// No local keys: who calls is known from IAM.
struct NoCredentials;

impl Credentials for NoCredentials {
    fn find(&self, _: &str) -> Option<Arc<Credential>> {
        None
    }
}

/// What actions wrote lies at their providers.
struct LogsElsewhere;

#[async_trait]
impl Logs for LogsElsewhere {
    async fn read(&self, location: &LogLocation, _: u64, _: usize) -> Result<Vec<u8>, ApiError> {
        Err(ApiError::invalid(format!("The action's output lies at its provider: {}", location.location)))
    }
}

impl ServeApi {
    /// The API of a stack.
    ///
    /// # Errors
    /// The key that signs page tokens cannot be derived.
    pub async fn new(environment: &Environment, config: &SdkConfig) -> Result<Self, FunctionError> {
        let sender = plane::sender(environment, config);
        let regions = Arc::new(OneRegion(sender.control.clone()));
        let keys = KmsLinkKeys::from_config(config, environment.get(names::LINK_KEYS));
        let page_token_key = keys
            .mac(keys.current(), b"the key of page tokens")
            .await
            .ok_or_else(|| FunctionError::Unavailable(format!("the key {} of {}", keys.current(), names::LINK_KEYS)))?;
        let api = Api {
            means: Arc::new(Means { starts_created: true, ..Means::new(hex(&page_token_key)) }),
            guard: Guard::default(),
            regions: regions.clone(),
            verifier: Verifier::new(Arc::new(NoCredentials), api::handle::SERVICE),
            approvals: Approvals::new(Arc::new(ControlDesk(regions)), Arc::new(keys)),
            base_url: environment.get(names::APPROVAL_URL).trim_end_matches('/').to_owned(),
            logs: Arc::new(LogsElsewhere),
            events: None,
            hosts: Hosts::any(),
            clock: Arc::new(SystemClock),
        };
        Ok(Self { sender, api, emulated: environment.find(names::EMULATOR) == Some("ministack") })
    }

    /// Who called. An event that somebody made up and invoked the function with is refused: it could name anybody.
    fn identity(&self, event: &UrlEvent, invocation: &Invocation) -> Result<Identity, FunctionError> {
        let place = self.sender.control.place();
        let region = place.region.clone();
        if self.emulated {
            let principal = format!("arn:aws:iam::{}:root", place.account);
            return Ok(Identity { access_key: "emulated".into(), principal, region });
        }
        let made_up =
            || FunctionError::InvalidEvent("this function answers its URL only: it was invoked directly".into());
        if event.request_context.request_id != invocation.request_id {
            return Err(made_up());
        }
        let iam = event.request_context.authorizer.as_ref().and_then(|authorizer| authorizer.iam.as_ref());
        let iam = iam.ok_or_else(made_up)?;
        Ok(Identity { access_key: iam.access_key.clone(), principal: iam.user_arn.clone(), region })
    }
}

#[async_trait]
impl Handler for ServeApi {
    async fn handle(&self, event: Value, invocation: &Invocation) -> Result<Value, FunctionError> {
        if !is_url_event(&event) {
            return Err(FunctionError::InvalidEvent("this function answers its URL only".into()));
        }
        let event = UrlEvent::read(&event)?;
        let mut request = event.request()?;
        // Lambda verified the signature; what the client signed for its own sake says nothing more.
        request.headers_mut().remove(header::AUTHORIZATION);
        request.extensions_mut().insert(self.identity(&event, invocation)?);
        let answer = handle(&self.api, request, event.peer()).await;
        self.sender.flush().await?;
        Ok(response(answer).await)
    }
}
