//! Under which names this server answers: a web page elsewhere must not reach it through a browser.

use http::header;
use http::request::Parts;

/// The host names that requests may be for.
#[derive(Clone, Debug)]
pub struct Hosts(Option<Vec<String>>);

impl Hosts {
    /// Whatever name: for a host that is reached under its own name only, as a Function URL is.
    pub fn any() -> Self {
        Self(None)
    }

    /// These names, without ports.
    pub fn new<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        Self(Some(names.into_iter().map(|name| name.into().to_ascii_lowercase()).collect()))
    }

    /// The names of this machine's loopback interface.
    pub fn loopback() -> Self {
        Self::new(["127.0.0.1", "localhost", "[::1]"])
    }

    /// Whether the request is for one of the names, once and unmistakably: else a name that an attacker points here
    /// (DNS rebinding) would do.
    pub fn is_ours(&self, parts: &Parts) -> bool {
        let mut hosts = parts.headers.get_all(header::HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
        let authority = parts.uri.authority().map(http::uri::Authority::as_str);
        host.to_str().is_ok_and(|host| {
            self.knows(host) && authority.is_none_or(|authority| authority.eq_ignore_ascii_case(host))
        })
    }

    fn knows(&self, host: &str) -> bool {
        let Some(known) = &self.0 else { return true };
        let name = match host.rsplit_once(':') {
            Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => host,
        };
        known.iter().any(|known| known.eq_ignore_ascii_case(name))
    }

    /// Whether the request comes from no web page, or from one of this very host and port. Forms of pages with
    /// `Referrer-Policy: no-referrer` come with the origin `null`: `null_allowed` lets them in.
    pub fn is_own_origin(&self, parts: &Parts, null_allowed: bool) -> bool {
        let mut origins = parts.headers.get_all(header::ORIGIN).iter();
        let Some(origin) = origins.next() else { return true };
        if origins.next().is_some() {
            return false;
        }
        let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        match (origin.to_str(), host) {
            (Ok("null"), _) => null_allowed,
            (Ok(origin), Some(host)) => {
                let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
                authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
            }
            (Ok(_), None) | (Err(_), _) => false,
        }
    }
}
