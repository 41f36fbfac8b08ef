//! One rule a source resource, made with its first user and removed with its last.

use std::collections::BTreeSet;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Resource, Rules};
use crate::control::{Control, ControlError};
use crate::hexadecimal::hex;
use crate::ports::{Condition, Key, PortError, Query, Write};
use crate::stored::{decode, encode};

/// A rule of the account's default bus that brings a source's changes to the trigger intake.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// `penstock-<stack>-<hash>`.
    pub name: String,
    /// Its event pattern.
    pub pattern: Value,
    /// What it is for, for people.
    pub description: String,
}

impl Rule {
    fn made_of(&self) -> String {
        hex(&Sha256::digest(self.pattern.to_string())[..8])
    }
}

/// Makes and removes rules.
#[async_trait]
pub trait SourceRules: Send + Sync {
    /// Makes a rule with its target, or has it be so.
    async fn ensure(&self, rule: &Rule) -> Result<(), PortError>;

    /// Removes a rule and its targets. One that is not there is no error.
    async fn remove(&self, name: &str) -> Result<(), PortError>;

    /// The names of all rules that begin with `prefix`.
    async fn list(&self, prefix: &str) -> Result<Vec<String>, PortError>;
}

/// Whether a rule is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RuleState {
    /// It is.
    Active,
    /// It is being removed: whoever wants it meanwhile makes it again.
    Removing,
}

/// A rule as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleItem {
    /// What it watches.
    pub resource: Resource,
    /// Whether it is wanted.
    pub state: RuleState,
    /// A hash of the pattern that it was made with, as far as is known.
    #[serde(default)]
    pub made_of: Option<String>,
}

/// What a reconciliation did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Rules made that were missing.
    pub made: usize,
    /// Rules removed that nobody used.
    pub removed: usize,
    /// Rules that could not be made or removed; they are tried again.
    pub failed: usize,
}

impl Reconciled {
    fn add(&mut self, one: Self) {
        self.made += one.made;
        self.removed += one.removed;
        self.failed += one.failed;
    }

    fn fail(&mut self, rule: &str, error: &ControlError) {
        tracing::error!(%error, rule, "a rule could not be brought in order; it is tried again");
        self.failed += 1;
    }
}

/// The digits of a name's hash. A rule's name has at most 64 characters, and a stack's 32.
const HASH_DIGITS: usize = 20;

impl Resource {
    /// Whether a rule brings its changes: those of connections come by webhook.
    pub fn has_rule(&self) -> bool {
        match self {
            Self::Repository { .. } => false,
            Self::Object { .. } | Self::CodeCommit { .. } | Self::Image { .. } => true,
        }
    }

    /// The event pattern of its changes (`events_samples.json`, `_inbound_rules`).
    fn pattern(&self) -> Value {
        match self {
            Self::Repository { .. } => Value::Null,
            Self::Object { bucket, key } => json!({
                "source": ["aws.s3"],
                "$or": [
                    { "detail-type": ["Object Created"],
                      "detail": { "bucket": { "name": [bucket] }, "object": { "key": [key] } } },
                    { "detail-type": ["AWS API Call via CloudTrail"],
                      "detail": { "eventSource": ["s3.amazonaws.com"],
                                  "eventName": ["CopyObject", "PutObject", "CompleteMultipartUpload"],
                                  "requestParameters": { "bucketName": [bucket], "key": [key] } } }
                ]
            }),
            Self::CodeCommit { repository } => json!({
                "source": ["aws.codecommit"],
                "detail-type": ["CodeCommit Repository State Change"],
                // By name: events of other regions and accounts may be forwarded here.
                "detail": { "repositoryName": [repository], "event": ["referenceCreated", "referenceUpdated", "referenceDeleted"],
                            "referenceType": ["branch"] }
            }),
            Self::Image { repository, tag } => json!({
                "source": ["aws.ecr"],
                "detail-type": ["ECR Image Action"],
                "detail": { "action-type": ["PUSH"], "result": ["SUCCESS"], "repository-name": [repository],
                            "image-tag": [tag] }
            }),
        }
    }

    fn description(&self) -> String {
        match self {
            Self::Repository { connection, name } => format!("Changes of {name} through {connection}"),
            Self::Object { bucket, key } => format!("Writes of s3://{bucket}/{key}"),
            Self::CodeCommit { repository } => format!("Changes of the CodeCommit repository {repository}"),
            Self::Image { repository, tag } => format!("Pushes of {repository}:{tag} to ECR"),
        }
    }
}

impl Control {
    /// The rule of a resource.
    pub(super) fn rule(&self, resource: &Resource) -> Rule {
        let place = self.place();
        let prefix = self.rule_prefix();
        let digest = hex(&Sha256::digest(format!("{}#{}", place.region, resource.text())));
        let hash = digest.get(..HASH_DIGITS).unwrap_or_default();
        // A description has at most 512 characters.
        let description: String = format!("Penstock: {}", resource.description()).chars().take(500).collect();
        Rule { name: format!("{prefix}{hash}"), pattern: resource.pattern(), description }
    }

