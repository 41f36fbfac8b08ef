//! Approval by signed URL: GET shows, POST decides once.

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use engine::{ActionExecution, ApprovalDecision};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, header};
use model::{ActionStatus, Timestamp};
use subtle::ConstantTimeEq;

use crate::body::Body;
use crate::error::ApiError;

mod desk;
pub mod link;
mod pages;
#[cfg(test)]
mod tests;

pub use desk::ControlDesk;
pub use link::{KeyFile, Link, LinkKeys};

/// The largest form that is read, in bytes: the longest comment, each byte escaped.
const MAX_FORM_BYTES: usize = 16 * 1024;
/// The most characters of a browser's name that are kept.
const MAX_AGENT_CHARS: usize = 200;

/// What an approval page shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shown {
    /// The pipeline.
    pub pipeline: String,
    /// The stage.
    pub stage: String,
    /// The action.
    pub action: String,
    /// The execution.
    pub execution: String,
    /// What would be approved.
    pub revisions: Vec<ShownRevision>,
    /// Who or what started the execution.
    pub started_by: Option<String>,
    /// The action's `CustomData`.
    pub custom_data: Option<String>,
    /// The action's `ExternalEntityLink`.
    pub external_link: Option<String>,
    /// Whom the link was made for.
    pub recipient: String,
    /// When the link expires, in ISO 8601.
    pub expires: String,
    /// Whether the action has a newer attempt.
    pub has_newer_attempt: bool,
}

/// A source revision on an approval page.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShownRevision {
    /// The source action.
    pub action: String,
    /// The revision's id.
    pub id: String,
    /// The commit message or the like.
    pub summary: Option<String>,
    /// Where to look at it.
    pub url: Option<String>,
}

/// A decision on the page of a used link.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Decided {
    approved: bool,
    at: String,
}

/// Where approvals lie.
#[async_trait]
pub trait Desk: Send + Sync {
    /// The action execution that a link names: one read, for whoever sends links without being entitled to.
    async fn find(&self, link: &Link) -> Result<Option<ActionExecution>, ApiError>;

    /// What the page shows; only asked for verified links.
    async fn show(&self, link: &Link, action: &ActionExecution) -> Result<Shown, ApiError>;

    /// Decides, by a conditional change of this action attempt.
    ///
    /// # Errors
    ///
    /// `ApprovalAlreadyCompletedException` or `InvalidApprovalTokenException` when somebody else was first.
    async fn decide(&self, link: &Link, action: &ActionExecution, decision: ApprovalDecision) -> Result<(), ApiError>;
}

/// The approval pages.
pub struct Approvals {
    desk: Arc<dyn Desk>,
    keys: Arc<dyn LinkKeys>,
}

/// Why there is nothing to decide.
enum Closed {
    Invalid,
    Expired,
    Superseded,
    Used(Option<Decided>),
    Failed,
}

impl Closed {
    fn page(&self) -> Response<Body> {
        match self {
            Self::Invalid => pages::invalid(),
            Self::Expired => pages::expired(),
            Self::Superseded => pages::superseded(),
            Self::Used(decided) => pages::used(decided.as_ref()),
            Self::Failed => pages::unavailable(),
        }
    }
}

impl From<ApiError> for Closed {
    fn from(error: ApiError) -> Self {
        match error.code {
            "ApprovalAlreadyCompletedException" | "InvalidApprovalTokenException" => Self::Used(None),
            code => {
                tracing::warn!(code, "an approval link could not be served");
                Self::Failed
            }
        }
    }
}

/// A link that may decide now.
struct Open {
    link: Link,
    action: ActionExecution,
    shown: Shown,
}

impl Approvals {
    /// Pages over `desk`, for links signed with `keys`.
    pub fn new(desk: Arc<dyn Desk>, keys: Arc<dyn LinkKeys>) -> Self {
        Self { desk, keys }
    }

    /// The token of a link; none if its key is gone.
    pub async fn sign(&self, link: &Link) -> Option<String> {
        link::sign(&*self.keys, link).await
    }

    /// The id of the key that new links are signed with.
    pub fn key_id(&self) -> &str {
        self.keys.current()
    }

    /// Answers `/approve/TOKEN`.
    pub async fn serve(&self, parts: &Parts, token: &str, body: &[u8], peer: IpAddr, now: Timestamp) -> Response<Body> {
        let is_post = parts.method == Method::POST;
        if !is_post && parts.method != Method::GET && parts.method != Method::HEAD {
            let mut response = pages::invalid();
            *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
            return response;
        }
        let open = match self.open(token, now).await {
            Ok(open) => open,
            Err(closed) => return closed.page(),
        };
        if !is_post {
            return pages::form(&open.shown, "", None);
        }
        let (approved, summary) = match read_form(parts, body) {
            Ok(answer) => answer,
            Err((summary, error)) => return pages::form(&open.shown, &summary, Some(error)),
        };
        let decision = ApprovalDecision {
            approved,
            summary,
            by: open.link.recipient.clone(),
            via: Some(via(&open.link, parts, peer)),
            at: now,
        };
        match self.desk.decide(&open.link, &open.action, decision).await {
            Ok(()) => pages::done(&open.shown, approved),
            Err(error) => Closed::from(error).page(),
        }
    }

