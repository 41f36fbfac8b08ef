//! Webhooks: those of PutWebhook and those of connections; what they bring is verified, stored once, and matched later.

mod accept;
mod bitbucket;
mod filters;
mod forgetting;
mod github;
mod gitlab;
mod matching;
mod registry;
mod verify;

use model::{ActionName, PipelineName, Timestamp};
use serde::{Deserialize, Serialize};

pub use accept::{Accepted, Delivery, MAX_WEBHOOK_BYTES};
pub use forgetting::KEPT_DAYS;
pub use registry::{MAX_WEBHOOKS, NewWebhook, WebhookError};

/// What a URL's hook is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// The region it belongs to.
    pub region: String,
    /// Whose it is.
    pub kind: HookKind,
}

/// Whose a hook is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HookKind {
    /// A connection's, by id.
    Connection(String),
    /// A webhook's, by name.
    Webhook(String),
}

/// How deliveries of a webhook are told from forged ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Authentication {
    /// `GITHUB_HMAC`: signed with the secret that the vault keeps.
    GithubHmac,
    /// `IP`: from these addresses, in CIDR notation.
    Ip(String),
    /// `UNAUTHENTICATED`: whoever knows the URL.
    Unauthenticated,
}

/// One condition of a webhook's deliveries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilterRule {
    /// What to look at: it must be there.
    pub json_path: String,
    /// What it must be; `{Key}` stands for a setting of the target action.
    pub match_equals: Option<String>,
}

/// A webhook as PutWebhook made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Its name.
    pub name: String,
    /// The id in its URL: another whenever it is made anew.
    pub hook: String,
    /// The pipeline that it starts.
    pub target_pipeline: PipelineName,
    /// The source action that it starts it for.
    pub target_action: ActionName,
    /// All of them must hold.
    pub filters: Vec<FilterRule>,
    /// How forged deliveries are told.
    pub authentication: Authentication,
    /// Whether it was asked to be registered with GitHub, which needs a person here.
    pub registration_asked: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Webhook {
    /// Its secret's name.
    pub fn secret(&self) -> String {
        format!("webhook/{}", self.hook)
    }
}

/// A delivery as stored: what was read of its body, never the body.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredDelivery {
    /// When it came.
    pub received_at: Timestamp,
    /// What it says.
    pub content: Content,
}

/// What a delivery says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Content {
    /// Changes of a connection's repositories.
    Changes(Vec<engine::triggers::RepositoryEvent>),
    /// What a webhook's filters look at, and the push if it is one of GitHub's.
    Filtered {
        /// The webhook's name.
        webhook: String,
        /// Each filter with the values that its path selects.
        selected: Vec<(FilterRule, Vec<String>)>,
        /// The push.
        push: Option<Box<engine::triggers::Push>>,
    },
}

/// Which delivery a work row matches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryRef {
    /// The hook's id.
    pub hook: String,
    /// The delivery's.
    pub delivery: String,
}
