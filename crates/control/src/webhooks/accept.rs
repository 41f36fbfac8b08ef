//! A delivery comes in: verified over its raw bytes, read, stored once in one commit with its work row, answered.

use std::collections::BTreeSet;
use std::net::IpAddr;

use engine::triggers::{MAX_FILES, RepositoryChange, RepositoryEvent};
use http::HeaderMap;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    Authentication, Content, DeliveryRef, Hook, HookKind, StoredDelivery, Webhook, bitbucket, filters, github, gitlab,
    verify,
};
use crate::connections::{Connection, Provider};
use crate::control::{Control, ControlError};
use crate::hexadecimal::hex;
use crate::ports::{Condition, PortError, Write};
use crate::rows::{PipelineRef, Task, WorkRow};
use crate::sources::Resource;
use crate::stored::{decode, encode};

/// The largest delivery, in bytes.
pub const MAX_WEBHOOK_BYTES: usize = 5 * 1024 * 1024;
/// The most bytes of file names that are kept of a change.
const MAX_FILE_BYTES: usize = 200 * 1024;

/// A delivery as it came.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// The hook's id: the last part of the URL.
    pub hook: &'a str,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its body, byte for byte.
    pub body: &'a [u8],
    /// The connection's address, never what a header says.
    pub peer: IpAddr,
}

/// What came of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// It is stored; a work row matches it. 200.
    Stored,
    /// It came before: nothing follows. 200.
    Repeated,
    /// It starts nothing by its kind, as a ping. 200.
    Nothing,
    /// There is no such hook. 404.
    Unknown,
    /// It is not from whom it must be. 401, without saying why.
    Forbidden,
    /// It is too large. 413.
    TooLarge,
    /// It is genuine, and no payload of its provider. 400.
    Unreadable(String),
}

impl Accepted {
    /// The HTTP status of its answer.
    pub fn status(&self) -> u16 {
        match self {
            Self::Stored | Self::Repeated | Self::Nothing => 200,
            Self::Unreadable(_) => 400,
            Self::Forbidden => 401,
            Self::Unknown => 404,
            Self::TooLarge => 413,
        }
    }

    /// What the answer says.
    pub fn text(&self) -> &str {
        match self {
            Self::Stored => "accepted",
            Self::Repeated => "accepted before",
            Self::Nothing => "nothing to do",
            Self::Unreadable(why) => why,
            Self::Forbidden => "unauthorized",
            Self::Unknown => "not found",
            Self::TooLarge => "the delivery is too large",
        }
    }
}

/// A payload that lacks what its kind has.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable(pub &'static str);

/// Whose hook it is.
enum Owner {
    Connection(Box<Connection>),
    Webhook(Box<Webhook>),
}

impl Control {
    /// Takes a delivery in, in whatever region its hook is. Filters and calls of providers come after the answer, when the
    /// work row is consumed.
    ///
    /// # Errors
    /// A port failed: the sender is to try again.
    pub async fn accept_webhook(&self, delivery: Delivery<'_>) -> Result<Accepted, ControlError> {
        if !is_hook_id(delivery.hook) {
            return Ok(Accepted::Unknown);
        }
        let key = self.place().hook(delivery.hook);
        let Some(stored) = self.table().get(&key).await? else { return Ok(Accepted::Unknown) };
        let hook: Hook = decode(&stored.body, "a hook")?;
        self.in_region(&hook.region).accept_of(&hook.kind, delivery).await
    }

    async fn accept_of(&self, kind: &HookKind, delivery: Delivery<'_>) -> Result<Accepted, ControlError> {
        let owner = match kind {
            HookKind::Connection(id) => self.connection(id).await?.map(|found| Owner::Connection(Box::new(found))),
            HookKind::Webhook(name) => self.webhook(name).await?.map(|found| Owner::Webhook(Box::new(found))),
        };
        let Some(owner) = owner else { return Ok(Accepted::Unknown) };
        if delivery.body.len() > MAX_WEBHOOK_BYTES {
            return Ok(Accepted::TooLarge);
        }
        if !self.is_genuine(&owner, delivery).await? {
            tracing::info!(hook = delivery.hook, "a webhook delivery was refused: it is not from whom it must be");
            return Ok(Accepted::Forbidden);
        }
        let body = match json_of(delivery) {
            Ok(body) => body,
            Err(why) => return Ok(Accepted::Unreadable(why.into())),
        };
        let (id, read) = match &owner {
            Owner::Connection(connection) => {
                let id = connection_delivery_id(connection, delivery);
                let read = self.changes(connection, delivery, &body, &id);
                (id, read)
            }
            Owner::Webhook(webhook) => (webhook_delivery_id(webhook, delivery), filtered(webhook, delivery, &body)),
        };
        match read {
            Ok(Some(content)) => {
                let told = changed_repositories(&content);
                let accepted = self.store_delivery(delivery.hook, id, content).await?;
                if accepted == Accepted::Repeated {
                    self.look_soon(told).await?;
                }
                Ok(accepted)
            }
            Ok(None) => Ok(Accepted::Nothing),
            Err(Unreadable(lacking)) => Ok(Accepted::Unreadable(format!("the payload has no {lacking}"))),
        }
    }

