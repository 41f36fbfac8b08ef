//! Uploads: one request for a small file, parts for a large one.

use std::path::Path;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, ServerSideEncryption};
use bytes::Bytes;
use control::ports::PortError;
use tokio::task::JoinSet;

use super::source::Source;
use super::{S3Artifacts, failure};

/// So many parts are sent at a time, each held in memory.
const PARTS_AT_A_TIME: usize = 4;

/// Stores a file; its SHA-256 and size.
pub(super) async fn store(
    store: &S3Artifacts,
    bucket: &str,
    key: &str,
    from: &Path,
) -> Result<(String, u64), PortError> {
    let (first, last, source) = Source::open(from).await?.next().await?;
    if last {
        put(store, bucket, key, &first).await?;
        return Ok(source.finish());
    }
    let upload = Upload::create(store, bucket, key).await?;
    match upload.send(first, source).await {
        Ok(stored) => Ok(stored),
        Err(error) => {
            upload.abort().await;
            Err(error)
        }
    }
}

async fn put(store: &S3Artifacts, bucket: &str, key: &str, content: &Bytes) -> Result<(), PortError> {
    loop {
        let request = store.client(bucket).put_object().bucket(bucket).key(key);
        let request = request.set_server_side_encryption(encryption(store)).set_ssekms_key_id(store.kms_key.clone());
        match request.body(ByteStream::from(content.clone())).send().await {
            Ok(_) => return Ok(()),
            Err(error) if store.moved(bucket, &error) => {}
            Err(error) => return Err(failure(bucket, key, &error)),
        }
    }
}

fn encryption(store: &S3Artifacts) -> Option<ServerSideEncryption> {
    store.kms_key.as_ref().map(|_| ServerSideEncryption::AwsKms)
}

/// An upload in parts.
#[derive(Clone)]
struct Upload {
    client: Client,
    bucket: String,
    key: String,
    id: String,
}

impl Upload {
    async fn create(store: &S3Artifacts, bucket: &str, key: &str) -> Result<Self, PortError> {
        loop {
            let client = store.client(bucket);
            let request = client.create_multipart_upload().bucket(bucket).key(key);
            let request = request.set_server_side_encryption(encryption(store));
            match request.set_ssekms_key_id(store.kms_key.clone()).send().await {
                Ok(answer) => {
                    let id = answer
                        .upload_id
                        .ok_or_else(|| PortError::Unavailable(format!("s3://{bucket}/{key} (its upload got no id)")))?;
                    return Ok(Self { client, bucket: bucket.to_owned(), key: key.to_owned(), id });
                }
                Err(error) if store.moved(bucket, &error) => {}
                Err(error) => return Err(failure(bucket, key, &error)),
            }
        }
    }

    async fn send(&self, first: Bytes, source: Source) -> Result<(String, u64), PortError> {
        let mut sending = JoinSet::new();
        let mut parts = Vec::new();
        let (mut part, mut last, mut source) = (first, false, source);
        for number in 1.. {
            if sending.len() == PARTS_AT_A_TIME {
                parts.extend(joined(&mut sending).await?);
            }
            sending.spawn(self.clone().part(number, part));
            if last {
                break;
            }
            (part, last, source) = source.next().await?;
            if part.is_empty() {
                break;
            }
        }
        while let Some(part) = joined(&mut sending).await? {
            parts.push(part);
        }
        parts.sort_unstable_by_key(CompletedPart::part_number);
        self.complete(parts).await?;
        Ok(source.finish())
    }

    async fn part(self, number: i32, content: Bytes) -> Result<CompletedPart, PortError> {
        let request = self.client.upload_part().bucket(&self.bucket).key(&self.key).upload_id(&self.id);
        let sent = request.part_number(number).body(ByteStream::from(content)).send().await;
        let answer = sent.map_err(|error| failure(&self.bucket, &self.key, &error))?;
        Ok(CompletedPart::builder().part_number(number).set_e_tag(answer.e_tag).build())
    }

    async fn complete(&self, parts: Vec<CompletedPart>) -> Result<(), PortError> {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let request = self.client.complete_multipart_upload().bucket(&self.bucket).key(&self.key);
        let sent = request.upload_id(&self.id).multipart_upload(parts).send().await;
        sent.map(|_| ()).map_err(|error| failure(&self.bucket, &self.key, &error))
    }

    /// Frees what the parts occupy. Best effort: the bucket's lifecycle rule removes what stays.
    async fn abort(&self) {
        let request = self.client.abort_multipart_upload().bucket(&self.bucket).key(&self.key);
        if let Err(error) = request.upload_id(&self.id).send().await {
            let reason = crate::failure::reason(&error);
            tracing::warn!(bucket = self.bucket, key = self.key, reason, "an upload could not be aborted");
        }
    }
}

/// The next part that is done, if any is on its way.
async fn joined(sending: &mut JoinSet<Result<CompletedPart, PortError>>) -> Result<Option<CompletedPart>, PortError> {
    match sending.join_next().await {
        None => Ok(None),
        Some(Ok(part)) => part.map(Some),
        Some(Err(_)) => Err(PortError::Unavailable("the upload (its task ended)".into())),
    }
}
