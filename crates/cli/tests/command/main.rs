//! The command from outside: what it prints, where, and how it ends.

mod help;
mod init;
mod run;
mod support;
mod validate;
