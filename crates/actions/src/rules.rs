//! Rules that call nobody: DeploymentWindow and VariableCheck.

use async_trait::async_trait;
use control::ports::{ActionReply, ActionRequest};
use engine::{Outcome, Started};
use model::Timestamp;

use crate::fault::Fault;
use crate::registry::Provider;
use crate::runner::{Guarantee, ProviderParts, ended};
use crate::variable_check::Check;
use model::deployment_window::{Verdict, Window};

/// The VariableCheck rule.
pub(crate) struct VariableCheck;

#[async_trait]
impl Provider for VariableCheck {
    fn guarantee(&self) -> Guarantee {
        Guarantee::Token
    }

    async fn start(&self, _parts: &ProviderParts, request: &ActionRequest) -> Result<ActionReply, Fault> {
        let check = Check::parse(&request.declaration.configuration);
        let check = check.map_err(|error| Fault::configuration(error.to_string()))?;
        let summary = check.summary();
        if !check.holds() {
            return Err(Fault::job(summary));
        }
        Ok(ended(Outcome { summary: Some(summary), ..Outcome::default() }))
    }
}

/// The DeploymentWindow rule: it waits until its window is open.
pub(crate) struct DeploymentWindow;

#[async_trait]
impl Provider for DeploymentWindow {
    fn guarantee(&self) -> Guarantee {
        Guarantee::Token
    }

    async fn start(&self, parts: &ProviderParts, request: &ActionRequest) -> Result<ActionReply, Fault> {
        await_window(request, parts.clock.now())
    }
}

fn await_window(request: &ActionRequest, now: Timestamp) -> Result<ActionReply, Fault> {
    let window = Window::parse(&request.declaration.configuration);
    let window = window.map_err(|error| Fault::configuration(error.to_string()))?;
    match window.judge(now) {
        Verdict::Open => Ok(ended(Outcome { summary: Some("the window is open".into()), ..Outcome::default() })),
        Verdict::Never => Err(Fault::job("the window never opens again")),
        Verdict::OpensAt(at) => {
            let started = Started {
                // It waits for the time alone; with an id it is asked about like any other action.
                external_id: Some(request.action.id.to_string()),
                summary: Some(format!("the window opens at {}", at.to_iso_seconds())),
                ..Started::default()
            };
            Ok(ActionReply::Pending { started, poll_at: Some(at) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn a_window_is_waited_for() {
        let request = testing::request("Rule", "DeploymentWindow", &[("Cron", "0 0 9 * * ? *")]);
        let morning = testing::time("2026-11-24T08:00:00Z");
        let Ok(ActionReply::Pending { started, poll_at }) = await_window(&request, morning) else { panic!() };
        assert_eq!(poll_at, Some(testing::time("2026-11-24T09:00:00Z")));
        assert_eq!(started.summary.as_deref(), Some("the window opens at 2026-11-24T09:00:00Z"));
        let Ok(ActionReply::Ended(outcome)) = await_window(&request, poll_at.unwrap()) else { panic!() };
        assert_eq!(outcome.error, None);
    }

    #[test]
    fn a_window_that_cannot_be_read_is_a_configuration_error() {
        let request = testing::request("Rule", "DeploymentWindow", &[("Cron", "sometimes")]);
        let Err(Fault::Ends { code, .. }) = await_window(&request, Timestamp(0)) else { panic!() };
        assert_eq!(code, "ConfigurationError");
    }
}
