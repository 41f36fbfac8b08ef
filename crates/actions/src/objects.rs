//! Objects in S3, under an action's role: artifacts, sources and what is deployed.

use std::path::Path;

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, MetadataDirective, ServerSideEncryption,
};
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
/// How much of a larger one is copied at a time.
const PART_BYTES: u64 = 1024 * 1024 * 1024;
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

    /// What is known of an object; none if it is not there.
    pub(crate) async fn head(
        &self,
        bucket: &str,
        key: &str,
        version: Option<&str>,
    ) -> Result<Option<HeadObjectOutput>, Fault> {
        let head = |client: &Client| {
            client.head_object().bucket(bucket).key(key).set_version_id(version.map(Into::into)).send()
        };
        let found = match head(&self.client).await {
            Err(error) => match self.elsewhere(&error) {
                Some(there) => head(&there).await,
                None => Err(error),
            },
            found => found,
        };
        match found {
            Ok(found) => Ok(Some(found)),
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

    async fn get(&self, bucket: &str, key: &str) -> Result<ByteStream, Fault> {
        let get = |client: &Client| client.get_object().bucket(bucket).key(key).send();
        let got = match get(&self.client).await {
            Err(error) => match self.elsewhere(&error) {
                Some(there) => get(&there).await,
                None => Err(error),
            },
            got => got,
        };
        got.map(|got| got.body).map_err(|error| self.access("s3:GetObject", bucket, key).fault(&error))
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
        let body = ByteStream::from_path(from).await.map_err(|error| Fault::Later(error.to_string()))?;
        self.put(&artifact.bucket, &artifact.key, body, storing).await?;
        Ok(ArtifactLocation { digest: Some(digest), size: Some(size), ..artifact.clone() })
    }

    /// Puts an object.
    pub(crate) async fn put(&self, bucket: &str, key: &str, body: ByteStream, storing: &Storing) -> Result<(), Fault> {
        let Storing { kms_key, canned_acl, cache_control, content_type, metadata } = storing;
        let put = self.client.put_object().bucket(bucket).key(key).body(body);
        let metadata = (!metadata.is_empty()).then(|| metadata.iter().cloned().collect());
        let put = put
            .set_server_side_encryption(kms_key.as_ref().map(|_| ServerSideEncryption::AwsKms))
            .set_ssekms_key_id(kms_key.clone())
            .set_acl(canned_acl.as_deref().map(Into::into))
            .set_cache_control(cache_control.clone())
            .set_content_type(content_type.clone())
            .set_metadata(metadata);
        put.send().await.map(|_| ()).map_err(|error| self.access("s3:PutObject", bucket, key).fault(&error))
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
        let copied = self
            .client
            .copy_object()
            .copy_source(source(from))
            .set_copy_source_if_match(from.etag.clone())
            .bucket(bucket)
            .key(key)
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .set_metadata_directive(described.then_some(MetadataDirective::Replace))
            .set_server_side_encryption(kms_key.as_ref().map(|_| ServerSideEncryption::AwsKms))
            .set_ssekms_key_id(kms_key.clone())
            .set_acl(canned_acl.as_deref().map(Into::into))
            .set_cache_control(cache_control.clone())
            .set_content_type(content_type.clone())
            .send()
            .await
            // What is read was looked at before, under the same role.
            .map_err(|error| self.access("s3:PutObject", bucket, key).fault(&error))?;
        let sum = copied.copy_object_result().and_then(|result| result.checksum_sha256());
        Ok(sum.and_then(|sum| STANDARD.decode(sum).ok()).map(|sum| hex(&sum)))
    }

    async fn copy_in_parts(&self, from: &Version, bucket: &str, key: &str, storing: &Storing) -> Result<(), Fault> {
        let access = self.access("s3:PutObject", bucket, key);
        let Storing { kms_key, canned_acl, cache_control, content_type, .. } = storing;
        let begun = self
            .client
            .create_multipart_upload()
            .bucket(bucket)
            .key(key)
            .set_server_side_encryption(kms_key.as_ref().map(|_| ServerSideEncryption::AwsKms))
            .set_ssekms_key_id(kms_key.clone())
            .set_acl(canned_acl.as_deref().map(Into::into))
            .set_cache_control(cache_control.clone())
            .set_content_type(content_type.clone())
            .send()
            .await
            .map_err(|error| access.fault(&error))?;
        let upload = begun.upload_id().unwrap_or_default();
        let ranges = ranges(from.size).into_iter().zip(1..);
        let parts = futures::future::try_join_all(ranges.map(|(range, number)| async move {
            let part = self.client.upload_part_copy().bucket(bucket).key(key).upload_id(upload).part_number(number);
            let part = part.copy_source(source(from)).set_copy_source_if_match(from.etag.clone());
            let copied = part.copy_source_range(range).send().await;
            let copied = copied.map_err(|error| self.access("s3:PutObject", bucket, key).fault(&error))?;
            let etag = copied.copy_part_result().and_then(|result| result.e_tag()).map(str::to_owned);
            Ok::<_, Fault>(CompletedPart::builder().part_number(number).set_e_tag(etag).build())
        }));
        let parts = parts.await?;
        let whole = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let complete = self.client.complete_multipart_upload().bucket(bucket).key(key).upload_id(upload);
        complete.multipart_upload(whole).send().await.map(|_| ()).map_err(|error| access.fault(&error))
    }
}

/// `CopySource`.
fn source(from: &Version) -> String {
    let place = format!("{}/{}", from.bucket, utf8_percent_encode(&from.key, PLAIN));
    match &from.version {
        Some(version) => format!("{place}?versionId={version}"),
        None => place,
    }
}

/// The ranges that a large object is copied in.
fn ranges(size: u64) -> Vec<String> {
    let starts = (0..).map(|part| part * PART_BYTES).take_while(|start| *start < size);
    starts.map(|start| format!("bytes={start}-{}", (start + PART_BYTES).min(size) - 1)).collect()
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
mod tests {
    use super::*;

    #[test]
    fn copies_name_their_source_escaped() {
        let mut from = Version {
            bucket: "b".into(),
            key: "a dir/ü+1.zip".into(),
            version: Some("v.1".into()),
            etag: None,
            size: 1,
        };
        assert_eq!(source(&from), "b/a%20dir/%C3%BC%2B1.zip?versionId=v.1");
        from.version = None;
        assert_eq!(source(&from), "b/a%20dir/%C3%BC%2B1.zip");
    }

    #[test]
    fn large_objects_are_copied_whole() {
        let gib = 1024 * 1024 * 1024;
        assert_eq!(ranges(2 * gib), ["bytes=0-1073741823", "bytes=1073741824-2147483647"]);
        assert_eq!(ranges(gib + 1).last().unwrap(), "bytes=1073741824-1073741824");
    }
}
