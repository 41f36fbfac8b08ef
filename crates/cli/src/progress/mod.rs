//! Shows how an execution goes on: a live tree on a terminal, plain lines elsewhere.

mod board;
mod conditions;
mod plain;
mod screen;
mod summary;
mod text;
mod tree;

pub use board::{ActionRow, Board, News, Span, State};
pub use conditions::{Unmet, UnmetRule, unmet_conditions};
pub use plain::Plain;
pub use screen::Screen;
pub use summary::{Places, failures, quoted, summary};
pub use text::{clean, elapsed, first_line, pad, turns, width};
pub use tree::{Frame, frame};
