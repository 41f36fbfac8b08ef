//! Connections to git providers: which provider, under which ARN pipelines name them, and the secrets of both directions.

use async_trait::async_trait;
use model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::control::{Control, ControlError};
use crate::hexadecimal::hex;
use crate::ports::{Condition, PortError, Query, Write};
use crate::stored::{decode, encode};
use crate::webhooks::{Hook, HookKind};

/// Keeps secrets: nothing of theirs stands in items, rows, events or logs.
#[async_trait]
pub trait Vault: Send + Sync {
    /// Keeps a secret under a name of letters, digits, `-` and `/`; one that is there is replaced.
    async fn put(&self, name: &str, secret: &str) -> Result<(), PortError>;

    /// A secret; none if there is none of this name.
    async fn get(&self, name: &str) -> Result<Option<String>, PortError>;

    /// Forgets a secret. One that is not there is no error.
    async fn delete(&self, name: &str) -> Result<(), PortError>;
}

/// Whose repositories a connection reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Provider {
    /// github.com.
    GitHub,
    /// A GitHub Enterprise Server.
    GitHubEnterpriseServer,
    /// gitlab.com.
    GitLab,
    /// A GitLab server.
    GitLabSelfManaged,
    /// bitbucket.org.
    Bitbucket,
}

impl Provider {
    /// Every provider.
    pub const ALL: [Self; 5] =
        [Self::GitHub, Self::GitHubEnterpriseServer, Self::GitLab, Self::GitLabSelfManaged, Self::Bitbucket];

    /// As `ProviderType` writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GitHub => "GitHub",
            Self::GitHubEnterpriseServer => "GitHubEnterpriseServer",
            Self::GitLab => "GitLab",
            Self::GitLabSelfManaged => "GitLabSelfManaged",
            Self::Bitbucket => "Bitbucket",
        }
    }

    /// Reads `ProviderType`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|provider| provider.as_str() == text)
    }

    /// Its host, where everybody's is the same.
    pub fn host(self) -> Option<&'static str> {
        match self {
            Self::GitHub => Some("github.com"),
            Self::GitLab => Some("gitlab.com"),
            Self::Bitbucket => Some("bitbucket.org"),
            Self::GitHubEnterpriseServer | Self::GitLabSelfManaged => None,
        }
    }
}

/// A connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// What its ARN ends with.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The provider.
    pub provider: Provider,
    /// The provider's host, as `github.com`.
    pub host: String,
    /// A GitHub App's id, where it acts as one: the token is its private key.
    pub app_id: Option<String>,
    /// Whether a token is kept.
    pub has_token: bool,
    /// An ARN elsewhere that stands for this connection too: pipelines that AWS ran keep theirs.
    pub mapped_arn: Option<String>,
    /// Whether pull requests from forks may start pipelines: anybody can open one.
    pub allow_forks: bool,
    /// The id in its webhook's URL.
    pub hook: String,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Connection {
    /// The secret that the provider's deliveries are signed with.
    pub fn webhook_secret(&self) -> String {
        format!("connection/{}/webhook", self.id)
    }

    /// The token, or the app's private key.
    pub fn token_secret(&self) -> String {
        format!("connection/{}/token", self.id)
    }
}

/// A connection to make. It has no `Debug`: it holds secrets.
#[derive(Clone)]
pub struct NewConnection {
    /// What people call it.
    pub name: String,
    /// The provider.
    pub provider: Provider,
    /// Its host, for a provider that has many.
    pub host: Option<String>,
    /// A GitHub App's id.
    pub app_id: Option<String>,
    /// A token, or the app's private key.
    pub token: Option<String>,
    /// The secret of its webhook; made if absent.
    pub webhook_secret: Option<String>,
    /// An ARN elsewhere that stands for it too.
    pub mapped_arn: Option<String>,
    /// Whether pull requests from forks may start pipelines.
    pub allow_forks: bool,
}

/// A connection just made. It has no `Debug`: it holds a secret.
#[derive(Clone)]
pub struct MadeConnection {
    /// It.
    pub connection: Connection,
    /// Its webhook's secret: told once.
    pub webhook_secret: String,
}

/// Why a connection was not made or deleted.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// Something given cannot be.
    #[error("{0}")]
    Invalid(String),
    /// The mapped ARN is another connection's already.
    #[error("{0} is mapped to another connection already")]
    Mapped(String),
    /// There is no such connection.
    #[error("there is no connection {0}")]
    NotFound(String),
    /// As elsewhere.
    #[error(transparent)]
    Control(#[from] ControlError),
}

