//! Objects in S3, under an action's role: artifacts, sources and what is deployed.

mod parts;

use std::path::Path;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::StalledStreamProtectionConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_sdk_s3::types::{ChecksumAlgorithm, MetadataDirective, ServerSideEncryption};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_types::SdkConfig;
use aws_types::region::Region;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use control::hexadecimal::hex;
use engine::ArtifactLocation;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::configuration::partition;
use crate::fault::{Access, Fault, scratch};

/// The largest object that one CopyObject copies.
const MAX_COPY_BYTES: u64 = 5 * 1024 * 1024 * 1024;
/// For one attempt of a call that lasts the longer the more it moves: the copy of such an object, or the way of a part.
const MOVING_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// What stands unescaped in a copy's source.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Objects as one role sees them. What lies in a bucket of another region is read there.
pub(crate) struct Objects {
    client: Client,
    config: SdkConfig,
    role: String,
}

/// One version of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) bucket: String,
    pub(crate) key: String,
    /// None in a bucket without versions.
    pub(crate) version: Option<String>,
    /// What the content must have.
    pub(crate) etag: Option<String>,
    pub(crate) size: u64,
}

/// How something is stored.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Storing {
    /// The KMS key; that of the bucket when none.
    pub(crate) kms_key: Option<String>,
    pub(crate) canned_acl: Option<String>,
    pub(crate) cache_control: Option<String>,
    pub(crate) content_type: Option<String>,
    /// Metadata of the object's user.
    pub(crate) metadata: Vec<(String, String)>,
}

impl Objects {
    pub(crate) fn new(config: &SdkConfig, role: &str) -> Self {
        // An emulator answers under one name for all buckets.
        let path_style = config.endpoint_url().is_some();
        let s3 = aws_sdk_s3::config::Builder::from(config).force_path_style(path_style).build();
        Self { client: Client::from_conf(s3), config: config.clone(), role: role.into() }
    }

    fn access(&self, verb: &'static str, bucket: &str, key: &str) -> Access {
        let partition = partition(self.config.region().map_or("", |region| region.as_ref()));
        Access::new(&self.role, verb, format!("arn:{partition}:s3:::{bucket}/{key}"))
    }

    /// A client for the region in which, as the answer says, the bucket is.
    fn elsewhere<E>(&self, error: &SdkError<E, HttpResponse>) -> Option<Client> {
        let raw = error.raw_response().filter(|raw| matches!(raw.status().as_u16(), 301 | 400))?;
        let region = raw.headers().get("x-amz-bucket-region")?;
        let here = self.config.region().map(|region| region.as_ref());
        let config = self.config.to_builder().region(Region::new(region.to_owned())).build();
        (here != Some(region)).then(|| Self::new(&config, &self.role).client)
    }

