//! What Penstock itself has to say while it works, on standard error.

use tracing::level_filters::LevelFilter;

use crate::environment::variable;
use crate::exit::Unusable;
use crate::output::Look;

/// The variable that says how much is told.
const VARIABLE: &str = "PENSTOCK_LOG";

/// Tells what is at least as grave as `usual`, or as `PENSTOCK_LOG` says.
///
/// # Errors
/// The variable names no level.
pub fn start(usual: LevelFilter) -> Result<(), Unusable> {
    let level = match variable(VARIABLE) {
        None => usual,
        Some(text) => text.parse().map_err(|_| {
            Unusable::new(format!("{VARIABLE}={text} is no level: use off, error, warn, info, debug or trace"))
        })?,
    };
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_ansi(Look::of_stderr().colour)
        .with_writer(std::io::stderr)
        // A line that cannot be written is lost; to tell that on the same stream would panic.
        .log_internal_errors(false)
        .finish();
    // Only one can be set; a second would be a fault of the command, and nothing would be lost by it.
    drop(tracing::subscriber::set_global_default(subscriber));
    Ok(())
}
