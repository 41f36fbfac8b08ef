//! As an external extension of a Lambda function: registered, at work before the first invocation, ended by SHUTDOWN.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html>. Only SHUTDOWN is asked for: for an
//! extension that wants to know of invocations, each invocation waits.

use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use crate::environment::variable;
use crate::exit::Unusable;

/// Must be the file name in `/opt/extensions`.
const NAME: &str = "penstock-proxy";
const API: &str = "AWS_LAMBDA_RUNTIME_API";
/// How long registering may take: it is the same machine.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A registered extension.
pub struct Extension {
    agent: ureq::Agent,
    base: String,
    id: String,
}

impl Extension {
    /// Registers.
    ///
    /// # Errors
    /// This is no Lambda function's environment, or Lambda refuses.
    pub fn register() -> anyhow::Result<Self> {
        let host = variable(API).ok_or_else(|| {
            Unusable::new(format!(
                "--lambda-extension: {API} is not set: it is for the environment of a Lambda function"
            ))
        })?;
        let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build();
        let agent = config.new_agent();
        let base = format!("http://{host}/2020-01-01/extension");
        let request = agent.post(format!("{base}/register")).config().timeout_global(Some(TIMEOUT)).build();
        let body = json!({ "events": ["SHUTDOWN"] }).to_string();
        let mut answer =
            request.header("Lambda-Extension-Name", NAME).send(body).context("the Extensions API does not answer")?;
        let id = answer.headers().get("lambda-extension-identifier").and_then(|id| id.to_str().ok()).map(str::to_owned);
        match id {
            Some(id) if answer.status().is_success() => Ok(Self { agent, base, id }),
            _ => bail!(
                "the Extensions API refused with status {}: {}",
                answer.status(),
                answer.body_mut().read_to_string().unwrap_or_default()
            ),
        }
    }

    /// Says that everything is ready, and waits for the end. Blocks.
    ///
    /// # Errors
    /// Lambda ends the conversation otherwise.
    pub fn until_shutdown(&self) -> anyhow::Result<()> {
        loop {
            // Nothing may come for hours: the function is frozen then, and so are we.
            let request = self.agent.get(format!("{}/event/next", self.base));
            let mut answer = request.header("Lambda-Extension-Identifier", &self.id).call().context("no next event")?;
            if !answer.status().is_success() {
                bail!("the Extensions API refused with status {}", answer.status());
            }
            let event: Value = serde_json::from_str(&answer.body_mut().read_to_string()?).context("an odd event")?;
            if event["eventType"] == "SHUTDOWN" {
                return Ok(());
            }
        }
    }

    /// Says why it cannot work: Lambda shows it as the function's initialisation error.
    pub fn fail(&self, error: &anyhow::Error) {
        let request =
            self.agent.post(format!("{}/init/error", self.base)).config().timeout_global(Some(TIMEOUT)).build();
        let body = json!({ "errorMessage": format!("{error:#}"), "errorType": "Extension.Unusable", "stackTrace": [] });
        let told = request
            .header("Lambda-Extension-Identifier", &self.id)
            .header("Lambda-Extension-Function-Error-Type", "Extension.Unusable")
            .send(body.to_string());
        if let Err(error) = told {
            tracing::warn!(%error, "the Extensions API was not told");
        }
    }
}
