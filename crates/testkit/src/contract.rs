//! One contract suite for each port: plain functions that panic where an implementation breaks the port's promise.

mod artifacts;
mod bus;
mod sealing;
mod table;

pub use artifacts::artifacts;
pub use bus::bus;
pub use sealing::{sealing, sealing_tells_changes};
pub use table::{table, table_up_to};
