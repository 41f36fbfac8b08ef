//! Emulators, as `make test` starts them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::Credentials;

/// An emulator that `make test` starts.
#[derive(Clone, Copy, Debug)]
pub enum Emulator {
    MiniStack,
    DynamoDb,
}

impl Emulator {
    /// Where it answers; none where it was not started, which must not happen in CI.
    pub fn url(self) -> Option<String> {
        let (variable, what) = match self {
            Self::MiniStack => ("PENSTOCK_TEST_MINISTACK", "tests on MiniStack"),
            Self::DynamoDb => ("PENSTOCK_TEST_DYNAMODB", "tests on DynamoDB Local"),
        };
        let set = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
        match std::env::var(variable) {
            Ok(url) => Some(url),
            Err(_) if set("CI", "true") || set("PENSTOCK_REQUIRE_EMULATORS", "1") => {
                panic!("{variable} is not set, but CI or PENSTOCK_REQUIRE_EMULATORS wants {what}")
            }
            Err(_) => {
                eprintln!("SKIPPED: {what} (run through make test)");
                None
            }
        }
    }
}

/// A configuration that takes nothing from the environment and asks nobody.
pub async fn config(url: &str) -> SdkConfig {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(20)).build();
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "tests"))
        .endpoint_url(url)
        .retry_config(RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(20)))
        .timeout_config(timeouts)
        .load()
        .await
}

/// A name that no other test and no other run uses.
pub fn unique(what: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    let run = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    format!("{what}-{run}-{}-{next}", std::process::id())
}
