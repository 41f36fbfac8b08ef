//! What the template tells a function, read and checked before the first event.

use anyhow::bail;

/// The variables that a function can be told.
pub mod names {
    /// The table.
    pub const TABLE: &str = "PENSTOCK_TABLE";
    /// The stack's own bus.
    pub const BUS: &str = "PENSTOCK_BUS";
    /// The `source` of events.
    pub const EVENT_SOURCE: &str = "PENSTOCK_EVENT_SOURCE";
    /// The account, 12 digits.
    pub const ACCOUNT: &str = "PENSTOCK_ACCOUNT_ID";
    /// The `action-execution` state machine.
    pub const STATE_MACHINE: &str = "PENSTOCK_STATE_MACHINE_ARN";
    /// The artifact bucket of the stack.
    pub const ARTIFACT_BUCKET: &str = "PENSTOCK_ARTIFACT_BUCKET";
    /// The role from which the roles of pipelines and actions are assumed.
    pub const SERVICE_ROLE: &str = "PENSTOCK_SERVICE_ROLE_ARN";
    /// Where approval links lead: the base, without a path.
    pub const APPROVAL_URL: &str = "PENSTOCK_APPROVAL_URL";
    /// The KMS keys of approval links, comma-separated; new links are signed with the first.
    pub const LINK_KEYS: &str = "PENSTOCK_LINK_KEYS";
    /// The KMS key that seals the secrets of declarations.
    pub const SECRET_KEY: &str = "PENSTOCK_SECRET_KEY";
    /// The object with the policies that say who may do what, as `BUCKET/KEY`.
    pub const POLICY_OBJECT: &str = "PENSTOCK_POLICY_OBJECT";
    /// The function that rules of sources invoke.
    pub const TRIGGER_INTAKE: &str = "PENSTOCK_TRIGGER_INTAKE_ARN";
    /// The queue of what could not be handed on.
    pub const DEAD_LETTERS: &str = "PENSTOCK_DEAD_LETTERS_ARN";
    /// Where webhooks are served: the base, without a path.
    pub const WEBHOOK_URL: &str = "PENSTOCK_WEBHOOK_URL";
    /// The stack's name: rules and secrets begin with it.
    pub const STACK: &str = "PENSTOCK_STACK";
    /// `ministack` where the stack runs in that emulator, which does not say who called; else absent.
    pub const EMULATOR: &str = "PENSTOCK_EMULATOR";
    /// The region; Lambda itself sets it.
    pub const REGION: &str = "AWS_REGION";
}

/// What every function needs.
pub const COMMON: &[&str] =
    &[names::TABLE, names::BUS, names::EVENT_SOURCE, names::ACCOUNT, names::STATE_MACHINE, names::STACK];

/// How many characters a stack's name has at most: the names of its roles, which begin with it, end at 64.
const MAX_STACK: usize = 32;

/// The variables of one function, all that it needs among them.
#[derive(Clone, Debug, Default)]
pub struct Environment(std::collections::BTreeMap<&'static str, String>);

impl Environment {
    /// Reads what a function needs, and what it may be told.
    ///
    /// # Errors
    /// Every variable that is missing, empty or malformed, in one message.
    pub fn read(
        needed: &[&'static str],
        optional: &[&'static str],
        get: impl Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Self> {
        let mut values = std::collections::BTreeMap::new();
        let mut faults = Vec::new();
        let needed: Vec<_> = COMMON.iter().chain(&[names::REGION]).chain(needed).copied().collect();
        for name in &needed {
            match get(name).filter(|value| !value.is_empty()) {
                Some(value) => {
                    values.insert(*name, value);
                }
                None => faults.push(format!("{name} is not set")),
            }
        }
        for name in optional {
            if let Some(value) = get(name).filter(|value| !value.is_empty()) {
                values.insert(*name, value);
            }
        }
        if let Some(account) = values.get(names::ACCOUNT)
            && !(account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit()))
        {
            faults.push(format!("{} is {account}; it must be 12 digits", names::ACCOUNT));
        }
        if let Some(source) = values.get(names::EVENT_SOURCE)
            && source.starts_with("aws.")
        {
            faults.push(format!("{} is {source}; only AWS may use aws.*", names::EVENT_SOURCE));
        }
        if let Some(stack) = values.get(names::STACK).filter(|stack| stack.chars().count() > MAX_STACK) {
            faults.push(format!("the stack's name, {stack}, must have at most {MAX_STACK} characters: deploy it anew"));
        }
        if faults.is_empty() {
            Ok(Self(values))
        } else {
            bail!("the environment is not complete: {}", faults.join("; "))
        }
    }

    /// A variable that was asked for as needed.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// A variable that may be absent.
    pub fn find(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(name: &str) -> Option<String> {
        match name {
            names::ACCOUNT => Some("123456789012".into()),
            names::EVENT_SOURCE => Some("penstock.codepipeline".into()),
            names::APPROVAL_URL => None,
            other => Some(format!("a {other}")),
        }
    }

    #[test]
    fn every_fault_is_told_at_once() {
        let get = |name: &str| match name {
            names::TABLE => None,
            names::BUS => Some(String::new()),
            names::ACCOUNT => Some("12".into()),
            names::EVENT_SOURCE => Some("aws.codepipeline".into()),
            names::STACK => Some("s".repeat(33)),
            other => all(other),
        };
        let error = Environment::read(&[names::APPROVAL_URL], &[], get).expect_err("faults").to_string();
        for part in [
            "PENSTOCK_TABLE is not set",
            "PENSTOCK_BUS is not set",
            "PENSTOCK_APPROVAL_URL is not set",
            "PENSTOCK_ACCOUNT_ID is 12; it must be 12 digits",
            "only AWS may use aws.*",
            "must have at most 32 characters",
        ] {
            assert!(error.contains(part), "{part} in: {error}");
        }
    }

    #[test]
    fn what_may_be_absent_is_none() {
        let environment = Environment::read(&[], &[names::APPROVAL_URL, names::EMULATOR], all).expect("complete");
        assert_eq!(environment.find(names::APPROVAL_URL), None);
        assert_eq!(environment.find(names::EMULATOR), Some("a PENSTOCK_EMULATOR"));
        assert_eq!(environment.get(names::ACCOUNT), "123456789012");
    }
}
