//! The pages of approvals: plain HTML, no script, nothing from elsewhere.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::{Decided, Shown};
use crate::body::Body;

/// The most characters of a comment, as the API has it.
pub const MAX_SUMMARY_CHARS: usize = 512;

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:40rem;margin:2rem auto;padding:0 1rem;\
color:#111;background:#fff}dt{font-weight:600}dd{margin:0 0 .5rem;overflow-wrap:anywhere;white-space:pre-line}\
label{display:block;font-weight:600}textarea{width:100%;font:inherit;box-sizing:border-box}\
button{font:inherit;padding:.5rem 1.5rem;margin:1rem 1rem 0 0;min-height:2.75rem}\
.error{border-left:.3rem solid #b00020;padding-left:.7rem}\
@media(prefers-color-scheme:dark){body{color:#eee;background:#111}a{color:#9cf}}";

/// Nothing may be loaded, run or framed; only this style, and forms to ourselves.
static POLICY: LazyLock<Option<HeaderValue>> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    );
    HeaderValue::from_str(&policy).ok()
});

/// The form: what is asked, and the two answers.
pub(super) fn form(shown: &Shown, summary: &str, error: Option<&str>) -> Response<Body> {
    let status = if error.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let title = format!("Approve {} / {} / {}?", shown.pipeline, shown.stage, shown.action);
    page(
        status,
        &title,
        &html! {
            h1 { "Approve or reject?" }
            @if let Some(error) = error { p.error role="alert" { (error) } }
            (facts(shown))
            form method="post" {
                label for="summary" { "Comment" }
                textarea id="summary" name="summary" rows="4" maxlength=(MAX_SUMMARY_CHARS) aria-describedby="summary-help" {
                    // The first line break in a text area is not part of its value.
                    "\n" (summary)
                }
                p id="summary-help" {
                    "Optional, at most " (MAX_SUMMARY_CHARS) " characters. It is kept with your decision, which counts once and \
                     cannot be taken back."
                }
                button type="submit" name="decision" value="approve" { "Approve" }
                button type="submit" name="decision" value="reject" { "Reject" }
            }
        },
    )
}

fn facts(shown: &Shown) -> Markup {
    html! {
        dl {
            dt { "Pipeline" } dd { (text(&shown.pipeline)) }
            dt { "Stage" } dd { (text(&shown.stage)) }
            dt { "Action" } dd { (text(&shown.action)) }
            dt { "Execution" } dd { (text(&shown.execution)) }
            @for revision in &shown.revisions {
                dt { "Revision of " (text(&revision.action)) }
                dd {
                    @match revision.url.as_deref().and_then(web_address) {
                        Some(url) => a href=(url) rel="noreferrer noopener" { (text(&revision.id)) },
                        None => (text(&revision.id)),
                    }
                    @if let Some(summary) = &revision.summary { br; (text(summary)) }
                }
            }
            @if let Some(started_by) = &shown.started_by { dt { "Started by" } dd { (text(started_by)) } }
            @if let Some(data) = &shown.custom_data { dt { "Message" } dd { (text(data)) } }
            @if let Some(url) = shown.external_link.as_deref().and_then(web_address) {
                dt { "To review" } dd { a href=(url) rel="noreferrer noopener" { (text(url)) } }
            }
            dt { "Link for" } dd { (text(&shown.recipient)) }
            dt { "Link expires" } dd { time datetime=(shown.expires) { (shown.expires) } }
        }
    }
}

/// Strangers' text: escaped, and its direction cannot reorder what stands around it.
fn text(text: &str) -> Markup {
    html! { bdi { (text) } }
}

/// Only web addresses become links: no `javascript:`.
fn web_address(url: &str) -> Option<&str> {
    let has = |scheme: &str| url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    (has("https://") || has("http://")).then_some(url)
}

/// The decision was taken.
pub(super) fn done(shown: &Shown, approved: bool) -> Response<Body> {
    let word = if approved { "Approved" } else { "Rejected" };
    page(
        StatusCode::OK,
        word,
        &html! {
            h1 { (word) }
            p role="status" {
                "Your decision on " (text(&shown.pipeline)) " / " (text(&shown.stage)) " / " (text(&shown.action))
                " is recorded. You can close this page."
            }
        },
    )
}

/// The approval was decided already.
pub(super) fn used(decided: Option<&Decided>) -> Response<Body> {
    page(
        StatusCode::CONFLICT,
        "Already decided",
        &html! {
            h1 { "Already decided" }
            p { "This approval was decided already. A link counts once: nothing was changed now." }
            @if let Some(decided) = decided {
                dl {
                    dt { "Decision" } dd { @if decided.approved { "Approved" } @else { "Rejected" } }
                    dt { "When" } dd { time datetime=(decided.at) { (decided.at) } }
                }
            }
        },
    )
}

/// The link is too old.
pub(super) fn expired() -> Response<Body> {
    page(
        StatusCode::GONE,
        "Link expired",
        &html! {
            h1 { "This link has expired" }
            p { "The time to decide by this link is over. Nothing was changed. Ask for a new link if the approval is still open." }
        },
    )
}

/// What the link is for has moved on.
pub(super) fn superseded() -> Response<Body> {
    page(
        StatusCode::GONE,
        "Link superseded",
        &html! {
            h1 { "This link was superseded" }
            p {
                "The approval that this link is for is no longer waiting: its execution was stopped, or it was asked for again \
                 by a newer link. Nothing was changed."
            }
        },
    )
}

/// The one page for everything that is no link of ours.
pub(super) fn invalid() -> Response<Body> {
    page(
        StatusCode::NOT_FOUND,
        "Not a valid link",
        &html! {
            h1 { "This is not a valid link" }
            p { "Check that the whole link was copied, or ask for a new one. Nothing was changed." }
        },
    )
}

/// Something went wrong here, and it may be tried again.
pub(super) fn unavailable() -> Response<Body> {
    page(
        StatusCode::SERVICE_UNAVAILABLE,
        "Try again",
        &html! {
            h1 { "That did not work" }
            p { "Something went wrong on our side. Reload this page to see whether your decision was recorded." }
        },
    )
}

fn page(status: StatusCode, title: &str, content: &Markup) -> Response<Body> {
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                title { (title) " – Penstock" }
                style { (PreEscaped(STYLE)) }
            }
            body { main { (content) } }
        }
    };
    let mut response = Response::new(Body::Full(Bytes::from(document.into_string())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    if let Some(policy) = &*POLICY {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy.clone());
    }
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert("x-robots-tag", HeaderValue::from_static("noindex"));
    response
}
