//! Which requests were carried out, so that a repeated one does nothing more.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::time::{Duration, Instant};

use control::ports::{Condition, Write};

/// How long a token is remembered.
const MEMORY: Duration = Duration::from_secs(600);
/// The most tokens remembered: what a table of 8,192 places takes. Callers live in this process and always learn an
/// outcome, so that under a load of more than 11 transactions a second a shorter memory harms nobody.
pub(super) const MOST: usize = 7_000;

/// What is known of a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Known {
    /// Nothing.
    New,
    /// It named these writes.
    Same,
    /// It named others.
    Other,
}

/// The tokens of the last ten minutes, as 64-bit hashes under a key of this process.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    hashes: RandomState,
    requests: HashMap<u64, (u64, Instant)>,
    order: VecDeque<(Instant, u64)>,
}

impl Tokens {
    /// Whether a token already named a request.
    pub fn look(&self, token: &str, writes: &[Write], now: Instant) -> Known {
        // Usually nothing is known, and then the writes need not be hashed.
        let name = self.hashes.hash_one(token);
        match self.requests.get(&name) {
            Some((_, at)) if expired(*at, now) => Known::New,
            Some((request, _)) if *request == self.request(writes) => Known::Same,
            Some(_) => Known::Other,
            None => Known::New,
        }
    }

    /// Remembers a request that was carried out.
    pub fn remember(&mut self, token: &str, writes: &[Write], now: Instant) {
        while let Some((at, name)) = self.order.front().copied() {
            if self.order.len() < MOST && !expired(at, now) {
                break;
            }
            self.order.pop_front();
            self.requests.remove(&name);
        }
        let name = self.hashes.hash_one(token);
        self.requests.insert(name, (self.request(writes), now));
        self.order.push_back((now, name));
    }

    fn request(&self, writes: &[Write]) -> u64 {
        let mut hasher = self.hashes.build_hasher();
        for write in writes {
            let condition = match write {
                Write::Put { key, revision, body, condition } => {
                    (0_u8, key, revision, body).hash(&mut hasher);
                    condition
                }
                Write::Delete { key, condition } => {
                    (1_u8, key).hash(&mut hasher);
                    condition
                }
                Write::Check { key, condition } => {
                    (2_u8, key).hash(&mut hasher);
                    condition
                }
            };
            match condition {
                Condition::Absent => 0_u8.hash(&mut hasher),
                Condition::Revision(revision) => (1_u8, revision).hash(&mut hasher),
                Condition::Present => 2_u8.hash(&mut hasher),
                Condition::Always => 3_u8.hash(&mut hasher),
            }
        }
        hasher.finish()
    }
}

fn expired(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) > MEMORY
}
