//! The one configuration of all clients: region and credentials of the environment, retries, timeouts.

use std::time::Duration;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};

/// So often a call is made at most. With what `control` repeats, a transaction is tried for about a second.
const ATTEMPTS: u32 = 4;
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// For one attempt of a call that answers in milliseconds; what moves artifacts has its own.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

/// What the environment lacks.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No region.
    #[error("the environment variable AWS_REGION is not set; it must name a region, as us-east-1")]
    NoRegion,
}

/// The configuration of a function: region and credentials from the environment that Lambda sets, never from the
/// network. `AWS_ENDPOINT_URL` is obeyed.
///
/// # Errors
/// There is no `AWS_REGION`.
pub async fn load_config() -> Result<SdkConfig, ConfigError> {
    let region = std::env::var("AWS_REGION").ok().filter(|region| !region.is_empty()).ok_or(ConfigError::NoRegion)?;
    let retries = RetryConfig::adaptive().with_max_attempts(ATTEMPTS).with_initial_backoff(FIRST_BACKOFF);
    let timeouts =
        TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_attempt_timeout(ATTEMPT_TIMEOUT).build();
    Ok(aws_config::defaults(BehaviorVersion::v2026_01_12())
        .region(Region::new(region))
        .credentials_provider(EnvironmentVariableCredentialsProvider::new())
        .retry_config(retries)
        .timeout_config(timeouts)
        .load()
        .await)
}