impl From<PortError> for ConnectionError {
    fn from(error: PortError) -> Self {
        Self::Control(error.into())
    }
}

/// The most connections of a region.
const MAX_CONNECTIONS: usize = 100;

impl Control {
    /// The ARN of a connection of this region.
    pub fn connection_arn(&self, id: &str) -> String {
        let place = self.place();
        format!("arn:aws:codeconnections:{}:{}:connection/{id}", place.region, place.account)
    }

    /// Makes a connection.
    ///
    /// # Errors
    /// What is given cannot be, the mapped ARN is taken, or there are too many.
    pub async fn create_connection(&self, new: NewConnection) -> Result<MadeConnection, ConnectionError> {
        let vault = self.vault()?;
        let host = checked_host(&new)?;
        checked_texts(&new)?;
        if self.list_connections().await?.len() >= MAX_CONNECTIONS {
            let message = format!("there are {MAX_CONNECTIONS} connections, which is the most: delete one first");
            return Err(ConnectionError::Invalid(message));
        }
        let connection = Connection {
            id: self.event_seed().id("connection").to_string(),
            name: new.name,
            provider: new.provider,
            host,
            app_id: new.app_id,
            has_token: new.token.is_some(),
            mapped_arn: new.mapped_arn,
            allow_forks: new.allow_forks,
            hook: self.random_hex(),
            created_at: self.now(),
        };
        let webhook_secret = new.webhook_secret.unwrap_or_else(|| self.random_hex());
        vault.put(&connection.webhook_secret(), &webhook_secret).await?;
        if let Some(token) = &new.token {
            vault.put(&connection.token_secret(), token).await?;
        }
        if let Err(error) = self.write_connection(&connection).await {
            vault.delete(&connection.webhook_secret()).await?;
            vault.delete(&connection.token_secret()).await?;
            return Err(error);
        }
        Ok(MadeConnection { connection, webhook_secret })
    }

    async fn write_connection(&self, connection: &Connection) -> Result<(), ConnectionError> {
        let place = self.place();
        let hook = Hook { region: place.region.clone(), kind: HookKind::Connection(connection.id.clone()) };
        let put = |key, body| Write::Put { key, revision: 1, body, condition: Condition::Absent };
        let mut writes = vec![
            put(place.connection(&connection.id), encode(connection)?),
            put(place.hook(&connection.hook), encode(&hook)?),
        ];
        if let Some(arn) = &connection.mapped_arn {
            writes.push(put(place.connection_arn(arn), encode(&connection.id)?));
        }
        match self.asked(writes).await {
            Err(PortError::Conflict) => Err(ConnectionError::Mapped(connection.mapped_arn.clone().unwrap_or_default())),
            written => Ok(written?),
        }
    }

    /// Every connection, by id.
    pub async fn list_connections(&self) -> Result<Vec<Connection>, ControlError> {
        let pk = self.place().connection("").pk;
        let mut connections = Vec::new();
        let mut after = None;
        loop {
            let query = Query { pk: pk.clone(), prefix: String::new(), after, limit: 100, backward: false };
            let page = self.table().query(&query).await?;
            for (key, stored) in &page.items {
                connections.push(decode(&stored.body, &key.sk)?);
            }
            after = page.items.last().map(|(key, _)| key.sk.clone());
            if !page.more {
                return Ok(connections);
            }
        }
    }

    /// The connection that an ARN stands for: its own, or one mapped to it.
    pub async fn connection_by_arn(&self, arn: &str) -> Result<Option<Connection>, ControlError> {
        let own = self.connection_arn("");
        if let Some(id) = arn.strip_prefix(&own)
            && let Some(connection) = self.connection(id).await?
        {
            return Ok(Some(connection));
        }
        let key = self.place().connection_arn(arn);
        let Some(stored) = self.table().get(&key).await? else { return Ok(None) };
        let id: String = decode(&stored.body, "a mapped connection ARN")?;
        self.connection(&id).await
    }

    /// A connection, by id.
    pub async fn connection(&self, id: &str) -> Result<Option<Connection>, ControlError> {
        if id.is_empty() || id.len() > 100 {
            return Ok(None);
        }
        let key = self.place().connection(id);
        let found = self.table().get(&key).await?;
        Ok(found.map(|stored| decode(&stored.body, &key.sk)).transpose()?)
    }

