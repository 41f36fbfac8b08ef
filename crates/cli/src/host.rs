//! Opens a data directory and hosts it.

use std::io::ErrorKind;
use std::path::Path;

use local::config::LocalConfig;
use local::host::{Host, HostOptions};
use local::process::SupervisorCommand;
use local::table::OpenError;

use crate::exit::Unusable;

/// The `source` of events.
const EVENT_SOURCE: &str = "penstock.codepipeline";

/// Opens a data directory, which is made if absent.
///
/// # Errors
/// It is in use, cannot be made or read, or was written by a newer version.
pub async fn open(data: &Path, config: LocalConfig, account: &str, region: &str) -> anyhow::Result<Host> {
    make_data_directory(data)?;
    let options = HostOptions {
        data: data.into(),
        config,
        account: account.into(),
        region: region.into(),
        event_source: EVENT_SOURCE.into(),
        supervisor: SupervisorCommand::default(),
    };
    Host::open(options).await.map_err(|error| explained(error, data))
}

fn explained(error: anyhow::Error, data: &Path) -> anyhow::Error {
    match error.downcast_ref() {
        Some(OpenError::InUse { .. }) => in_use(data).into(),
        Some(_) => Unusable::new(format!("{error:#}")).into(),
        None => error,
    }
}

/// What is said where another process has the data directory.
pub fn in_use(data: &Path) -> Unusable {
    Unusable::new(format!(
        "another penstock is using the data directory {}: wait for it to end, or give this one its own with --data",
        data.display()
    ))
}

/// Makes the directory, for its owner only; git is told to leave it alone.
fn make_data_directory(data: &Path) -> Result<(), Unusable> {
    use std::os::unix::fs::DirBuilderExt;
    let unusable = |error: std::io::Error| match error.kind() {
        // What the system says of a file that stands in the way, or above it.
        ErrorKind::AlreadyExists | ErrorKind::NotADirectory => {
            Unusable::new(format!("data directory {}: there is a file in its place; name a directory", data.display()))
        }
        _ => Unusable::new(format!("data directory {}: {error}", data.display())),
    };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data).map_err(unusable)?;
    let ignore = data.join(".gitignore");
    if ignore.exists() { Ok(()) } else { std::fs::write(ignore, "*\n").map_err(unusable) }
}
