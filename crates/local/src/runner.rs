//! Which stand-in runs which action.
