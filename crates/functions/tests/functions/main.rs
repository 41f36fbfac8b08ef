//! The functions' handlers against a cloud in memory, their sample events, the state machine and the template.
#![expect(clippy::expect_used, reason = "tests panic where something is not as it must be")]

mod budget;
mod cloud;
mod costs;
mod expiring;
mod faults;
mod frozen;
mod machine;
mod measuring;
mod patience;
mod policies;
mod samples;
mod serve_api;
mod template;
