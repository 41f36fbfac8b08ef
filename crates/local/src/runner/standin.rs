//! Which stand-in runs which action type.

use model::{ActionName, ActionTypeId, Category, Owner};

use crate::config::{LocalConfig, provider_lines};

/// What runs an action on one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StandIn {
    Source,
    CodeBuild,
    Commands,
    Invoke,
    Deploy,
    Approval,
    VariableCheck,
    DeploymentWindow,
}

/// An action type that nothing stands in for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NoStandIn {
    action_type: ActionTypeId,
}

impl StandIn {
    pub(super) fn of(action_type: &ActionTypeId) -> Result<Self, NoStandIn> {
        let none = || NoStandIn { action_type: action_type.clone() };
        if action_type.owner == Owner::Custom {
            return Err(none());
        }
        match (action_type.category, action_type.provider.as_str()) {
            (Category::Source, "S3" | "CodeCommit" | "CodeStarSourceConnection" | "GitHub") => Ok(Self::Source),
            (Category::Build | Category::Test | Category::Rule, "CodeBuild") => Ok(Self::CodeBuild),
            (Category::Compute | Category::Rule, "Commands") => Ok(Self::Commands),
            (Category::Invoke, "Lambda") | (Category::Rule, "LambdaInvoke") => Ok(Self::Invoke),
            (Category::Deploy, "S3") => Ok(Self::Deploy),
            (Category::Approval, "Manual") => Ok(Self::Approval),
            (Category::Rule, "VariableCheck") => Ok(Self::VariableCheck),
            (Category::Rule, "DeploymentWindow") => Ok(Self::DeploymentWindow),
            _ => Err(none()),
        }
    }
}

impl NoStandIn {
    /// What is missing.
    pub(super) fn what(&self, config: &LocalConfig, action: &ActionName) -> String {
        let provider = &self.action_type.provider;
        match config.providers.get(provider.as_str()) {
            None => format!("nothing stands in for {provider}, which runs `{action}` ({})", self.action_type),
            Some(endpoint) => format!(
                "`{action}` ({}) cannot be run at {endpoint}: this build has no client for {provider}",
                self.action_type
            ),
        }
    }

    /// What to add for it; nothing where it is configured already.
    pub(super) fn lines(&self, config: &LocalConfig) -> String {
        let provider = &self.action_type.provider;
        if config.providers.contains_key(provider.as_str()) { String::new() } else { provider_lines(provider.as_str()) }
    }

    pub(super) fn message(&self, config: &LocalConfig, action: &ActionName) -> String {
        let (what, lines) = (self.what(config, action), self.lines(config));
        if lines.is_empty() { what } else { config.advise(&what, &lines) }
    }
}
