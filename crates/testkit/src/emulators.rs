//! Emulators, as `make test` starts them.

use std::sync::atomic::{AtomicU32, Ordering};

use uuid::Uuid;

/// An emulator that `make test` starts.
#[derive(Clone, Copy, Debug)]
pub enum Emulator {
    /// Most of AWS.
    MiniStack,
    /// DynamoDB Local.
    DynamoDb,
}

impl Emulator {
    /// Where it answers; none where it was not started, which is said.
    ///
    /// # Panics
    /// It was not started in CI.
    #[expect(clippy::print_stderr, reason = "a test says what it skips")]
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

/// A name that no other test and no other run uses.
pub fn unique(what: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{what}-{}-{next}", Uuid::new_v4().simple())
}
