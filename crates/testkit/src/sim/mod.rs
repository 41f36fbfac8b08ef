//! The deterministic simulator: random pipelines and commands against the real control plane on a table in memory, with
//! two deciders interleaved at every table operation, and everything going wrong that may.
//!
//! A run follows from its seed alone. At its end the faults stop, everything is driven until it rests, and the checkers
//! look at what was stored, what was published and what happened on the way.

mod asked;
pub mod checkers;
mod declare;
mod dice;
mod disturbances;
mod executor;
mod history;
mod host;
mod mutation;
mod outside;
mod people;
mod provider;
mod recorder;
mod simulation;
mod still;
mod table;
mod trace;
mod weather;

pub use asked::Asked;
pub use history::*;
pub use mutation::Mutation;

/// Carries out the run of a seed, with a fault seeded into it or none.
pub fn run(seed: u64, mutation: Mutation) -> Record {
    simulation::Simulation::new(seed, mutation, false).run(seed)
}

/// As [`run`], and everybody starts executions at once.
pub fn rush(seed: u64, mutation: Mutation) -> Record {
    simulation::Simulation::new(seed, mutation, true).run(seed)
}
