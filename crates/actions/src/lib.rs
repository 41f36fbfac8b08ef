//! What each action and rule provider does: one file per provider, its decisions pure.

pub mod deployment_window;
pub mod variable_check;
