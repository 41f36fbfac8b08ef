//! Function URLs: an event is a request, an answer is a response.

use std::net::{IpAddr, SocketAddr};

use api::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::BodyExt as _;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::errors::FunctionError;

/// A request as a Function URL delivers it (payload format 2.0).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UrlEvent {
    version: String,
    raw_path: String,
    #[serde(default)]
    raw_query_string: String,
    #[serde(default)]
    headers: Map<String, Value>,
    #[serde(default)]
    cookies: Vec<String>,
    /// What Lambda says of the request.
    pub request_context: RequestContext,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

/// What Lambda says of a request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestContext {
    /// The invocation's id: nobody who makes up an event can know it.
    pub request_id: String,
    /// The URL's own name.
    pub domain_name: String,
    /// Who signed, where the URL wants a signature.
    #[serde(default)]
    pub authorizer: Option<Authorizer>,
    http: HttpContext,
}

/// Who signed a request.
#[derive(Debug, Deserialize)]
pub struct Authorizer {
    /// By IAM.
    #[serde(default)]
    pub iam: Option<IamAuthorizer>,
}

/// Who signed a request, as IAM knows them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IamAuthorizer {
    /// The access key.
    pub access_key: String,
    /// The principal's ARN.
    pub user_arn: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct HttpContext {
    method: String,
    source_ip: String,
}

/// Whether an event is a Function URL's.
pub fn is_url_event(event: &Value) -> bool {
    event["version"] == "2.0" && event["requestContext"]["http"].is_object()
}

impl UrlEvent {
    /// Reads an event.
    ///
    /// # Errors
    /// It is none of a Function URL.
    pub fn read(event: &Value) -> Result<Self, FunctionError> {
        let fault = |what: String| FunctionError::InvalidEvent(format!("not a Function URL's event: {what}"));
        let read = Self::deserialize(event).map_err(|error| fault(error.to_string()))?;
        if read.version == "2.0" { Ok(read) } else { Err(fault(format!("version {}", read.version))) }
    }

    /// The address of the connection.
    pub fn peer(&self) -> SocketAddr {
        let address: Option<IpAddr> = self.request_context.http.source_ip.parse().ok();
        SocketAddr::new(address.unwrap_or(IpAddr::from([0, 0, 0, 0])), 0)
    }

    /// The request.
    ///
    /// # Errors
    /// A part that HTTP does not allow.
    pub fn request(&self) -> Result<Request<Bytes>, FunctionError> {
        let fault = |what: &dyn std::fmt::Display| FunctionError::InvalidEvent(format!("not a request: {what}"));
        let body = match (&self.body, self.is_base64_encoded) {
            (None, _) => Bytes::new(),
            (Some(body), false) => Bytes::copy_from_slice(body.as_bytes()),
            (Some(body), true) => STANDARD.decode(body).map_err(|error| fault(&error))?.into(),
        };
        let mut request = Request::new(body);
        *request.method_mut() =
            Method::from_bytes(self.request_context.http.method.as_bytes()).map_err(|e| fault(&e))?;
        let query = if self.raw_query_string.is_empty() { "" } else { "?" };
        let uri: Uri = format!("{}{query}{}", self.raw_path, self.raw_query_string).parse().map_err(|e| fault(&e))?;
        *request.uri_mut() = uri;
        for (name, value) in &self.headers {
            let name: HeaderName = name.parse().map_err(|error| fault(&error))?;
            let value = HeaderValue::from_str(value.as_str().unwrap_or_default()).map_err(|error| fault(&error))?;
            request.headers_mut().append(name, value);
        }
        if !self.cookies.is_empty() {
            let cookies = HeaderValue::from_str(&self.cookies.join("; ")).map_err(|error| fault(&error))?;
            request.headers_mut().insert(header::COOKIE, cookies);
        }
        Ok(request)
    }
}

/// The answer as Lambda takes it.
pub async fn response(response: Response<Body>) -> Value {
    let (parts, body) = response.into_parts();
    let body = match body.collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(never) => match never {},
    };
    let mut headers = Map::new();
    for (name, value) in &parts.headers {
        headers.insert(name.to_string(), json!(String::from_utf8_lossy(value.as_bytes())));
    }
    match std::str::from_utf8(&body) {
        Ok(text) => json!({
            "statusCode": parts.status.as_u16(), "headers": headers, "body": text, "isBase64Encoded": false,
        }),
        Err(_) => json!({
            "statusCode": parts.status.as_u16(), "headers": headers, "body": STANDARD.encode(&body),
            "isBase64Encoded": true,
        }),
    }
}
