//! Where what an action writes is kept.

use engine::{ActionKey, Slot};
use model::PipelineName;

/// The log of an action or rule execution, below the data directory (or a log group): `logs/PIPELINE/EXECUTION/FILE`.
pub fn log_location(pipeline: &PipelineName, key: &ActionKey) -> String {
    // Dots separate the parts of the file's name, so that those of a name must not.
    let plain = |name: &str| name.replace('%', "%25").replace('.', "%2E").replace('/', "%2F");
    let slot = match key.slot {
        Slot::RunOrder(_) => String::new(),
        Slot::Rule(slot) => format!("{slot}."),
    };
    let (stage, name) = (plain(key.stage.as_str()), plain(key.name.as_str()));
    format!("logs/{}/{}/{stage}.{slot}{name}.{}.log", plain(pipeline.as_str()), key.execution, key.attempt)
}
