//! The object that a stack's policies lie in.

use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use control::ports::PortError;

use crate::failure::port_error;

/// The largest text of policies, in bytes.
const MAX_BYTES: i64 = 1024 * 1024;
/// How S3 says that an object is still the one that is known.
const NOT_MODIFIED: u16 = 304;

/// An object in a bucket of the configuration's region.
#[derive(Clone, Debug)]
pub struct PolicyObject {
    client: Client,
    place: String,
}

impl PolicyObject {
    /// The object at `BUCKET/KEY`.
    pub fn from_config(config: &SdkConfig, place: &str) -> Self {
        let builder = aws_sdk_s3::config::Builder::from(config).force_path_style(config.endpoint_url().is_some());
        Self { client: Client::from_conf(builder.build()), place: place.into() }
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
        let request = self.client.get_object().bucket(bucket).key(key).set_if_none_match(known.map(str::to_owned));
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) if error.raw_response().is_some_and(|raw| raw.status().as_u16() == NOT_MODIFIED) => {
                return Ok(None);
            }
            Err(error) => return Err(port_error(&place, &error)),
        };
        if answer.content_length().is_none_or(|length| length > MAX_BYTES) {
            return Err(PortError::Invalid(format!("{place} has more than {MAX_BYTES} bytes")));
        }
        let tag = answer.e_tag().unwrap_or_default().to_owned();
        let body = answer.body.collect().await;
        let body = body.map_err(|error| PortError::Unavailable(format!("{place} ({error})")))?;
        let text = String::from_utf8(body.to_vec()).map_err(|_| PortError::Invalid(format!("{place} is no UTF-8")))?;
        Ok(Some((text, tag)))
    }
}
