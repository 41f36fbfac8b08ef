//! PutWebhook, ListWebhooks, DeleteWebhook, and what there is of registration with GitHub.

use model::{ActionName, PipelineName, StringMap, Timestamp};

use super::{Authentication, FilterRule, Hook, HookKind, Webhook, filters, verify};
use crate::control::{Control, ControlError};
use crate::ports::{Condition, PortError, Query, Write};
use crate::stored::{decode, encode};

/// The most webhooks of a region (limits).
pub const MAX_WEBHOOKS: usize = 300;
/// What stands for a secret that is kept.
const MASK: &str = "****";

/// A webhook to make or change. It has no `Debug`: it may hold a secret.
#[derive(Clone)]
pub struct NewWebhook {
    /// Its name.
    pub name: String,
    /// The pipeline that it starts.
    pub target_pipeline: PipelineName,
    /// The source action that it starts it for.
    pub target_action: ActionName,
    /// All of them must hold.
    pub filters: Vec<FilterRule>,
    /// `GITHUB_HMAC`, `IP` or `UNAUTHENTICATED`.
    pub authentication: String,
    /// `SecretToken`.
    pub secret_token: Option<String>,
    /// `AllowedIPRange`.
    pub allowed_ip_range: Option<String>,
    /// Tags; none leaves those that are there.
    pub tags: Option<StringMap>,
}

/// Why a webhook was not made or found.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// `InvalidWebhookAuthenticationParametersException`.
    #[error("{0}")]
    Authentication(String),
    /// `InvalidWebhookFilterPatternException`.
    #[error("{0}")]
    Filter(String),
    /// `PipelineNotFoundException`.
    #[error("the pipeline {0} does not exist")]
    PipelineNotFound(PipelineName),
    /// `ValidationException`.
    #[error("{0}")]
    Invalid(String),
    /// `LimitExceededException`.
    #[error("there are {MAX_WEBHOOKS} webhooks, which is the most: delete one first")]
    LimitExceeded,
    /// `ConcurrentModificationException`.
    #[error("the webhook was changed at the same time; try again")]
    Concurrent,
    /// `WebhookNotFoundException`.
    #[error("there is no webhook {0}")]
    NotFound(String),
    /// As elsewhere.
    #[error(transparent)]
    Control(#[from] ControlError),
}

impl From<PortError> for WebhookError {
    fn from(error: PortError) -> Self {
        Self::Control(error.into())
    }
}

impl Control {
    /// A webhook's ARN.
    pub fn webhook_arn(&self, name: &str) -> String {
        let place = self.place();
        format!("arn:aws:codepipeline:{}:{}:webhook:{name}", place.region, place.account)
    }

    /// Where deliveries of a hook are taken.
    ///
    /// # Errors
    /// This host serves no webhooks.
    pub fn hook_url(&self, hook: &str) -> Result<String, PortError> {
        let base = self.detection().webhook_url.get();
        let base = base.ok_or_else(|| PortError::Unavailable("the address where webhooks are served".into()))?;
        Ok(format!("{}/webhooks/{hook}", base.trim_end_matches('/')))
    }

    /// A webhook, by name.
    pub async fn webhook(&self, name: &str) -> Result<Option<Webhook>, ControlError> {
        Ok(self.stored_webhook(name).await?.map(|(webhook, _)| webhook))
    }

    async fn stored_webhook(&self, name: &str) -> Result<Option<(Webhook, u64)>, ControlError> {
        let key = self.place().webhook(name);
        let found = self.table().get(&key).await?;
        Ok(found.map(|stored| Ok::<_, PortError>((decode(&stored.body, name)?, stored.revision))).transpose()?)
    }

