//! Points in time, in milliseconds.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z. Shown and timed by; never used to order executions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// This time plus whole minutes.
    pub fn plus_minutes(self, minutes: u32) -> Self {
        Self(self.0.saturating_add(i64::from(minutes) * 60_000))
    }

    /// This time plus milliseconds.
    pub fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` until this time; 0 when it is not later.
    pub fn millis_since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }

    /// Seconds with a fraction, as AWS JSON 1.1 writes timestamps.
    pub fn as_epoch_seconds(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds stay exact until the year 287396")]
        let millis = self.0 as f64;
        millis / 1000.0
    }

    /// `2023-10-26T13:49:39.208Z`, as event details write times.
    pub fn to_iso_millis(self) -> String {
        self.zoned("%Y-%m-%dT%H:%M:%S%.3fZ")
    }

    /// `2020-01-24T22:03:07Z`, as an event's envelope writes its time.
    pub fn to_iso_seconds(self) -> String {
        self.zoned("%Y-%m-%dT%H:%M:%SZ")
    }

    fn zoned(self, format: &str) -> String {
        let clamped = jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        clamped.strftime(format).to_string()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_iso_millis())
    }
}