    /// The checks, cheapest first: size and shape, one read, the approval's token, the MAC. Until the MAC holds nothing
    /// tells what was wrong.
    async fn open(&self, token: &str, now: Timestamp) -> Result<Open, Closed> {
        let unverified = link::parse(token).ok_or(Closed::Invalid)?;
        let link = &unverified.link;
        let action = self.desk.find(link).await?.ok_or(Closed::Invalid)?;
        let approval = action.approval.as_ref().ok_or(Closed::Invalid)?;
        let is_same = approval.token.as_bytes().ct_eq(link.token.as_bytes());
        if !bool::from(is_same) || action.id != link.action_execution_id {
            return Err(Closed::Invalid);
        }
        if !link::verify(&*self.keys, &unverified).await {
            return Err(Closed::Invalid);
        }
        if now >= link.expires || has_timed_out(&action, now) {
            return Err(Closed::Expired);
        }
        let shown = self.desk.show(link, &action).await?;
        match closed(link, &action, &shown) {
            Some(closed) => Err(closed),
            None => Ok(Open { link: unverified.link, action, shown }),
        }
    }
}

/// A deadline counts even if nobody has looked yet.
fn has_timed_out(action: &ActionExecution, now: Timestamp) -> bool {
    let undecided = action.approval.as_ref().is_none_or(|approval| approval.decisions.is_empty());
    match action.status {
        ActionStatus::InProgress => action.deadline.is_some_and(|deadline| now >= deadline),
        ActionStatus::Failed => undecided,
        ActionStatus::Abandoned | ActionStatus::Succeeded | ActionStatus::Cancelled => false,
    }
}

fn closed(link: &Link, action: &ActionExecution, shown: &Shown) -> Option<Closed> {
    let decisions = action.approval.iter().flat_map(|approval| &approval.decisions);
    let decided =
        |decision: &ApprovalDecision| Decided { approved: decision.approved, at: decision.at.to_iso_seconds() };
    let by_this_link = decisions.clone().find(|decision| is_by(link, decision));
    if let Some(decision) = by_this_link {
        return Some(Closed::Used(Some(decided(decision))));
    }
    if shown.has_newer_attempt {
        return Some(Closed::Superseded);
    }
    match action.status {
        ActionStatus::InProgress => None,
        ActionStatus::Abandoned | ActionStatus::Cancelled => Some(Closed::Superseded),
        ActionStatus::Succeeded | ActionStatus::Failed => Some(Closed::Used(decisions.last().map(decided))),
    }
}

/// What the decision keeps of how it came: the link, the address and the browser.
fn via(link: &Link, parts: &Parts, peer: IpAddr) -> String {
    let agent = parts.headers.get(header::USER_AGENT).map(|agent| String::from_utf8_lossy(agent.as_bytes()));
    let agent: String = agent.unwrap_or_default().chars().filter(|c| !c.is_control()).take(MAX_AGENT_CHARS).collect();
    format!("{}{peer}, {agent}", via_prefix(link))
}

fn via_prefix(link: &Link) -> String {
    format!("link {}, ", link.id)
}

fn is_by(link: &Link, decision: &ApprovalDecision) -> bool {
    decision.via.as_ref().is_some_and(|via| via.starts_with(&via_prefix(link)))
}

/// The decision and the comment; else the comment as it was written, and what is wrong.
fn read_form(parts: &Parts, body: &[u8]) -> Result<(bool, String), (String, &'static str)> {
    let content_type =
        parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err((String::new(), "The form must be sent as application/x-www-form-urlencoded."));
    }
    if body.len() > MAX_FORM_BYTES {
        return Err((String::new(), "The comment is too long: at most 512 characters."));
    }
    let (mut decisions, mut summaries) = (Vec::new(), Vec::new());
    for (name, value) in form_urlencoded::parse(body) {
        match &*name {
            "decision" => decisions.push(value.into_owned()),
            // Browsers send line breaks as two characters and count them as one.
            "summary" => summaries.push(value.replace("\r\n", "\n")),
            _ => return Err((String::new(), "The form has a field that is not known here.")),
        }
    }
    let summary = summaries.pop().unwrap_or_default();
    if !summaries.is_empty() {
        return Err((summary, "The comment was given twice."));
    }
    if summary.chars().count() > pages::MAX_SUMMARY_CHARS {
        return Err((summary, "The comment is too long: at most 512 characters."));
    }
    match decisions.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["approve"] => Ok((true, summary)),
        ["reject"] => Ok((false, summary)),
        _ => Err((summary, "Choose Approve or Reject.")),
    }
}
