//! A clock that stands still until it is moved.

use std::sync::atomic::{AtomicI64, Ordering};

use control::ports::Clock;
use model::Timestamp;

/// A clock that tests set and move, also backward.
#[derive(Debug, Default)]
pub struct ManualClock {
    millis: AtomicI64,
}

impl ManualClock {
    /// A clock that shows this time.
    pub fn at(now: Timestamp) -> Self {
        Self { millis: AtomicI64::new(now.0) }
    }

    /// Shows this time from now on.
    pub fn set(&self, now: Timestamp) {
        self.millis.store(now.0, Ordering::SeqCst);
    }

    /// Moves by milliseconds (backward if negative); the time it shows then.
    pub fn advance_millis(&self, millis: i64) -> Timestamp {
        Timestamp(self.millis.fetch_add(millis, Ordering::SeqCst).wrapping_add(millis))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.millis.load(Ordering::SeqCst))
    }
}
