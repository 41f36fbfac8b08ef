//! The functions' handlers against a cloud in memory, their sample events, the state machine and the template.

mod cloud;
mod faults;
mod machine;
