//! Throttling: a token bucket in memory for each principal and operation. No request writes anything for it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use model::Timestamp;

/// The most buckets kept. One that is full again is as good as none.
const MAX_BUCKETS: usize = 10_000;

/// How many requests a principal may make of one operation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// In the long run, a second.
    pub per_second: f64,
    /// At once.
    pub burst: f64,
}

/// Enough for any honest client on one machine: it keeps a loop without a pause from taking everything.
pub const USUAL: Rate = Rate { per_second: 20_000.0, burst: 40_000.0 };

#[derive(Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Timestamp,
}

/// The buckets of a process.
pub struct Throttle {
    rate: Rate,
    buckets: Mutex<HashMap<(String, String), Bucket>>,
}

impl Default for Throttle {
    fn default() -> Self {
        Self::new(USUAL)
    }
}

impl Throttle {
    /// Buckets that fill at this rate.
    pub fn new(rate: Rate) -> Self {
        Self { rate, buckets: Mutex::default() }
    }

    /// Whether a principal may make one more request of an operation now; it is counted.
    pub fn admit(&self, principal: &str, operation: &str, now: Timestamp) -> bool {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MAX_BUCKETS {
            let rate = self.rate;
            buckets.retain(|_, bucket| bucket.filled(rate, now) < rate.burst);
            if buckets.len() >= MAX_BUCKETS {
                buckets.clear();
            }
        }
        let full = Bucket { tokens: self.rate.burst, at: now };
        let bucket = buckets.entry((principal.to_owned(), operation.to_owned())).or_insert(full);
        let tokens = bucket.filled(self.rate, now);
        let admitted = tokens >= 1.0;
        *bucket = Bucket { tokens: if admitted { tokens - 1.0 } else { tokens }, at: now.max(bucket.at) };
        admitted
    }
}

impl Bucket {
    fn filled(&self, rate: Rate, now: Timestamp) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds between two requests are few")]
        let seconds = now.millis_since(self.at) as f64 / 1000.0;
        (self.tokens + seconds * rate.per_second).min(rate.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_let_in_then_the_rate() {
        let throttle = Throttle::new(Rate { per_second: 2.0, burst: 3.0 });
        let at = |millis: i64| Timestamp(1_000_000 + millis);
        let admitted = |now| throttle.admit("ada", "GetPipeline", now);
        assert_eq!([0, 0, 0, 0].map(|millis| admitted(at(millis))), [true, true, true, false]);
        assert!(throttle.admit("bob", "GetPipeline", at(0)) && throttle.admit("ada", "ListPipelines", at(0)));
        assert_eq!([400, 500, 500, 1_000, 999].map(|millis| admitted(at(millis))), [false, true, false, true, false]);
        assert_eq!([100_000; 4].map(|millis| admitted(at(millis))), [true, true, true, false]);
    }

    #[test]
    fn buckets_are_bounded() {
        let throttle = Throttle::new(Rate { per_second: 1.0, burst: 1.0 });
        for client in 0..3 * MAX_BUCKETS {
            throttle.admit(&client.to_string(), "GetPipeline", Timestamp(0));
        }
        assert!(throttle.buckets.lock().unwrap().len() <= MAX_BUCKETS);
    }
}
