//! Runs actions and rules on AWS: finds the provider, keeps its start guarantee, and turns what went wrong into outcomes.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use control::ports::{ActionReply, ActionRequest, ActionRunner, Clock};
use engine::{ActionKey, Outcome, Started};

use crate::fault::{Fault, code};
use crate::inputs;
use crate::polling;
use crate::ports::{ApprovalLinks, ConnectionTokens, Jobs, PipelineStarter};
use crate::registry::{self, Provider};
use crate::roles::Roles;
use crate::web::Web;

/// What keeps work from being started twice when nobody knows whether it was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guarantee {
    /// The start bears a token, or is the same however often it is done: it is repeated.
    Token,
    /// Work that was started is found again: it is looked for first.
    Lookup,
    /// Neither: the action fails with `StartOutcomeUnknown`, and only a person retries it.
    AtMostOnce,
}

/// What providers run on.
pub struct ProviderParts {
    /// Under which role calls are made.
    pub roles: Arc<dyn Roles>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Connections to git hosts.
    pub connections: Arc<dyn ConnectionTokens>,
    /// Links of approvals.
    pub approvals: Arc<dyn ApprovalLinks>,
    /// This control plane's pipelines.
    pub pipelines: Arc<dyn PipelineStarter>,
    /// What functions answered to their jobs.
    pub jobs: Arc<dyn Jobs>,
    /// HTTP to git hosts: [`Web::new`].
    pub web: Web,
}

/// Waits between attempts of a start that did nothing, or may be repeated.
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(9)];

/// Does what may be refused for now, and again after each pause as long as nothing was done.
pub(crate) async fn insist<T, F>(call: impl Fn() -> F) -> Result<T, Fault>
where
    F: Future<Output = Result<T, Fault>>,
{
    for pause in PAUSES {
        match call().await {
            Err(Fault::Later(message)) => tracing::warn!(message, "refused for now"),
            done => return done,
        }
        tokio::time::sleep(pause).await;
    }
    call().await
}

/// Runs actions and rules on AWS.
pub struct ProviderRunner {
    parts: ProviderParts,
    pauses: Vec<Duration>,
}

impl ProviderRunner {
    /// With what its host gives it.
    pub fn new(parts: ProviderParts) -> Self {
        Self { parts, pauses: PAUSES.to_vec() }
    }

    /// One that does not wait between attempts.
    #[cfg(test)]
    pub(crate) fn impatient(parts: ProviderParts) -> Self {
        Self { parts, pauses: vec![Duration::ZERO] }
    }

    async fn begin(&self, provider: &dyn Provider, request: &ActionRequest, again: bool) -> ActionReply {
        let guarantee = provider.guarantee();
        if again && guarantee == Guarantee::AtMostOnce {
            return ended(unknown_start(request, "its driver died after the start began"));
        }
        let mut again = again;
        let mut pauses = self.pauses.iter();
        loop {
            let fault = match self.attempt(provider, request, again).await {
                Ok(reply) => return reply,
                Err(fault) => fault,
            };
            match (guarantee, &fault) {
                (_, Fault::Ends { .. }) => return ended(fault.outcome()),
                (Guarantee::AtMostOnce, Fault::Unknown(message)) => return ended(unknown_start(request, message)),
                (_, Fault::Later(_)) | (Guarantee::Token | Guarantee::Lookup, Fault::Unknown(_)) => {}
            }
            // What may have been started is looked for.
            again |= matches!(fault, Fault::Unknown(_));
            match pauses.next() {
                Some(pause) => tokio::time::sleep(*pause).await,
                None if guarantee == Guarantee::AtMostOnce => return ended(fault.outcome()),
                None => return self.not_yet(request, fault),
            }
        }
    }

    async fn attempt(
        &self,
        provider: &dyn Provider,
        request: &ActionRequest,
        again: bool,
    ) -> Result<ActionReply, Fault> {
        let near = inputs::near(request);
        if again
            && provider.guarantee() == Guarantee::Lookup
            && let Some(found) = provider.find(&self.parts, &near).await?
        {
            return Ok(found);
        }
        // Nothing was started yet, whatever became of a copy.
        inputs::bring(&self.parts, request).await.map_err(Fault::harmless)?;
        provider.start(&self.parts, &near).await
    }

    /// A start that is to be tried again: until then the action execution's own id stands for the work's.
    fn not_yet(&self, request: &ActionRequest, fault: Fault) -> ActionReply {
        let message = fault.outcome().error.map(|error| error.message).unwrap_or_default();
        let started = Started {
            external_id: Some(request.action.id.to_string()),
            summary: Some(format!("not started yet: {message}")),
            ..Started::default()
        };
        ActionReply::Pending { started, poll_at: Some(self.next(request)) }
    }

    fn next(&self, request: &ActionRequest) -> model::Timestamp {
        polling::next(polling::began(&request.action), self.parts.clock.now())
    }

    async fn ask(&self, provider: &dyn Provider, request: &ActionRequest) -> ActionReply {
        match provider.poll(&self.parts, &inputs::near(request)).await {
            Ok(reply) => reply,
            Err(fault @ Fault::Ends { .. }) => ended(fault.outcome()),
            Err(Fault::Later(message) | Fault::Unknown(message)) => {
                tracing::warn!(action = %request.action.id, message, "no news of an action");
                ActionReply::Pending { started: Started::default(), poll_at: Some(self.next(request)) }
            }
        }
    }

    async fn run(&self, request: &ActionRequest, again: bool) -> ActionReply {
        let action_type = &request.declaration.action_type_id;
        let Some(provider) = registry::provider(action_type) else {
            return ended(Outcome::failed(code::CONFIGURATION, registry::unsupported(action_type)));
        };
        if is_started(provider, request) {
            self.ask(provider, request).await
        } else {
            self.begin(provider, request, again).await
        }
    }
}

/// Whether the work was started for sure.
fn is_started(provider: &dyn Provider, request: &ActionRequest) -> bool {
    let Some(id) = &request.external_id else { return false };
    // See `not_yet`.
    provider.guarantee() == Guarantee::AtMostOnce || *id != request.action.id.to_string()
}

fn unknown_start(request: &ActionRequest, why: &str) -> Outcome {
    let message = format!(
        "nobody knows whether {} was started: {why}. It is not started again by itself; look there, then retry the stage",
        request.declaration.action_type_id.provider
    );
    Outcome::failed(code::UNKNOWN_START, message)
}

pub(crate) fn ended(outcome: Outcome) -> ActionReply {
    ActionReply::Ended(Box::new(outcome))
}

#[async_trait]
impl ActionRunner for ProviderRunner {
    async fn start(&self, request: ActionRequest) -> ActionReply {
        let again = request.action.drive > 1;
        self.run(&request, again).await
    }

    async fn poll(&self, request: ActionRequest) -> ActionReply {
        self.run(&request, true).await
    }

    /// Nothing is to be ended here: who waits for an action is its driver, and work that is left goes on, as it does when
    /// CodePipeline abandons an action.
    async fn end(&self, _key: &ActionKey) {}
}

#[cfg(test)]
mod tests;
