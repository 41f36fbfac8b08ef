//! The whole API over tables in memory: every route, every operation, and requests that botocore signed.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod api;
