//! The object that a stack's policies lie in.
//!
//! It is fetched by one signed GET, not by S3's SDK: the functions that answer people need nothing else of S3, and the
//! SDK's checksums alone would make them a fifth larger.

use std::sync::OnceLock;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::{Provider as Tls, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorSettings, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use control::ports::{Clock, PortError};
use control::system::SystemClock;
use http::Request;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The largest text of policies, in bytes.
const MAX_BYTES: usize = 1024 * 1024;
/// How long until a connection stands, and until an answer or its next part comes.
const CONNECT: Duration = Duration::from_secs(2);
const READ: Duration = Duration::from_secs(5);
/// What stays as it is in a key's path.
const KEY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// An object in a bucket of the configuration's region.
#[derive(Clone, Debug)]
pub struct PolicyObject {
    config: SdkConfig,
    /// Made at its first use: reading the system's roots takes a while.
    connector: OnceLock<SharedHttpConnector>,
    place: String,
}

impl PolicyObject {
    /// The object at `BUCKET/KEY`.
    pub fn from_config(config: &SdkConfig, place: &str) -> Self {
        Self { config: config.clone(), connector: OnceLock::new(), place: place.into() }
    }

    /// Its text and the tag that names this content; none while it is the one of the tag `known`.
    ///
    /// # Errors
    /// It cannot be read, is no text, or is too large.
    pub async fn read(&self, known: Option<&str>) -> Result<Option<(String, String)>, PortError> {
        let place = format!("s3://{}", self.place);
        let Some((bucket, key)) = self.place.split_once('/') else {
            return Err(PortError::Invalid(format!("{place} names no object: write it as BUCKET/KEY")));
        };
        let unavailable = |why: String| PortError::Unavailable(format!("{place} ({why})"));
        let response = self.get_object(bucket, key, known).await.map_err(unavailable)?;
        let status = response.status().as_u16();
        let tag = response.headers().get("etag").unwrap_or_default().to_owned();
        if status == http::StatusCode::NOT_MODIFIED.as_u16() {
            return Ok(None);
        }
        let body = body(response).await.map_err(unavailable)?;
        if status != http::StatusCode::OK.as_u16() {
            return Err(unavailable(refusal(status, &body)));
        }
        if body.len() > MAX_BYTES {
            return Err(PortError::Invalid(format!("{place} has more than {MAX_BYTES} bytes")));
        }
        let text = String::from_utf8(body).map_err(|_| PortError::Invalid(format!("{place} is no UTF-8")))?;
        Ok(Some((text, tag)))
    }

    async fn get_object(&self, bucket: &str, key: &str, known: Option<&str>) -> Result<HttpResponse, String> {
        let region = self.config.region().map(|region| region.as_ref()).unwrap_or_default();
        let mut request = Request::get(url(self.config.endpoint_url(), region, bucket, key));
        if let Some(known) = known {
            request = request.header("if-none-match", known);
        }
        let mut request = request.body(SdkBody::empty()).map_err(|error| error.to_string())?;
        self.sign(&mut request, region).await?;
        let request = request.try_into().map_err(|error| format!("{error}"))?;
        self.connector.get_or_init(connector).call(request).await.map_err(|error| error.to_string())
    }

    async fn sign(&self, request: &mut Request<SdkBody>, region: &str) -> Result<(), String> {
        let provider = self.config.credentials_provider().ok_or("there are no credentials")?;
        let identity = provider.provide_credentials().await.map_err(|error| error.to_string())?.into();
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        let now = std::time::UNIX_EPOCH + Duration::from_millis(SystemClock.now().0.unsigned_abs());
        let parameters = SigningParams::builder().identity(&identity).region(region).name("s3").time(now);
        let parameters = parameters.settings(settings).build().map_err(|error| error.to_string())?.into();
        let headers = request.headers().iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let url = request.uri().to_string();
        let signable = SignableRequest::new("GET", url, headers, SignableBody::Bytes(&[]));
        let signed = signable.and_then(|signable| sign(signable, &parameters)).map_err(|error| error.to_string())?;
        signed.into_parts().0.apply_to_request_http1x(request);
        Ok(())
    }
}

fn connector() -> SharedHttpConnector {
    let settings = HttpConnectorSettings::builder().connect_timeout(CONNECT).read_timeout(READ).build();
    let builder = Connector::builder().connector_settings(settings);
    SharedHttpConnector::new(builder.tls_provider(Tls::Rustls(CryptoMode::AwsLc)).build())
}

/// Where an object answers: below the endpoint if one is given; else at its bucket's host, unless the bucket's name has
/// dots, for which no certificate holds.
fn url(endpoint: Option<&str>, region: &str, bucket: &str, key: &str) -> String {
    let key = utf8_percent_encode(key, KEY);
    let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    match endpoint {
        Some(endpoint) => format!("{}/{bucket}/{key}", endpoint.trim_end_matches('/')),
        None if bucket.contains('.') => format!("https://s3.{region}.{suffix}/{bucket}/{key}"),
        None => format!("https://{bucket}.s3.{region}.{suffix}/{key}"),
    }
}

/// The body, or as much of it as shows that it is too large.
async fn body(response: HttpResponse) -> Result<Vec<u8>, String> {
    let mut stream = ByteStream::new(response.into_body());
    let mut bytes = Vec::new();
    while bytes.len() <= MAX_BYTES {
        let part = tokio::time::timeout(READ, stream.next()).await;
        match part.map_err(|_| format!("nothing came for {} seconds", READ.as_secs()))? {
            Some(part) => bytes.extend_from_slice(&part.map_err(|error| error.to_string())?),
            None => break,
        }
    }
    Ok(bytes)
}

/// Why S3 refused: the code of its answer, else the status.
fn refusal(status: u16, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
    code.map_or_else(|| format!("status {status}"), |(code, _)| format!("{code}, status {status}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_answers_at_its_buckets_host() {
        for (endpoint, region, bucket, key, url) in [
            (
                None,
                "eu-west-1",
                "who",
                "may/a b+ü.cedar",
                "https://who.s3.eu-west-1.amazonaws.com/may/a%20b%2B%C3%BC.cedar",
            ),
            (None, "eu-west-1", "who.may", "x", "https://s3.eu-west-1.amazonaws.com/who.may/x"),
            (None, "cn-north-1", "who", "x", "https://who.s3.cn-north-1.amazonaws.com.cn/x"),
            (Some("http://127.0.0.1:4566/"), "us-east-1", "who", "x", "http://127.0.0.1:4566/who/x"),
        ] {
            assert_eq!(super::url(endpoint, region, bucket, key), url);
        }
    }

    #[test]
    fn a_refusal_is_told_by_its_code() {
        let body = b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
        assert_eq!(refusal(403, body), "AccessDenied, status 403");
        assert_eq!(refusal(502, b"<html>"), "status 502");
    }
}