    /// The token of a connection (or its app's private key), for who speaks with its provider.
    pub async fn connection_token(&self, connection: &Connection) -> Result<Option<String>, ControlError> {
        Ok(self.vault()?.get(&connection.token_secret()).await?)
    }

    /// Deletes a connection: its URL answers no more. Pipelines that name it are left as they are.
    ///
    /// # Errors
    /// There is none.
    pub async fn delete_connection(&self, arn: &str) -> Result<(), ConnectionError> {
        let known = self.connection_by_arn(arn).await?;
        let connection = known.ok_or_else(|| ConnectionError::NotFound(arn.to_owned()))?;
        let place = self.place();
        let mut gone = vec![place.connection(&connection.id), place.hook(&connection.hook)];
        gone.extend(connection.mapped_arn.as_deref().map(|arn| place.connection_arn(arn)));
        let delete = |key| Write::Delete { key, condition: Condition::Always };
        self.asked(gone.into_iter().map(delete).collect()).await?;
        let vault = self.vault()?;
        vault.delete(&connection.webhook_secret()).await?;
        vault.delete(&connection.token_secret()).await?;
        Ok(())
    }

    /// 128 random bits, in hexadecimal.
    pub(crate) fn random_hex(&self) -> String {
        use sha2::Digest;
        // A seed has 122 random bits: two of them, pressed together, have all that are wanted.
        let digest = sha2::Sha256::new()
            .chain_update(self.event_seed().0.as_bytes())
            .chain_update(self.event_seed().0.as_bytes())
            .finalize();
        hex(&digest[..16])
    }

    /// Makes a transaction of writes that nobody asked for by name, and has it survive a crash.
    pub(crate) async fn write(&self, writes: &[Write]) -> Result<(), ControlError> {
        let token = format!("write-{}", self.event_seed().0.simple());
        self.repeated(&token, writes).await?;
        Ok(self.table().flush().await?)
    }

    /// Makes a transaction that somebody asked for: the record of who did goes with it.
    pub(crate) async fn asked(&self, writes: Vec<Write>) -> Result<(), PortError> {
        self.change(&format!("asked-{}", self.event_seed().0.simple()), writes).await
    }
}

fn checked_host(new: &NewConnection) -> Result<String, ConnectionError> {
    let provider = new.provider.as_str();
    match (new.provider.host(), new.host.as_deref()) {
        (Some(host), None) => Ok(host.into()),
        (Some(known), Some(given)) if given.eq_ignore_ascii_case(known) => Ok(known.into()),
        (Some(known), Some(given)) => Err(ConnectionError::Invalid(format!(
            "the host of {provider} is {known}, not {given}: for a server of your own take GitHubEnterpriseServer or \
             GitLabSelfManaged"
        ))),
        (None, None) => Err(ConnectionError::Invalid(format!("{provider} needs the server's host"))),
        (None, Some(given)) => {
            let is_host = !given.is_empty()
                && given.len() <= 253
                && given.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':'));
            let message = format!("{given:?} is no host: write it as git.example.org");
            is_host.then(|| given.to_ascii_lowercase()).ok_or(ConnectionError::Invalid(message))
        }
    }
}

fn checked_texts(new: &NewConnection) -> Result<(), ConnectionError> {
    let fail = |message: String| Err(ConnectionError::Invalid(message));
    let is_name = |text: &str| {
        (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    if !is_name(&new.name) {
        return fail(format!("{:?} is no connection name: 1 to 32 letters, digits, dots, _ and -", new.name));
    }
    let long = |text: &Option<String>| text.as_ref().is_some_and(|text| text.len() > 8192 || text.is_empty());
    if long(&new.token) {
        return fail("the token must have 1 to 8192 bytes".into());
    }
    if new.webhook_secret.as_ref().is_some_and(|secret| !(16..=255).contains(&secret.len())) {
        return fail("the webhook secret must have 16 to 255 bytes; without one a random one is made".into());
    }
    let is_arn = |arn: &String| arn.starts_with("arn:") && arn.contains(":connection/") && arn.len() <= 256;
    match &new.mapped_arn {
        Some(arn) if !is_arn(arn) => fail(format!("{arn:?} is no connection's ARN")),
        _ => Ok(()),
    }
}
