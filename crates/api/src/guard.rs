//! What stands before every operation: throttling.

use crate::throttle::Throttle;

/// What stands before every operation.
#[derive(Default)]
pub struct Guard {
    /// How often whom may call what.
    pub throttle: Throttle,
}
