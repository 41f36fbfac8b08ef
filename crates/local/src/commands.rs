//! The Commands action and rule in a scratch directory.
