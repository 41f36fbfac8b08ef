//! One contract suite for each port: plain functions that panic where an implementation breaks the port's promise.

mod table;

pub use table::{table, table_up_to};
