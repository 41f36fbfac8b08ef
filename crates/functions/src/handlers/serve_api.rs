//! `serve-api`: CodePipeline's API behind a Function URL that IAM guards.

use std::sync::Arc;

use api::approval::{Approvals, ControlDesk, LinkKeys};
use api::extensions::Logs;
use api::guard::Guard;
use api::hosts::Hosts;
use api::means::{ArtifactCredentials, Means};
use api::regions::OneRegion;
use api::sigv4::{Credential, Credentials, Identity, Verifier};
use api::{Api, ApiError, handle};
use async_trait::async_trait;
use aws::KmsLinkKeys;
use aws_config::SdkConfig;
use control::handoff::Sender;
use control::hexadecimal::hex;
use control::system::SystemClock;
use engine::LogLocation;
use http::header;
use serde_json::Value;

use crate::environment::{Environment, names};
use crate::errors::FunctionError;
use crate::policies::StackPolicies;
use crate::providers::{self, JobCredentials};
use crate::run::{Handler, Invocation};
use crate::url::{UrlEvent, is_url_event, response};
use crate::{handoffs, plane};

/// The API.
pub struct ServeApi {
    /// The control plane.
    pub sender: Sender,
    /// Everything that answers.
    pub api: Api,
    /// Who may do what: what `api` shares is renewed here.
    pub policies: StackPolicies,
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

/// What the API of a stack is made of.
pub struct Parts {
    /// The control plane.
    pub sender: Sender,
    /// What signs approval links, and what page tokens are signed with comes from.
    pub keys: Arc<dyn LinkKeys>,
    /// Lets job workers reach artifacts.
    pub artifact_credentials: Arc<dyn ArtifactCredentials>,
    /// Who may do what.
    pub policies: StackPolicies,
    /// Where approval links lead.
    pub approval_url: String,
    /// As [`ServeApi::emulated`].
    pub emulated: bool,
}

impl ServeApi {
    /// The API of a stack.
    ///
    /// # Errors
    /// As [`ServeApi::open`].
    pub async fn new(environment: &Environment, config: &SdkConfig) -> Result<Self, FunctionError> {
        Self::open(Parts {
            sender: plane::sender(environment, config),
            keys: Arc::new(KmsLinkKeys::from_config(config, environment.get(names::LINK_KEYS))),
            artifact_credentials: Arc::new(JobCredentials(Arc::new(providers::roles(environment, config)))),
            policies: StackPolicies::from_environment(environment, config),
            approval_url: environment.get(names::APPROVAL_URL).to_owned(),
            emulated: environment.find(names::EMULATOR) == Some("ministack"),
        })
        .await
    }

    /// The API over its parts.
    ///
    /// # Errors
    /// The key that signs page tokens cannot be derived, or the policies cannot be read or are not right: a stack that has
    /// some serves nobody without them.
    pub async fn open(parts: Parts) -> Result<Self, FunctionError> {
        let Parts { sender, keys, artifact_credentials, policies, approval_url, emulated } = parts;
        let regions = Arc::new(OneRegion(sender.control.clone()));
        let page_token_key = keys
            .mac(keys.current(), b"the key of page tokens")
            .await
            .ok_or_else(|| FunctionError::Unavailable(format!("the key {} of {}", keys.current(), names::LINK_KEYS)))?;
        let in_force = policies.current().await?.clone();
        let api = Api {
            means: Arc::new(Means { starts_created: true, artifact_credentials, ..Means::new(hex(&page_token_key)) }),
            guard: Guard { policies: in_force, ..Guard::default() },
            regions: regions.clone(),
            verifier: Verifier::new(Arc::new(NoCredentials), api::handle::SERVICE),
            approvals: Approvals::new(Arc::new(ControlDesk(regions)), keys),
            base_url: approval_url.trim_end_matches('/').to_owned(),
            logs: Arc::new(LogsElsewhere),
            events: None,
            hosts: Hosts::any(),
            clock: Arc::new(SystemClock),
        };
        Ok(Self { sender, api, policies, emulated })
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
        self.policies.current().await?;
        let answer = handle(&self.api, request, event.peer()).await;
        // What waits in memory may never be written: nobody knows whether another event comes.
        self.api.guard.audit.flush().await;
        handoffs::send_rest(&self.sender).await;
        Ok(response(answer).await)
    }
}
