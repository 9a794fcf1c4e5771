//! Deterministic simulator: the production node, workers, core and log on simulated disk, network
//! and clock, on one thread.
//!
//! Everything follows from a [seed](plan::Plan::of): the cluster, its settings, the load, and the
//! faults. First comes a phase of faults, in which the [invariants] are checked at every step, then
//! one without, in which everything must get well. A seed that fails is run again with
//! `coracle-sim --seed N --trace`.

mod client;
pub mod invariants;
mod memory_log;
mod nemesis;
mod network;
pub mod plan;
mod process;
mod random;
#[cfg(test)]
mod tests;
mod trace;
mod world;

use coracle_driver::{Digest, Limits, MachineSpec};

pub use invariants::Violation;
pub use plan::Plan;
pub use world::{Summary, run};

/// The state machine that the groups run.
fn spec() -> MachineSpec {
    MachineSpec {
        plugin: Digest([7; 32]),
        config: Vec::new(),
        limits: Limits::default(),
        contract: "0.1.0".into(),
        epoch: 1,
    }
}