    /// PutWebhook: makes a webhook, or changes the one of this name, which keeps its URL.
    ///
    /// # Errors
    /// What is given cannot be, there is no such pipeline or action, or there are too many.
    pub async fn put_webhook(&self, new: NewWebhook) -> Result<Webhook, WebhookError> {
        let known = self.stored_webhook(&new.name).await?;
        let authentication = authentication(&new, known.as_ref().map(|(webhook, _)| webhook))?;
        let fresh = Webhook {
            name: new.name,
            hook: known.as_ref().map_or_else(|| self.random_hex(), |(webhook, _)| webhook.hook.clone()),
            target_pipeline: new.target_pipeline,
            target_action: new.target_action,
            filters: new.filters,
            authentication,
            registration_asked: known.as_ref().is_some_and(|(known, _)| known.registration_asked),
            created_at: known.as_ref().map_or_else(|| self.now(), |(known, _)| known.created_at),
        };
        self.check_target(&fresh).await?;
        if known.is_none() && self.list_webhooks(None, MAX_WEBHOOKS).await?.0.len() >= MAX_WEBHOOKS {
            return Err(WebhookError::LimitExceeded);
        }
        let secret = new.secret_token.filter(|secret| secret != MASK);
        match (&fresh.authentication, secret) {
            (Authentication::GithubHmac, Some(secret)) => self.vault()?.put(&fresh.secret(), &secret).await?,
            (Authentication::GithubHmac, None) => {}
            (Authentication::Ip(_) | Authentication::Unauthenticated, _) => {
                if let Ok(vault) = self.vault() {
                    vault.delete(&fresh.secret()).await?;
                }
            }
        }
        // A webhook that is made has an item of tags, also when it has none.
        let tags = new.tags.or_else(|| known.is_none().then(StringMap::new));
        let tags = tags.map(|tags| self.new_webhook_tags(&fresh.name, &tags)).transpose()?;
        self.write_webhook(&fresh, known.map(|(_, revision)| revision), tags).await?;
        Ok(fresh)
    }

    async fn write_webhook(
        &self,
        webhook: &Webhook,
        known: Option<u64>,
        tags: Option<Write>,
    ) -> Result<(), WebhookError> {
        let place = self.place();
        let hook = Hook { region: place.region.clone(), kind: HookKind::Webhook(webhook.name.clone()) };
        let condition = known.map_or(Condition::Absent, Condition::Revision);
        let key = place.webhook(&webhook.name);
        let mut writes = vec![
            Write::Put { key, revision: known.unwrap_or(0) + 1, body: encode(webhook)?, condition },
            Write::Put {
                key: place.hook(&webhook.hook),
                revision: 1,
                body: encode(&hook)?,
                condition: Condition::Always,
            },
        ];
        writes.extend(tags);
        match self.asked(writes).await {
            Err(PortError::Conflict) => Err(WebhookError::Concurrent),
            written => Ok(written?),
        }
    }

    async fn check_target(&self, webhook: &Webhook) -> Result<(), WebhookError> {
        let pipeline = &webhook.target_pipeline;
        if self.name_item(pipeline).await?.is_none() {
            return Err(WebhookError::PipelineNotFound(pipeline.clone()));
        }
        let Some((_, action)) = self.target(webhook).await? else {
            let action = &webhook.target_action;
            return Err(WebhookError::Invalid(format!("the pipeline {pipeline} has no source action {action}")));
        };
        let is_secret = |key: &str| model::action_types::is_secret_key(&action.action_type_id, key);
        for rule in &webhook.filters {
            filters::check(rule, &action.configuration, is_secret).map_err(WebhookError::Filter)?;
        }
        Ok(())
    }

    /// A page of webhooks by name, behind `after`, each with when it last started something; and whether there are more.
    pub async fn list_webhooks(
        &self,
        after: Option<String>,
        limit: usize,
    ) -> Result<(Vec<(Webhook, Option<Timestamp>)>, bool), ControlError> {
        let pk = self.place().webhook("").pk;
        let query = Query { pk, prefix: String::new(), after, limit, backward: false };
        let page = self.table().query(&query).await?;
        let mut webhooks = Vec::with_capacity(page.items.len());
        for (key, stored) in page.items {
            let time = self.table().get(&self.place().webhook_time(&key.sk)).await?;
            let time = time.map(|time| decode(&time.body, "the time of a webhook")).transpose()?;
            webhooks.push((decode(&stored.body, &key.sk)?, time));
        }
        Ok((webhooks, page.more))
    }

