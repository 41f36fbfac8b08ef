//! Choices of a run: all follow from its seed.

use std::sync::Arc;

use crate::entropy::SeededEntropy;

/// A source of choices; clones share it.
#[derive(Clone, Debug)]
pub struct Dice(Arc<SeededEntropy>);

impl Dice {
    /// The choices of this seed.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(SeededEntropy::new(seed)))
    }

    /// A number from `low` to `high`, both included.
    pub fn range(&self, low: i64, high: i64) -> i64 {
        let width = u64::try_from(high.saturating_sub(low)).unwrap_or(0).saturating_add(1);
        low.saturating_add(i64::try_from(self.0.below(width)).unwrap_or(0))
    }

    /// A number of things from `low` to `high`, both included.
    pub fn count(&self, low: usize, high: usize) -> usize {
        low + self.index(high.saturating_sub(low) + 1)
    }

    /// A place in a list of this length; 0 for an empty one.
    pub fn index(&self, length: usize) -> usize {
        usize::try_from(self.0.below(u64::try_from(length).unwrap_or(1))).unwrap_or(0)
    }

    /// True in `percent` of 100 cases.
    pub fn chance(&self, percent: u64) -> bool {
        self.0.chance(percent)
    }

    /// True in `share` of 10,000 cases; asks nothing of the dice when that is never.
    pub fn rarely(&self, share: u64) -> bool {
        share > 0 && self.0.below(10_000) < share
    }

    /// One of these.
    pub fn pick<'a, T>(&self, among: &'a [T]) -> Option<&'a T> {
        among.get(self.index(among.len()))
    }

    /// One of these, or the default where there is none.
    pub fn one<T: Copy + Default>(&self, among: &[T]) -> T {
        self.pick(among).copied().unwrap_or_default()
    }
}
