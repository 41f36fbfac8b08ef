//! `POST /webhooks/HOOK`: deliveries of git providers and of whoever else a webhook was made for.

use std::net::IpAddr;

use control::Control;
use control::webhooks::Delivery;
use http::request::Parts;
use http::{HeaderMap, Response, header};

use crate::body::Body;
use crate::handle::{Api, plain};

/// Takes in a delivery and answers.
pub(crate) async fn serve(api: &Api, parts: &Parts, hook: &str, body: &[u8], peer: IpAddr) -> Response<Body> {
    match api.regions.any() {
        Some(control) => answer(&control, hook, &parts.headers, body, peer).await,
        None => plain(404, "not found"),
    }
}

/// Takes in a delivery of any region's hook and answers: stored and verified, not matched yet. `peer` is the connection's
/// address.
pub async fn answer(control: &Control, hook: &str, headers: &HeaderMap, body: &[u8], peer: IpAddr) -> Response<Body> {
    match control.accept_webhook(Delivery { hook, headers, body, peer }).await {
        Ok(accepted) => plain(accepted.status(), accepted.text()),
        Err(error) => {
            tracing::error!(%error, "a webhook delivery could not be stored");
            // The sender tries again.
            plain(503, "the delivery could not be stored: send it again")
        }
    }
}

/// Whether a request is for the name under which webhooks are served, where that is another than the server's own: a
/// tunnel's, as a rule.
pub(crate) fn is_served_there(api: &Api, parts: &Parts) -> bool {
    let Some(control) = api.regions.any() else { return false };
    let Some(url) = control.detection().webhook_url.get() else { return false };
    let authority = url.parse::<http::Uri>().ok().and_then(|uri| uri.authority().cloned());
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let (Some(host), None, Some(authority)) = (hosts.next(), hosts.next(), authority) else { return false };
    host.to_str().is_ok_and(|host| host.eq_ignore_ascii_case(authority.as_str()))
}