    /// DeleteWebhook: its URL answers no more. Deleting one that is not there is no error.
    ///
    /// # Errors
    /// It is being changed at the same time, or a port failed.
    pub async fn delete_webhook(&self, name: &str) -> Result<(), WebhookError> {
        let Some((webhook, revision)) = self.stored_webhook(name).await? else {
            return Ok(self.table().flush().await?);
        };
        let place = self.place();
        let writes = vec![
            Write::Delete { key: place.webhook(name), condition: Condition::Revision(revision) },
            Write::Delete { key: place.hook(&webhook.hook), condition: Condition::Always },
            Write::Delete { key: place.webhook_time(name), condition: Condition::Always },
            self.delete_webhook_tags(name),
        ];
        match self.asked(writes).await {
            Err(PortError::Conflict) => return Err(WebhookError::Concurrent),
            written => written?,
        }
        if let Ok(vault) = self.vault() {
            vault.delete(&webhook.secret()).await?;
        }
        Ok(())
    }

    /// RegisterWebhookWithThirdParty and its reverse. No OAuth token of an action is kept, so that nobody can register it
    /// but a person: the webhook says so where it is listed (`errorMessage`).
    ///
    /// # Errors
    /// There is no such webhook, or its target is no GitHub action.
    pub async fn ask_registration(&self, name: &str, asked: bool) -> Result<(), WebhookError> {
        let known = self.stored_webhook(name).await?;
        let (webhook, revision) = known.ok_or_else(|| WebhookError::NotFound(name.to_owned()))?;
        let is_github = |action: &model::Action| action.action_type_id.provider == "GitHub";
        let target = self.target(&webhook).await?;
        if asked && !target.is_some_and(|(_, action)| is_github(&action)) {
            let message =
                format!("only webhooks of GitHub source actions can be registered; {name} has another target");
            return Err(WebhookError::Invalid(message));
        }
        if webhook.registration_asked == asked {
            return Ok(());
        }
        self.write_webhook(&Webhook { registration_asked: asked, ..webhook }, Some(revision), None).await
    }
}

/// What the parameters of authentication come to.
fn authentication(new: &NewWebhook, known: Option<&Webhook>) -> Result<Authentication, WebhookError> {
    let fail = |message: &str| Err(WebhookError::Authentication(message.to_owned()));
    let is_kept = known.is_some_and(|known| known.authentication == Authentication::GithubHmac);
    match (new.authentication.as_str(), new.secret_token.as_deref(), new.allowed_ip_range.as_deref()) {
        ("GITHUB_HMAC", Some(MASK), None) if !is_kept => {
            fail("SecretToken \"****\" keeps a secret, and there is none to keep: give the secret itself")
        }
        ("GITHUB_HMAC", Some(_), None) => Ok(Authentication::GithubHmac),
        ("GITHUB_HMAC", None, _) => fail("GITHUB_HMAC needs a SecretToken in authenticationConfiguration"),
        ("GITHUB_HMAC", Some(_), Some(_)) => fail("GITHUB_HMAC takes no AllowedIPRange"),
        ("IP", None, Some(range)) => match verify::parse_range(range) {
            Some(_) => Ok(Authentication::Ip(range.to_owned())),
            None => fail("AllowedIPRange must be a range of addresses in CIDR notation, as 192.0.2.0/24"),
        },
        ("IP", _, None) => fail("IP needs an AllowedIPRange in authenticationConfiguration"),
        ("IP", Some(_), Some(_)) => fail("IP takes no SecretToken"),
        ("UNAUTHENTICATED", None, None) => Ok(Authentication::Unauthenticated),
        ("UNAUTHENTICATED", ..) => fail("UNAUTHENTICATED takes neither SecretToken nor AllowedIPRange"),
        _ => fail("authentication must be GITHUB_HMAC, IP or UNAUTHENTICATED"),
    }
}
