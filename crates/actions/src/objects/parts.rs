//! Large objects in parts: copied from where they lie, or sent from a file.

use std::path::Path;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::{ByteStream, Length};
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, ServerSideEncryption};
use futures::{StreamExt as _, TryStreamExt as _};

use super::{Objects, Storing, Version, moving, source};
use crate::fault::{Access, Fault, why};

/// The least bytes of a part: what is not larger goes in one piece.
pub(super) const PART_BYTES: u64 = 64 * 1024 * 1024;
/// The most parts of an object.
const MAX_PARTS: u64 = 10_000;
/// How many parts S3 copies at a time.
const COPIED_AT_A_TIME: usize = 16;
/// How many parts are sent at a time.
const SENT_AT_A_TIME: usize = 4;
/// How much of a file is read at a time.
const READ_BYTES: usize = 64 * 1024;

/// A part of an object, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    number: i32,
    start: u64,
    length: u64,
}

impl Part {
    fn range(self) -> String {
        format!("bytes={}-{}", self.start, self.start + self.length - 1)
    }
}

/// The parts of an object that is not empty.
fn parts(size: u64) -> Vec<Part> {
    let length = PART_BYTES.max(size.div_ceil(MAX_PARTS));
    let starts = (0..).map(|part| part * length).take_while(|start| *start < size).zip(1..);
    starts.map(|(start, number)| Part { number, start, length: length.min(size - start) }).collect()
}

impl Objects {
    pub(super) async fn copy_in_parts(
        &self,
        from: &Version,
        bucket: &str,
        key: &str,
        storing: &Storing,
    ) -> Result<(), Fault> {
        let upload = self.begin(bucket, key, storing, None).await?;
        let copying = futures::stream::iter(parts(from.size)).map(|part| upload.copy(from, part));
        let copied = copying.buffered(COPIED_AT_A_TIME).try_collect().await;
        upload.end(copied).await
    }

    pub(super) async fn send_in_parts(
        &self,
        from: &Path,
        size: u64,
        bucket: &str,
        key: &str,
        storing: &Storing,
    ) -> Result<(), Fault> {
        let upload = self.begin(bucket, key, storing, Some(ChecksumAlgorithm::Crc32)).await?;
        let sending = futures::stream::iter(parts(size)).map(|part| upload.send(from, part));
        let sent = sending.buffered(SENT_AT_A_TIME).try_collect().await;
        upload.end(sent).await
    }

    async fn begin(
        &self,
        bucket: &str,
        key: &str,
        storing: &Storing,
        checksum: Option<ChecksumAlgorithm>,
    ) -> Result<Upload, Fault> {
        let access = self.access("s3:PutObject", bucket, key);
        let Storing { kms_key, canned_acl, cache_control, content_type, metadata } = storing;
        let create = |client: Client| {
            let create = client.create_multipart_upload().bucket(bucket).key(key);
            let metadata = (!metadata.is_empty()).then(|| metadata.iter().cloned().collect());
            let create = create
                .set_checksum_algorithm(checksum.clone())
                .set_server_side_encryption(kms_key.as_ref().map(|_| ServerSideEncryption::AwsKms))
                .set_ssekms_key_id(kms_key.clone())
                .set_acl(canned_acl.as_deref().map(Into::into))
                .set_cache_control(cache_control.clone())
                .set_content_type(content_type.clone())
                .set_metadata(metadata);
            create.send()
        };
        let (begun, client) = self.reach(create).await.map_err(|error| access.fault(&error))?;
        let id = begun.upload_id().unwrap_or_default().to_owned();
        Ok(Upload { client, bucket: bucket.into(), key: key.into(), id, access })
    }
}

/// An object whose parts are on their way.
struct Upload {
    client: Client,
    bucket: String,
    key: String,
    id: String,
    access: Access,
}

impl Upload {
    async fn copy(&self, from: &Version, part: Part) -> Result<CompletedPart, Fault> {
        let copy = self.client.upload_part_copy().bucket(&self.bucket).key(&self.key).upload_id(&self.id);
        let copy = copy.copy_source(source(from)).set_copy_source_if_match(from.etag.clone());
        let copy = copy.part_number(part.number).copy_source_range(part.range());
        let copied = copy.customize().config_override(moving()).send().await;
        let copied = copied.map_err(|error| self.access.fault(&error))?;
        let etag = copied.copy_part_result().and_then(|result| result.e_tag()).map(str::to_owned);
        Ok(CompletedPart::builder().part_number(part.number).set_e_tag(etag).build())
    }

    async fn send(&self, from: &Path, part: Part) -> Result<CompletedPart, Fault> {
        let body = ByteStream::read_from().path(from).buffer_size(READ_BYTES);
        let body = body.offset(part.start).length(Length::Exact(part.length)).build().await;
        let body = body.map_err(|error| Fault::Later(error.to_string()))?;
        let send = self.client.upload_part().bucket(&self.bucket).key(&self.key).upload_id(&self.id);
        let send = send.part_number(part.number).checksum_algorithm(ChecksumAlgorithm::Crc32).body(body);
        let sent = send.customize().config_override(moving()).send().await;
        let sent = sent.map_err(|error| self.access.fault(&error))?;
        let part = CompletedPart::builder().part_number(part.number).set_e_tag(sent.e_tag);
        Ok(part.set_checksum_crc32(sent.checksum_crc32).build())
    }

    /// Puts the parts together, or gives them up.
    async fn end(self, parts: Result<Vec<CompletedPart>, Fault>) -> Result<(), Fault> {
        let ended = match parts {
            Ok(parts) => self.complete(parts).await,
            Err(fault) => Err(fault),
        };
        if ended.is_err() {
            self.abort().await;
        }
        ended
    }

    async fn complete(&self, parts: Vec<CompletedPart>) -> Result<(), Fault> {
        let whole = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let complete = self.client.complete_multipart_upload().bucket(&self.bucket).key(&self.key).upload_id(&self.id);
        let complete = complete.multipart_upload(whole).customize().config_override(moving());
        complete.send().await.map(|_| ()).map_err(|error| self.access.fault(&error))
    }

    /// Frees what the parts occupy, as well as it can be done: a role may put objects without being allowed to do this.
    async fn abort(&self) {
        let abort = self.client.abort_multipart_upload().bucket(&self.bucket).key(&self.key).upload_id(&self.id);
        if let Err(error) = abort.send().await {
            tracing::warn!(bucket = self.bucket, key = self.key, reason = why(&error), "parts of an object stay");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn large_objects_are_moved_whole() {
        let ranges = |size| parts(size).into_iter().map(Part::range).collect::<Vec<_>>();
        assert_eq!(ranges(128 * MIB), ["bytes=0-67108863", "bytes=67108864-134217727"]);
        assert_eq!(ranges(64 * MIB + 1), ["bytes=0-67108863", "bytes=67108864-67108864"]);
    }

    #[test]
    fn the_largest_object_has_no_more_parts_than_s3_takes() {
        let size = 50 * 1024 * 1024 * MIB - 1;
        let parts = parts(size);
        assert_eq!((parts.len(), parts[9_999].number), (10_000, 10_000));
        assert_eq!(parts.iter().map(|part| part.length).sum::<u64>(), size);
    }
}