    /// Makes a call here, and again in the bucket's region where that is another one; the client that got the answer.
    async fn reach<T, E, F>(&self, call: impl Fn(Client) -> F) -> Result<(T, Client), SdkError<E, HttpResponse>>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        let here = Client::clone(&self.client);
        match call(here.clone()).await {
            Ok(answer) => Ok((answer, here)),
            Err(error) => match self.elsewhere(&error) {
                Some(there) => call(there.clone()).await.map(|answer| (answer, there)),
                None => Err(error),
            },
        }
    }

    /// What is known of an object; none if it is not there.
    pub(crate) async fn head(
        &self,
        bucket: &str,
        key: &str,
        version: Option<&str>,
    ) -> Result<Option<HeadObjectOutput>, Fault> {
        let head = |client: Client| {
            client.head_object().bucket(bucket).key(key).set_version_id(version.map(Into::into)).send()
        };
        match self.reach(head).await {
            Ok((found, _)) => Ok(Some(found)),
            Err(error) => {
                let status = error.raw_response().map_or(0, |raw| raw.status().as_u16());
                // A version that cannot be one is refused without a word; a delete marker is no object to look at.
                if status == 404 || (version.is_some() && matches!(status, 400 | 405)) {
                    return Ok(None);
                }
                let verb = if version.is_some() { "s3:GetObjectVersion" } else { "s3:GetObject" };
                Err(self.access(verb, bucket, key).fault(&error))
            }
        }
    }

    /// The newest version of an artifact.
    pub(crate) async fn newest(&self, artifact: &ArtifactLocation) -> Result<Version, Fault> {
        let head = self.head(&artifact.bucket, &artifact.key, None).await?;
        let head = head.ok_or_else(|| Fault::job(format!("the artifact {} is gone", artifact.name)))?;
        Ok(Version {
            bucket: artifact.bucket.clone(),
            key: artifact.key.clone(),
            version: head.version_id().filter(|id| *id != "null").map(Into::into),
            etag: head.e_tag().map(Into::into),
            size: head.content_length().and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
        })
    }

    async fn get(&self, bucket: &str, key: &str) -> Result<ByteStream, Fault> {
        let got = self.reach(|client| client.get_object().bucket(bucket).key(key).send()).await;
        got.map(|(got, _)| got.body).map_err(|error| self.access("s3:GetObject", bucket, key).fault(&error))
    }

    /// Writes an artifact to a file.
    pub(crate) async fn fetch(&self, artifact: &ArtifactLocation, to: &Path) -> Result<(), Fault> {
        let mut body = self.get(&artifact.bucket, &artifact.key).await?;
        let mut file = tokio::fs::File::create(to).await.map_err(|error| scratch(&error))?;
        while let Some(part) = body.next().await {
            let part = part.map_err(|error| Fault::Unknown(format!("an object broke off: {error}")))?;
            file.write_all(&part).await.map_err(|error| scratch(&error))?;
        }
        file.flush().await.map_err(|error| scratch(&error))
    }

    /// An object that fits into memory.
    pub(crate) async fn small(&self, bucket: &str, key: &str, at_most: u64) -> Result<Vec<u8>, Fault> {
        let mut body = self.get(bucket, key).await?;
        let mut content = Vec::new();
        while let Some(part) = body.next().await {
            let part = part.map_err(|error| Fault::Unknown(format!("an object broke off: {error}")))?;
            content.extend_from_slice(&part);
            if u64::try_from(content.len()).unwrap_or(u64::MAX) > at_most {
                return Err(Fault::job(format!("s3://{bucket}/{key} has more than {at_most} bytes")));
            }
        }
        Ok(content)
    }

    /// Stores a file as an artifact; its location, with digest and size.
    pub(crate) async fn store(
        &self,
        artifact: &ArtifactLocation,
        from: &Path,
        storing: &Storing,
    ) -> Result<ArtifactLocation, Fault> {
        let (digest, size) = digest_of(from).await.map_err(|error| scratch(&error))?;
        self.put_file(&artifact.bucket, &artifact.key, from, storing).await?;
        Ok(ArtifactLocation { digest: Some(digest), size: Some(size), ..artifact.clone() })
    }

    /// Puts a file as an object.
    pub(crate) async fn put_file(&self, bucket: &str, key: &str, from: &Path, storing: &Storing) -> Result<(), Fault> {
        let size = tokio::fs::metadata(from).await.map_err(|error| scratch(&error))?.len();
        if size > parts::PART_BYTES {
            return self.send_in_parts(from, size, bucket, key, storing).await;
        }
        let body = ByteStream::from_path(from).await.map_err(|error| Fault::Later(error.to_string()))?;
        self.put(bucket, key, body, storing).await
    }

    /// Puts an object.
    pub(crate) async fn put(&self, bucket: &str, key: &str, body: ByteStream, storing: &Storing) -> Result<(), Fault> {
        let Storing { kms_key, canned_acl, cache_control, content_type, metadata } = storing;
        let body = body.into_inner();
        let put = |client: Client| {
            // Bytes and files can be sent as often as one likes.
            let body = body.try_clone().unwrap_or_else(SdkBody::taken);
            let put = client.put_object().bucket(bucket).key(key).body(ByteStream::new(body));
            let metadata = (!metadata.is_empty()).then(|| metadata.iter().cloned().collect());
            let put = put
                .set_server_side_encryption(kms_key.as_ref().map(|_| ServerSideEncryption::AwsKms))
                .set_ssekms_key_id(kms_key.clone())
                .set_acl(canned_acl.as_deref().map(Into::into))
                .set_cache_control(cache_control.clone())
                .set_content_type(content_type.clone())
                .set_metadata(metadata);
            put.customize().config_override(moving()).send()
        };
        self.reach(put).await.map(|_| ()).map_err(|error| self.access("s3:PutObject", bucket, key).fault(&error))
    }

    /// Copies an object without fetching it; the copy's SHA-256 (hexadecimal) where S3 tells it.
    pub(crate) async fn copy(
        &self,
        from: &Version,
        bucket: &str,
        key: &str,
        storing: &Storing,
    ) -> Result<Option<String>, Fault> {
        if from.size > MAX_COPY_BYTES {
            return self.copy_in_parts(from, bucket, key, storing).await.map(|()| None);
        }
        let Storing { kms_key, canned_acl, cache_control, content_type, .. } = storing;
        // What describes the content is kept, unless something of it is to be another.
        let described = cache_control.is_some() || content_type.is_some();
        let copy = |client: Client| {
            let copy = client.copy_object().copy_source(source(from)).set_copy_source_if_match(from.etag.clone());
            let copy = copy
                .bucket(bucket)
                .key(key)
                .checksum_algorithm(ChecksumAlgorithm::Sha256)
                .set_metadata_directive(described.then_some(MetadataDirective::Replace))
                .set_server_side_encryption(kms_key.as_ref().map(|_| ServerSideEncryption::AwsKms))
                .set_ssekms_key_id(kms_key.clone())
                .set_acl(canned_acl.as_deref().map(Into::into))
                .set_cache_control(cache_control.clone())
                .set_content_type(content_type.clone());
            copy.customize().config_override(moving()).send()
        };
        // What is read was looked at before, under the same role.
        let copied = self.reach(copy).await.map_err(|error| self.access("s3:PutObject", bucket, key).fault(&error));
        let (copied, _) = copied?;
        let sum = copied.copy_object_result().and_then(|result| result.checksum_sha256());
        Ok(sum.and_then(|sum| STANDARD.decode(sum).ok()).map(|sum| hex(&sum)))
    }
}

/// How calls are made that move something. While S3 copies it says nothing for long; it is not stalled then.
fn moving() -> aws_sdk_s3::config::Builder {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(MOVING_TIMEOUT).build();
    let stalled = StalledStreamProtectionConfig::enabled().download_enabled(false).build();
    aws_sdk_s3::config::Builder::new().timeout_config(timeouts).stalled_stream_protection(stalled)
}

/// `CopySource`.
fn source(from: &Version) -> String {
    let place = format!("{}/{}", from.bucket, utf8_percent_encode(&from.key, PLAIN));
    match &from.version {
        Some(version) => format!("{place}?versionId={version}"),
        None => place,
    }
}

/// SHA-256 (hexadecimal) and size of a file.
async fn digest_of(path: &Path) -> std::io::Result<(String, u64)> {
    let mut file = tokio::fs::File::open(path).await?;
    let (mut hasher, mut size) = (Sha256::new(), 0);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let read = file.read(&mut buffer).await?;
        if read == 0 {
            return Ok((hex(&hasher.finalize()), size));
        }
        hasher.update(buffer.get(..read).unwrap_or_default());
        size += u64::try_from(read).unwrap_or(0);
    }
}

#[cfg(test)]
mod tests;
