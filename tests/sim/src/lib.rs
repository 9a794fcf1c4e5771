//! Deterministic simulator: the production node, workers, core and log on simulated disk, network
//! and clock, on one thread.
//!
//! Everything follows from a [seed](plan::Plan::of): the cluster, its settings, the load, and the
//! faults. First comes a phase of faults, in which the [invariants] are checked at every step, then
//! one without, in which everything must get well. A seed that fails is run again with
//! `coracle-sim --seed N --trace`.
//!
//! What it is worth is known from deliberate bugs: `cargo xtask mutants` switches them on, one
//! after the other, and says in how many seeds each was found (`docs/mutants.md`). That each
//! invariant is asked is shown by nodes that lie to the world, in its tests.

pub mod atlas;
pub mod attack;
mod client;
mod clock;
pub mod invariants;
pub mod marks;
mod memory_log;
pub mod minimise;
mod nemesis;
mod network;
pub mod plan;
mod process;
mod random;
pub mod settings;
pub mod speed;
mod survive;
pub mod tape;
#[cfg(test)]
mod tests;
mod total;
mod trace;
mod witness;
mod world;

use attack::Failure;
use coracle_driver::{Digest, Limits, MachineSpec};

pub use invariants::Violation;
pub use plan::Plan;
pub use survive::{CutShort, prepare, survive};
pub use tape::Tape;
pub use total::Total;
pub use world::{Summary, count_requests, record, recorded, replay, run, witness};

/// The state machine that the groups begin with.
fn spec() -> MachineSpec {
    MachineSpec {
        plugin: Digest([7; 32]),
        config: Vec::new(),
        limits: Limits::default(),
        contract: "0.1.0".into(),
        epoch: 1,
    }
}

/// Another version of it, which may be unable to take over.
fn spec_of(version: u64, fails: Option<Failure>) -> MachineSpec {
    let restore = fails.map(|failure| match failure {
        Failure::Refuses => "refuse",
        Failure::Traps => "trap",
    });
    let restore = restore.map(|how| ("restore".to_owned(), how.to_owned()));
    // What `get` answers begins with it; clients take it off again.
    let name = ("version".to_owned(), format!("{version}:"));
    MachineSpec {
        plugin: Digest([7 + version as u8; 32]),
        config: std::iter::once(name).chain(restore).collect(),
        ..spec()
    }
}
