//! Programs under a supervising copy of the binary, in process groups of their own that end with their parent.
//!
//! Each program that runs has a supervisor for itself ([`run`]). The supervisor ([`supervise`]) adopts every orphan among
//! the program's descendants, so that none escapes by a new session or a second fork, and ends all of them when the program
//! ends, when the host says so, and when the host dies: then the socket between them closes. (A parent-death signal would
//! say less: it is sent when the *thread* that started the supervisor ends.) Only when it has no child left, so that there
//! are no descendants at all, it serves the next program. What is left when both were killed is found by [`recover`].

mod log;
mod mask;
mod orders;
mod procfs;
mod ready;
mod record;
mod recover;
mod run;
mod supervise;

pub use log::{LOG_CAP_BYTES, LogChunk, LogSink, OutputLine, log_cut_at, log_location, log_path, read_log};
pub use mask::Masker;
pub use ready::SupervisorCommand;
pub(crate) use record::is_running;
pub use recover::{Recovered, recover, scratch_directory};
pub use run::{ProgramEnd, ProgramSpec, base_environment, run};
pub use supervise::supervise;
pub use tokio_util::sync::CancellationToken;

/// The first argument that makes a host's binary a supervisor: its `main` returns [`supervise`]'s result then.
pub const SUPERVISE: &str = "__supervise";

/// The environment variable by which every process of an action is known: the action execution's id.
pub const MARKER: &str = "PENSTOCK_ACTION_EXECUTION_ID";
