//! The action-type registry and one file per provider.
