//! Marks of artifacts that may go: a tag that the bucket's lifecycle rule looks for. Other tags of an object stay.

use async_trait::async_trait;
use aws_sdk_s3::types::{Tag, Tagging};
use control::expiring::ArtifactMarks;
use control::ports::PortError;

use super::{S3Artifacts, failure};

/// The tag; its value is `true`.
const EXPIRES: &str = "penstock-expires";

#[async_trait]
impl ArtifactMarks for S3Artifacts {
    async fn mark(&self, bucket: &str, key: &str, expires: bool) -> Result<(), PortError> {
        match mark(self, bucket, key, expires).await {
            // It was never stored, or has gone already.
            Err(PortError::NotFound(_)) => Ok(()),
            done => done,
        }
    }
}

async fn mark(store: &S3Artifacts, bucket: &str, key: &str, expires: bool) -> Result<(), PortError> {
    let client = store.client(bucket);
    let found = client.get_object_tagging().bucket(bucket).key(key).send().await;
    let before = found.map_err(|error| failure(bucket, key, &error))?.tag_set;
    let is_marked = before.iter().any(|tag| tag.key == EXPIRES && tag.value == "true");
    if is_marked == expires {
        return Ok(());
    }
    let others = before.into_iter().filter(|tag| tag.key != EXPIRES);
    let own = expires.then(|| Tag::builder().key(EXPIRES).value("true").build()).transpose();
    let fault = |error| PortError::Invalid(format!("tags of s3://{bucket}/{key} ({error})"));
    let tags = others.chain(own.map_err(fault)?).collect();
    let tagging = Tagging::builder().set_tag_set(Some(tags)).build().map_err(fault)?;
    let put = client.put_object_tagging().bucket(bucket).key(key).tagging(tagging).send().await;
    put.map(|_| ()).map_err(|error| failure(bucket, key, &error))
}
