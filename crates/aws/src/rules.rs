//! Rules of source resources on the account's default bus: AWS's own events come there, and nobody can forge them.

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::error::ProvideErrorMetadata as _;
use aws_sdk_eventbridge::types::{DeadLetterConfig, RetryPolicy, Target};
use control::ports::PortError;
use control::sources::{Rule, SourceRules};

use crate::failure::port_error;

/// What is not there.
const GONE: &str = "ResourceNotFoundException";
/// The one target of a rule.
const TARGET: &str = "trigger-intake";
/// How long a change is told again that could not be delivered, in seconds.
const MAX_AGE_SECONDS: i32 = 24 * 60 * 60;

/// Rules that invoke the trigger intake.
#[derive(Clone, Debug)]
pub struct EventBridgeRules {
    client: Client,
    target: String,
    dead_letters: Option<String>,
}

impl EventBridgeRules {
    /// Rules whose target is the function of this ARN; what cannot be delivered goes to a queue.
    pub fn from_config(config: &SdkConfig, target: &str, dead_letters: Option<&str>) -> Self {
        Self { client: Client::new(config), target: target.into(), dead_letters: dead_letters.map(str::to_owned) }
    }

    fn target(&self) -> Result<Target, PortError> {
        let letters = self.dead_letters.clone().map(|arn| DeadLetterConfig::builder().arn(arn).build());
        let retries = RetryPolicy::builder().maximum_event_age_in_seconds(MAX_AGE_SECONDS).build();
        let target = Target::builder().id(TARGET).arn(&self.target).retry_policy(retries);
        target
            .set_dead_letter_config(letters)
            .build()
            .map_err(|error| PortError::Invalid(format!("a rule's target cannot be made ({error})")))
    }
}

#[async_trait]
impl SourceRules for EventBridgeRules {
    async fn ensure(&self, rule: &Rule) -> Result<(), PortError> {
        let put = self.client.put_rule().name(&rule.name).event_pattern(rule.pattern.to_string());
        put.description(&rule.description).send().await.map_err(|error| port_error("EventBridge", &error))?;
        let put = self.client.put_targets().rule(&rule.name).targets(self.target()?);
        let answer = put.send().await.map_err(|error| port_error("EventBridge", &error))?;
        match answer.failed_entries().first() {
            None => Ok(()),
            Some(failed) => {
                let why = failed.error_message().or(failed.error_code()).unwrap_or("no reason given");
                Err(PortError::Unavailable(format!("the target of the rule {} ({why})", rule.name)))
            }
        }
    }

    async fn remove(&self, name: &str) -> Result<(), PortError> {
        if let Err(error) = self.client.remove_targets().rule(name).ids(TARGET).send().await
            && error.code() != Some(GONE)
        {
            return Err(port_error("EventBridge", &error));
        }
        match self.client.delete_rule().name(name).send().await {
            Err(error) if error.code() != Some(GONE) => Err(port_error("EventBridge", &error)),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, PortError> {
        let mut names = Vec::new();
        let mut token = None;
        loop {
            let page = self.client.list_rules().name_prefix(prefix).set_next_token(token).send().await;
            let page = page.map_err(|error| port_error("EventBridge", &error))?;
            names.extend(page.rules().iter().filter_map(|rule| rule.name().map(str::to_owned)));
            token = page.next_token().map(str::to_owned);
            if token.is_none() {
                return Ok(names);
            }
        }
    }
}