    fn rule_prefix(&self) -> String {
        let stack = self.detection().stack.as_deref().unwrap_or_default();
        let stack: String = stack.chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).collect();
        format!("penstock-{stack}-")
    }

    /// The ARN of a resource's rule, where rules bring changes: its events do not name it.
    pub(crate) fn rule_arn(&self, resource: &Resource) -> Option<String> {
        self.detection().stack.as_ref().filter(|_| resource.has_rule())?;
        let rule = self.rule(resource);
        let place = self.place();
        Some(format!("arn:aws:events:{}:{}:rule/{}", place.region, place.account, rule.name))
    }

    /// The rules that a pipeline of these source resources needs.
    pub fn rules_for(&self, resources: &[Resource]) -> Vec<Rule> {
        if self.detection().rules.is_none() {
            return Vec::new();
        }
        let distinct: BTreeSet<_> = resources.iter().filter(|resource| resource.has_rule()).collect();
        distinct.into_iter().map(|resource| self.rule(resource)).collect()
    }

    /// Refuses rules beyond the quota.
    pub(super) async fn check_quota(&self, rules: &Rules, fresh: usize) -> Result<(), ControlError> {
        let known = self.rule_items().await?.len();
        if known + fresh > rules.quota {
            let message = format!(
                "{known} source resources have a rule, and {fresh} more would exceed the quota of {} rules: share sources \
                 between pipelines, or have the quota raised",
                rules.quota
            );
            return Err(PortError::Invalid(message).into());
        }
        Ok(())
    }

    /// Every rule as stored.
    async fn rule_items(&self) -> Result<Vec<(Key, u64, RuleItem)>, ControlError> {
        let mut items = Vec::new();
        let mut after = None;
        loop {
            let query = Query { pk: self.place().rules(), prefix: String::new(), after, limit: 300, backward: false };
            let page = self.table().query(&query).await?;
            after = page.items.last().map(|(key, _)| key.sk.clone());
            for (key, stored) in page.items {
                let item = decode(&stored.body, &key.sk)?;
                items.push((key, stored.revision, item));
            }
            if !page.more {
                return Ok(items);
            }
        }
    }

    /// Removes a resource's rule if nobody uses it. Whoever begins to use it meanwhile changes the item: then the rule
    /// stays, or is made again.
    pub(super) async fn release_rule(&self, resource: &Resource) -> Result<bool, ControlError> {
        let Some(rules) = &self.detection().rules else { return Ok(false) };
        let rule = self.rule(resource);
        let key = Key { pk: self.place().rules(), sk: rule.name.clone() };
        let Some(stored) = self.table().get(&key).await? else { return Ok(false) };
        let item: RuleItem = decode(&stored.body, &key.sk)?;
        let mut revision = stored.revision;
        if item.state == RuleState::Active {
            if !self.pointers(resource).await?.is_empty() {
                return Ok(false);
            }
            let removing = RuleItem { state: RuleState::Removing, ..item };
            let condition = Condition::Revision(revision);
            revision += 1;
            let put = Write::Put { key: key.clone(), revision, body: encode(&removing)?, condition };
            match self.write(&[put]).await {
                Err(ControlError::Port(PortError::Conflict)) => return Ok(false),
                written => written?,
            }
        }
        rules.port.remove(&rule.name).await?;
        match self.write(&[Write::Delete { key, condition: Condition::Revision(revision) }]).await {
            Ok(()) => Ok(true),
            Err(ControlError::Port(PortError::Conflict)) => {
                rules.port.ensure(&rule).await?;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Brings rules and items together: makes what is missing or was made by an older Penstock, removes what nobody uses.
    /// One rule that cannot be made or removed does not keep others. For the sweep.
    pub async fn reconcile_rules(&self) -> Result<Reconciled, ControlError> {
        let mut reconciled = Reconciled::default();
        let Some(rules) = &self.detection().rules else { return Ok(reconciled) };
        // Rules first: an item is always written before its rule is made.
        let prefix = self.rule_prefix();
        let there: BTreeSet<String> = rules.port.list(&prefix).await?.into_iter().collect();
        let items = self.rule_items().await?;
        for (key, revision, item) in &items {
            let is_there = there.contains(&key.sk);
            match self.reconcile_rule(rules, key, *revision, item, is_there).await {
                Ok(one) => reconciled.add(one),
                Err(error) => reconciled.fail(&key.sk, &error),
            }
        }
        let known: BTreeSet<&String> = items.iter().map(|(key, ..)| &key.sk).collect();
        // Another stack's name may begin with ours: its rules are its own.
        let is_ours = |name: &String| {
            let hash = name.strip_prefix(&prefix).unwrap_or_default();
            hash.len() == HASH_DIGITS && hash.bytes().all(|b| b.is_ascii_hexdigit())
        };
        for orphan in there.iter().filter(|name| is_ours(name) && !known.contains(name)) {
            match rules.port.remove(orphan).await {
                Ok(()) => reconciled.removed += 1,
                Err(error) => reconciled.fail(orphan, &error.into()),
            }
        }
        Ok(reconciled)
    }

    async fn reconcile_rule(
        &self,
        rules: &Rules,
        key: &Key,
        revision: u64,
        item: &RuleItem,
        is_there: bool,
    ) -> Result<Reconciled, ControlError> {
        let rule = self.rule(&item.resource);
        if item.state == RuleState::Removing || self.pointers(&item.resource).await?.is_empty() {
            let removed = usize::from(self.release_rule(&item.resource).await?);
            return Ok(Reconciled { removed, ..Reconciled::default() });
        }
        let made = rule.made_of();
        if is_there && item.made_of.as_ref() == Some(&made) {
            return Ok(Reconciled::default());
        }
        rules.port.ensure(&rule).await?;
        if item.made_of.as_ref() != Some(&made) {
            let body = encode(&RuleItem { made_of: Some(made), ..item.clone() })?;
            let condition = Condition::Revision(revision);
            match self.write(&[Write::Put { key: key.clone(), revision: revision + 1, body, condition }]).await {
                // Somebody uses it or leaves it meanwhile.
                Err(ControlError::Port(PortError::Conflict)) => {}
                written => written?,
            }
        }
        Ok(Reconciled { made: usize::from(!is_there), ..Reconciled::default() })
    }
}