    async fn is_genuine(&self, owner: &Owner, delivery: Delivery<'_>) -> Result<bool, ControlError> {
        let (headers, body) = (delivery.headers, delivery.body);
        let secret = match owner {
            Owner::Connection(connection) => connection.webhook_secret(),
            Owner::Webhook(webhook) => match &webhook.authentication {
                Authentication::GithubHmac => webhook.secret(),
                Authentication::Ip(range) => return Ok(verify::in_range(delivery.peer, range)),
                Authentication::Unauthenticated => return Ok(true),
            },
        };
        let Some(secret) = self.vault()?.get(&secret).await? else {
            tracing::error!(hook = delivery.hook, "the secret of a webhook is gone: its deliveries are refused");
            return Ok(false);
        };
        Ok(match owner {
            Owner::Webhook(_) => verify::github_or_older(headers, body, &secret),
            Owner::Connection(connection) => match connection.provider {
                Provider::GitHub | Provider::GitHubEnterpriseServer => verify::github(headers, body, &secret),
                Provider::GitLab | Provider::GitLabSelfManaged => verify::gitlab(headers, &secret),
                Provider::Bitbucket => verify::bitbucket(headers, body, &secret),
            },
        })
    }

    fn changes(
        &self,
        connection: &Connection,
        delivery: Delivery<'_>,
        body: &Value,
        id: &str,
    ) -> Result<Option<Content>, Unreadable> {
        let kind = |name: &str| one_header(delivery.headers, name).unwrap_or_default();
        let one =
            |read: Option<(String, RepositoryChange)>| read.map(|(repository, change)| (repository, vec![change]));
        let read = match connection.provider {
            Provider::GitHub | Provider::GitHubEnterpriseServer => one(github::read(kind("x-github-event"), body)?),
            Provider::GitLab | Provider::GitLabSelfManaged => one(gitlab::read(body)?),
            Provider::Bitbucket => bitbucket::read(kind("x-event-key"), body)?,
        };
        let event = |(repository, change): (&String, RepositoryChange)| RepositoryEvent {
            provider: connection.provider.as_str().into(),
            connection: self.connection_arn(&connection.id),
            repository: repository.clone(),
            // What is authenticated, not a header that anybody can write.
            delivery: Some(id.to_owned()),
            change,
        };
        Ok(read.map(|(repository, changes)| {
            Content::Changes(changes.into_iter().map(|change| event((&repository, change))).collect())
        }))
    }

    /// Stores a delivery and its work row in one commit; one that is there already has its row, or had it.
    async fn store_delivery(&self, hook: &str, id: String, content: Content) -> Result<Accepted, ControlError> {
        let now = self.now();
        let row = WorkRow {
            id: self.event_seed().id("webhook"),
            region: self.place().region.clone(),
            pipeline: PipelineRef::none(),
            due: now,
            task: Task::Webhook(DeliveryRef { hook: hook.to_owned(), delivery: id.clone() }),
            tries: 0,
        };
        let stored = StoredDelivery { received_at: now, content };
        let (key, body) = (self.place().delivery(hook, &id), encode(&stored)?);
        let stores = Write::Put { key, revision: 1, body, condition: Condition::Absent };
        let writes = [stores, self.put_row(&row)?];
        match self.write(&writes).await {
            Ok(()) => {
                self.ports.handoff.committed(&[row], &[]);
                Ok(Accepted::Stored)
            }
            Err(ControlError::Port(PortError::Conflict)) => {
                self.table().flush().await?;
                Ok(Accepted::Repeated)
            }
            Err(error) => Err(error),
        }
    }
}

