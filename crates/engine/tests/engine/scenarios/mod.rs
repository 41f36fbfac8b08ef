//! `semantics.md`, line by line; each test names the line it holds.

mod actions;
mod approvals;
mod conditions;
mod executions;
mod modes;
mod retrying;
mod rollback;
mod sources;
mod stopping;
mod transitions;
mod updating;
mod variables;
