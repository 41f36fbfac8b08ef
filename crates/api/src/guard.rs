//! What stands before and behind every operation: throttling, policies, and the record of the call.

use std::sync::Arc;

use crate::audit::Audit;
use crate::policies::Policies;
use crate::throttle::Throttle;

/// What stands before and behind every operation.
#[derive(Default)]
pub struct Guard {
    /// How often whom may call what.
    pub throttle: Throttle,
    /// Who may do what.
    pub policies: Arc<Policies>,
    /// What is recorded of calls.
    pub audit: Audit,
}
