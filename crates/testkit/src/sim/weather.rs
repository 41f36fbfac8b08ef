//! What goes wrong in a run, and how often.

use super::dice::Dice;

/// How often what goes wrong: shares of 10,000 operations or steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weather {
    /// Table operations that are throttled.
    pub throttled: u64,
    /// Table operations that are not carried out.
    pub unavailable: u64,
    /// Table operations that are carried out, but say that they were not.
    pub unknown: u64,
    /// Transactions that fail although every condition holds.
    pub conflict: u64,
    /// Steps at which the process ends.
    pub crash: u64,
    /// Whether a crash loses what was not flushed.
    pub lossy: bool,
    /// Steps at which one task dies.
    pub death: u64,
    /// Steps at which a row is delivered although it is being consumed.
    pub duplicate: u64,
    /// Steps at which a row is delivered that was consumed long ago, or is not due yet.
    pub stale: u64,
    /// Steps at which a task stops for up to a minute, between any two operations.
    pub stall: u64,
    /// Steps at which the clock jumps.
    pub clock: u64,
    /// Drivers that do not hear that they should leave their action.
    pub deaf: u64,
}

impl Weather {
    /// Nothing goes wrong.
    pub const CALM: Self = Self {
        throttled: 0,
        unavailable: 0,
        unknown: 0,
        conflict: 0,
        crash: 0,
        lossy: false,
        death: 0,
        duplicate: 0,
        stale: 0,
        stall: 0,
        clock: 0,
        deaf: 0,
    };

    /// A run's weather: calm, mixed or stormy.
    pub fn of(dice: &Dice) -> Self {
        if dice.chance(15) {
            return Self::CALM;
        }
        let some = |most: i64| if dice.chance(50) { dice.range(1, most).unsigned_abs() } else { 0 };
        Self {
            throttled: some(300),
            unavailable: some(300),
            unknown: some(500),
            conflict: some(500),
            crash: some(60),
            lossy: dice.chance(70),
            death: some(100),
            duplicate: some(1500),
            stale: some(300),
            stall: some(1000),
            clock: some(100),
            deaf: some(8000),
        }
    }
}
