//! Who may do what on AWS: the policies of the object that the stack names, read before the first call is answered and
//! looked at again while calls come.

use std::sync::Arc;

use api::policies::Policies;
use async_trait::async_trait;
use aws::PolicyObject;
use aws_config::SdkConfig;
use control::ports::{Clock, PortError};
use control::system::SystemClock;
use model::Timestamp;
use tokio::sync::Mutex;

use crate::environment::{Environment, names};
use crate::errors::FunctionError;

/// How long what was read is not looked at again, in milliseconds.
const LOOK_EVERY: i64 = 60_000;
/// How long policies hold that cannot be renewed, because the object is broken or not reachable: then nobody may do
/// anything until it is mended. In minutes.
const HOLD_MINUTES: u32 = 15;

/// Where the text of policies lies.
#[async_trait]
pub trait PolicyText: Send + Sync {
    /// The text and a tag that names this content; none while it is the one of the tag `known`.
    async fn read(&self, known: Option<&str>) -> Result<Option<(String, String)>, PortError>;
}

#[async_trait]
impl PolicyText for PolicyObject {
    async fn read(&self, known: Option<&str>) -> Result<Option<(String, String)>, PortError> {
        self.read(known).await
    }
}

#[derive(Default)]
struct State {
    tag: Option<String>,
    looked_at: Option<Timestamp>,
    good_at: Option<Timestamp>,
    fault: String,
}

/// The policies of a stack.
pub struct StackPolicies {
    in_force: Arc<Policies>,
    text: Option<Arc<dyn PolicyText>>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

impl StackPolicies {
    /// Those of a text; without one the account may do everything.
    pub fn new(text: Option<Arc<dyn PolicyText>>, clock: Arc<dyn Clock>) -> Self {
        Self { in_force: Arc::default(), text, clock, state: Mutex::default() }
    }

    /// Those of the object that the environment names.
    pub fn from_environment(environment: &Environment, config: &SdkConfig) -> Self {
        let object = environment.find(names::POLICY_OBJECT);
        let text = object.map(|place| -> Arc<dyn PolicyText> { Arc::new(PolicyObject::from_config(config, place)) });
        Self::new(text, Arc::new(SystemClock))
    }

    /// The policies in force, looked at again if it is time. Who shares them is told by [`Policies::replace`].
    ///
    /// # Errors
    /// There are none that may be relied on: they were never read, or could not be renewed for too long.
    pub async fn current(&self) -> Result<&Arc<Policies>, FunctionError> {
        let Some(text) = &self.text else { return Ok(&self.in_force) };
        let (now, mut state) = (self.clock.now(), self.state.lock().await);
        let is_due = |at: Timestamp| at.plus_millis(LOOK_EVERY) <= now;
        if state.good_at.is_none() || state.looked_at.is_none_or(is_due) {
            state.looked_at = Some(now);
            match self.look(&**text, state.tag.as_deref()).await {
                Ok(tag) => {
                    state.tag = tag.or(state.tag.take());
                    state.good_at = Some(now);
                }
                Err(fault) => {
                    tracing::error!(fault, "the policies cannot be renewed");
                    state.fault = fault;
                }
            }
        }
        match state.good_at {
            Some(good) if now < good.plus_minutes(HOLD_MINUTES) => Ok(&self.in_force),
            Some(_) | None => Err(FunctionError::Unavailable(format!("no policies are in force: {}", state.fault))),
        }
    }

    /// Reads and checks what changed, and puts it in force; its tag.
    async fn look(&self, text: &dyn PolicyText, known: Option<&str>) -> Result<Option<String>, String> {
        let Some((text, tag)) = text.read(known).await.map_err(|error| error.to_string())? else { return Ok(None) };
        let policies = Policies::parse(&text).map_err(|error| error.to_string())?;
        self.in_force.replace(policies);
        tracing::info!(tag, "policies are in force");
        Ok(Some(tag))
    }
}
