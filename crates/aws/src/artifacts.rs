//! Artifacts in S3.

mod fetch;
mod marks;
mod source;
mod store;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_config::timeout::TimeoutConfig;
use aws_config::{Region, SdkConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::RequestChecksumCalculation;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use control::ports::{Artifacts, PortError};

use crate::failure::port_error;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// For one attempt at one part; a stream that stands still is given up on much earlier.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(120);
/// What S3 says of a bucket that lies elsewhere.
const REGION_HEADER: &str = "x-amz-bucket-region";

/// Artifacts in S3 buckets of any region. Cheap to clone; clones share clients and what is known of buckets.
#[derive(Clone, Debug)]
pub struct S3Artifacts {
    shared: Arc<Shared>,
    kms_key: Option<String>,
}

#[derive(Debug)]
struct Shared {
    config: SdkConfig,
    /// By region; none is the configuration's own.
    clients: Mutex<HashMap<Option<String>, Client>>,
    /// Buckets that turned out to lie in another region than the configuration's.
    regions: Mutex<HashMap<String, String>>,
}

impl S3Artifacts {
    /// Artifacts under the configuration's credentials, encrypted as the buckets say.
    pub fn new(config: &SdkConfig) -> Self {
        let shared = Shared { config: config.clone(), clients: Mutex::default(), regions: Mutex::default() };
        Self { shared: Arc::new(shared), kms_key: None }
    }

    /// The same, but what is stored is encrypted with this KMS key (id, ARN or alias ARN); none: as the bucket says.
    #[must_use]
    pub fn encrypted_with(&self, kms_key: Option<String>) -> Self {
        Self { shared: Arc::clone(&self.shared), kms_key }
    }

    /// A client of the region where the bucket lies, as far as that is known.
    fn client(&self, bucket: &str) -> Client {
        let region = lock(&self.shared.regions).get(bucket).cloned();
        let mut clients = lock(&self.shared.clients);
        clients.entry(region.clone()).or_insert_with(|| make(&self.shared.config, region)).clone()
    }

    /// Whether a failure says that the bucket lies in another region than thought: then the call is worth repeating.
    fn moved<E>(&self, bucket: &str, error: &SdkError<E>) -> bool {
        let Some(response) = error.raw_response() else { return false };
        let Some(region) = response.headers().get(REGION_HEADER) else { return false };
        let mut regions = lock(&self.shared.regions);
        let own = self.shared.config.region().map(AsRef::as_ref);
        let known = regions.get(bucket).map(String::as_str).or(own);
        if known == Some(region) {
            return false;
        }
        regions.insert(bucket.to_owned(), region.to_owned());
        true
    }
}

#[async_trait]
impl Artifacts for S3Artifacts {
    async fn store(&self, bucket: &str, key: &str, from: &Path) -> Result<(String, u64), PortError> {
        store::store(self, bucket, key, from).await
    }

    async fn fetch(&self, bucket: &str, key: &str, to: &Path) -> Result<(), PortError> {
        fetch::fetch(self, bucket, key, to).await
    }
}

fn make(config: &SdkConfig, region: Option<String>) -> Client {
    let timeouts =
        TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_attempt_timeout(ATTEMPT_TIMEOUT).build();
    let builder = aws_sdk_s3::config::Builder::from(config)
        .timeout_config(timeouts)
        // An emulator's address knows no names of buckets.
        .force_path_style(config.endpoint_url().is_some())
        // The signature covers every byte sent already.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired);
    let region = region.map(Region::new).or_else(|| config.region().cloned());
    Client::from_conf(builder.region(region).build())
}

/// A failed call about an object.
fn failure<E>(bucket: &str, key: &str, error: &SdkError<E>) -> PortError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match error.code() {
        Some("NoSuchKey" | "NotFound") => PortError::NotFound(format!("the artifact s3://{bucket}/{key}")),
        Some("NoSuchBucket") => PortError::NotFound(format!("the bucket {bucket}")),
        _ => port_error(&format!("s3://{bucket}/{key}"), error),
    }
}

/// A file that cannot be read or written.
fn file_failure(path: &Path, error: &std::io::Error) -> PortError {
    match error.kind() {
        std::io::ErrorKind::NotFound => PortError::NotFound(path.display().to_string()),
        std::io::ErrorKind::AlreadyExists => PortError::Invalid(format!("{} exists already", path.display())),
        _ => PortError::Unavailable(format!("{} ({error})", path.display())),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