fn is_hook_id(hook: &str) -> bool {
    hook.len() == 32 && hook.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// The repositories whose branches a repeated delivery of Bitbucket has looked at soon: its payloads say no time, so that
/// the same move made again has the same bytes, and what else comes with them is not signed. Whoever sends a recorded one
/// again gets no more than that look.
fn changed_repositories(content: &Content) -> BTreeSet<Resource> {
    let Content::Changes(events) = content else { return BTreeSet::new() };
    let is_timeless = |event: &&RepositoryEvent| event.provider == Provider::Bitbucket.as_str();
    let resource = |event: &RepositoryEvent| Resource::Repository {
        connection: event.connection.clone(),
        name: event.repository.clone(),
    };
    events.iter().filter(is_timeless).map(resource).collect()
}

/// GitLab's token is no signature: whoever sends it could send any body, so a header of theirs counts as much. Its payloads
/// say no time, and two pushes may have the same bytes. (One event's id may be shared by those that follow from it.)
fn connection_delivery_id(connection: &Connection, delivery: Delivery<'_>) -> String {
    let sent = match connection.provider {
        Provider::GitLab | Provider::GitLabSelfManaged => ["idempotency-key", "x-gitlab-event-uuid"]
            .iter()
            .find_map(|name| one_header(delivery.headers, name).filter(|sent| !sent.is_empty())),
        Provider::GitHub | Provider::GitHubEnterpriseServer | Provider::Bitbucket => None,
    };
    let hash = body_hash(delivery);
    sent.map_or(hash.clone(), |sent| hex(&Sha256::new().chain_update(&hash).chain_update(sent).finalize()))
}

/// The id of a signed delivery: its hook is part of where it lies.
fn body_hash(delivery: Delivery<'_>) -> String {
    let digest = Sha256::new().chain_update(delivery.hook).chain_update([0]).chain_update(delivery.body).finalize();
    hex(&digest)
}

/// Without a signature the sender's own id counts, where it sends one: two equal bodies may be two deliveries.
fn webhook_delivery_id(webhook: &Webhook, delivery: Delivery<'_>) -> String {
    let sent = ["x-github-delivery", "x-gitlab-event-uuid", "x-request-uuid"];
    let sent = sent.iter().find_map(|name| one_header(delivery.headers, name));
    match (&webhook.authentication, sent) {
        (Authentication::Ip(_) | Authentication::Unauthenticated, Some(sent)) => hex(&Sha256::digest(sent)),
        (Authentication::GithubHmac, _) | (_, None) => body_hash(delivery),
    }
}

fn filtered(webhook: &Webhook, delivery: Delivery<'_>, body: &Value) -> Result<Option<Content>, Unreadable> {
    let kind = one_header(delivery.headers, "x-github-event");
    if kind == Some("ping") {
        return Ok(None);
    }
    let push = (kind == Some("push")).then(|| github::push(body).ok().map(Box::new)).flatten();
    let selected = webhook.filters.iter().map(|rule| (rule.clone(), filters::select(rule, body))).collect();
    Ok(Some(Content::Filtered { webhook: webhook.name.clone(), selected, push }))
}

/// The body as JSON; GitHub also sends it as the field of a form.
fn json_of(delivery: Delivery<'_>) -> Result<Value, &'static str> {
    let content_type = one_header(delivery.headers, "content-type").unwrap_or_default();
    let is_form = content_type.starts_with("application/x-www-form-urlencoded");
    let form = is_form.then(|| {
        form_urlencoded::parse(delivery.body).find(|(name, _)| name == "payload").map(|(_, value)| value.into_owned())
    });
    let parsed = match &form {
        Some(Some(payload)) => serde_json::from_str(payload),
        Some(None) => return Err("the form has no field named payload"),
        None => serde_json::from_slice(delivery.body),
    };
    parsed.map_err(|_| "the body is not JSON")
}

/// A header that is there exactly once.
pub(super) fn one_header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

/// A text that a payload of its kind always has. The pointer is named in the answer.
pub(super) fn text(body: &Value, pointer: &'static str) -> Result<String, Unreadable> {
    let found = body.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    found.map(str::to_owned).ok_or(Unreadable(pointer))
}

/// A commit id; git writes zeros for none.
pub(super) fn id_or_none(id: &str) -> Option<String> {
    (!id.bytes().all(|b| b == b'0')).then(|| id.to_owned())
}

/// The texts of a list.
pub(super) fn words(list: &Value) -> impl Iterator<Item = String> + '_ {
    list.as_array().into_iter().flatten().filter_map(|word| word.as_str().map(str::to_owned))
}

/// The files that are looked at: the first hundred, each once; none where their names are too much to keep.
pub(super) fn capped_files(files: Vec<String>) -> Option<Vec<String>> {
    let mut seen = std::collections::HashSet::new();
    let kept: Vec<String> = files.into_iter().filter(|file| seen.insert(file.clone())).take(MAX_FILES).collect();
    (kept.iter().map(String::len).sum::<usize>() <= MAX_FILE_BYTES).then_some(kept)
}
