//! Calls the API of a server: JSON 1.1 over HTTP, signed.

use std::path::Path;
use std::time::Duration;

use local::sign;
use model::Timestamp;
use serde_json::Value;

use crate::args::ConnectArgs;
use crate::environment;
use crate::exit::Unusable;

use super::credentials::{self, Credentials};
use super::stored::Stored;

/// CodePipeline's own operations.
const CODEPIPELINE: &str = "CodePipeline_20150709";
/// Penstock's, which CodePipeline does not have.
const PENSTOCK: &str = "Penstock_20261124";
const DEFAULT_ENDPOINT: &str = "http://127.0.0.1:7707";
const TIMEOUT: Duration = Duration::from_secs(60);
/// The most bytes of an answer: a page of history with large configurations stays far below.
const MAX_ANSWER: u64 = 64 * 1024 * 1024;

/// What answers calls.
pub enum Api {
    /// A server.
    Remote(Box<Remote>),
    /// A data directory that no server has open.
    Stored(Box<Stored>),
}

/// A server, and who calls it.
pub struct Remote {
    agent: ureq::Agent,
    endpoint: Endpoint,
    credentials: Credentials,
    region: String,
}

/// Why a call gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nobody answers there.
    #[error(
        "no server answers at {url}: {reason}; start one with `penstock serve`, or name another with --endpoint-url"
    )]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        reason: String,
    },
    /// The server refused.
    #[error("{code}: {message}")]
    Refused {
        /// The API's error.
        code: String,
        /// What it says.
        message: String,
    },
    /// What came is no answer of such a server.
    #[error("{url} does not answer as a CodePipeline server: {reason}")]
    Odd {
        /// Where.
        url: String,
        /// What came.
        reason: String,
    },
}

impl Api {
    /// The server that arguments and environment name.
    ///
    /// # Errors
    /// The address is none, or no credentials are found.
    pub fn open(args: &ConnectArgs) -> anyhow::Result<Self> {
        let endpoint = Endpoint::parse(&endpoint_url(args))?;
        let (credentials, _) = credentials::find(args)?;
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .user_agent(concat!("penstock/", env!("CARGO_PKG_VERSION")))
            .build();
        let region = args.region.clone().unwrap_or_else(environment::region);
        Ok(Self::Remote(Box::new(Remote { agent: config.new_agent(), endpoint, credentials, region })))
    }

    /// The data directory that is given, else the server.
    ///
    /// # Errors
    /// As [`Self::open`], or the directory cannot be used.
    pub fn open_stored(data: Option<&Path>, pipeline: &str, args: &ConnectArgs) -> anyhow::Result<Self> {
        match data {
            Some(data) => Ok(Self::Stored(Box::new(Stored::open(data, pipeline)?))),
            None => Self::open(args),
        }
    }

    /// One of CodePipeline's operations.
    ///
    /// # Errors
    /// The server cannot be reached, refuses, or is none.
    pub fn call(&self, operation: &str, input: &Value) -> Result<Value, CallError> {
        match self {
            Self::Remote(remote) => remote.send(&format!("{CODEPIPELINE}.{operation}"), input),
            Self::Stored(stored) => stored.call(operation, input).map_err(CallError::from),
        }
    }

    /// One of Penstock's own operations.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub fn extension(&self, operation: &str, input: &Value) -> Result<Value, CallError> {
        match self {
            Self::Remote(remote) => remote.send(&format!("{PENSTOCK}.{operation}"), input),
            Self::Stored(stored) => stored.extension(operation, input).map_err(CallError::from),
        }
    }
}

impl From<api::ApiError> for CallError {
    fn from(error: api::ApiError) -> Self {
        Self::Refused { code: error.code.into(), message: error.message }
    }
}

impl Remote {
    fn send(&self, target: &str, input: &Value) -> Result<Value, CallError> {
        let body = input.to_string();
        let request = sign::Unsigned {
            service: "codepipeline",
            region: &self.region,
            host: &self.endpoint.host,
            path: &self.endpoint.path,
            headers: &[("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target)],
            body: body.as_bytes(),
            at: Timestamp(jiff::Timestamp::now().as_millisecond()),
        };
        let mut builder = self.agent.post(&self.endpoint.url);
        for (name, value) in sign::headers(&request, &self.credentials) {
            builder = builder.header(name, value);
        }
        let unreachable =
            |error: ureq::Error| CallError::Unreachable { url: self.endpoint.url.clone(), reason: error.to_string() };
        let mut response = builder.send(body.as_bytes()).map_err(unreachable)?;
        let status = response.status().as_u16();
        let text = response.body_mut().with_config().limit(MAX_ANSWER).read_to_string().map_err(unreachable)?;
        self.answer(status, &text)
    }

    fn answer(&self, status: u16, text: &str) -> Result<Value, CallError> {
        let odd = |reason: String| CallError::Odd { url: self.endpoint.url.clone(), reason };
        let value =
            if text.is_empty() { Ok(Value::Object(serde_json::Map::new())) } else { serde_json::from_str(text) };
        let value: Value = value.map_err(|_| odd(format!("status {status}, and the answer is no JSON")))?;
        if status == 200 {
            return Ok(value);
        }
        let code = value["__type"].as_str().ok_or_else(|| odd(format!("status {status}, and no error code")))?;
        let message = value["message"].as_str().or(value["Message"].as_str()).unwrap_or_default();
        let code = code.rsplit('#').next().unwrap_or(code);
        Err(CallError::Refused { code: code.into(), message: message.into() })
    }
}

/// The address that arguments and environment name.
pub fn endpoint_url(args: &ConnectArgs) -> String {
    let names = ["PENSTOCK_ENDPOINT_URL", "AWS_ENDPOINT_URL_CODEPIPELINE", "AWS_ENDPOINT_URL"];
    let from_env = || names.into_iter().find_map(environment::variable);
    args.endpoint_url.clone().or_else(from_env).unwrap_or_else(|| DEFAULT_ENDPOINT.into())
}

/// A server's address, taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Endpoint {
    url: String,
    host: String,
    path: String,
}

impl Endpoint {
    fn parse(url: &str) -> Result<Self, Unusable> {
        let wrong = |why: &str| Unusable::new(format!("--endpoint-url {url}: {why}, as in {DEFAULT_ENDPOINT}"));
        let rest = match url.split_once("://") {
            Some(("http", rest)) => rest,
            Some(("https", _)) => return Err(wrong("this build speaks http:// only")),
            _ => return Err(wrong("write it with http://")),
        };
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if host.is_empty() || host.contains(['@', '?', '#', ' ']) || !path.trim_start_matches('/').is_empty() {
            return Err(wrong("write host and port only"));
        }
        // A client leaves a scheme's own port out of the Host header that is signed.
        let host = host.strip_suffix(":80").unwrap_or(host);
        Ok(Self { url: format!("http://{host}/"), host: host.into(), path: "/".into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart_or_refused() {
        let parsed = Endpoint::parse("http://127.0.0.1:7707/").unwrap();
        assert_eq!((parsed.url.as_str(), parsed.host.as_str()), ("http://127.0.0.1:7707/", "127.0.0.1:7707"));
        assert_eq!(Endpoint::parse("http://[::1]:80").unwrap().host, "[::1]");
        for wrong in ["127.0.0.1:7707", "ftp://x", "https://x", "http://", "http://u@h", "http://h/path"] {
            assert!(Endpoint::parse(wrong).is_err(), "{wrong}");
        }
    }
}
