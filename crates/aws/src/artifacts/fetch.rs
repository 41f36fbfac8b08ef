//! Downloads: streamed to a file, taken up again where a connection broke.

use std::path::Path;

use aws_sdk_s3::primitives::ByteStream;
use control::ports::PortError;
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt;

use super::{S3Artifacts, failure, file_failure};

/// So often a download goes on after its connection broke.
const RESUMES: u32 = 3;

/// Writes an object to a new file; a failed download leaves none.
pub(super) async fn fetch(store: &S3Artifacts, bucket: &str, key: &str, to: &Path) -> Result<(), PortError> {
    let opened = OpenOptions::new().write(true).create_new(true).open(to).await;
    let mut target = Target { file: opened.map_err(|error| file_failure(to, &error))?, path: to, written: 0 };
    let done = download(store, bucket, key, &mut target).await;
    if done.is_err()
        && let Err(error) = tokio::fs::remove_file(to).await
    {
        tracing::warn!(path = %to.display(), %error, "half an artifact could not be removed");
    }
    done
}

async fn download(store: &S3Artifacts, bucket: &str, key: &str, target: &mut Target<'_>) -> Result<(), PortError> {
    let mut etag = None;
    let mut resumes = 0;
    loop {
        let request = store.client(bucket).get_object().bucket(bucket).key(key);
        // The rest must be of the same object.
        let range = (target.written > 0).then(|| format!("bytes={}-", target.written));
        let answer = match request.set_range(range).set_if_match(etag.clone()).send().await {
            Ok(answer) => answer,
            Err(error) if store.moved(bucket, &error) => continue,
            Err(error) => return Err(failure(bucket, key, &error)),
        };
        etag = answer.e_tag;
        match target.take(answer.body).await? {
            None => return target.finish().await,
            Some(broken) if resumes == RESUMES || etag.is_none() => {
                return Err(PortError::Unavailable(format!("s3://{bucket}/{key} ({broken})")));
            }
            Some(broken) => {
                tracing::warn!(bucket, key, written = target.written, broken, "a download is taken up again");
                resumes += 1;
            }
        }
    }
}

struct Target<'a> {
    file: File,
    path: &'a Path,
    written: u64,
}

impl Target<'_> {
    /// Writes what comes; why it broke, if it did.
    async fn take(&mut self, mut body: ByteStream) -> Result<Option<String>, PortError> {
        loop {
            match body.try_next().await {
                Ok(Some(chunk)) => {
                    self.file.write_all(&chunk).await.map_err(|error| file_failure(self.path, &error))?;
                    self.written += chunk.len() as u64;
                }
                Ok(None) => return Ok(None),
                Err(error) => return Ok(Some(error.to_string())),
            }
        }
    }

    async fn finish(&mut self) -> Result<(), PortError> {
        self.file.flush().await.map_err(|error| file_failure(self.path, &error))
    }
}
