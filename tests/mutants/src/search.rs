//! The random search: seeds in which a mutant may show itself.

mod shape;

use std::fmt;

use coracle_sim::Plan;
use coracle_sim::plan::Storage;
use coracle_switch::{Area, Mutant};

pub use shape::Shape;

use crate::{storage, wire};

/// Seeds that are looked at before one of them counts as suitable.
const MAX_UNSUITABLE: u64 = 1000;

/// What a mutant is looked for with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Search {
    /// Whole clusters in the simulator.
    Simulator(Shape),
    /// The same, on those of its seeds that have the production log.
    Redb,
    /// A log on a faulty disk, against a model.
    Storage,
    /// Frames, sound and damaged, and two nodes on loopback.
    Wire,
}

impl Search {
    /// What this mutant is looked for with.
    pub fn of(mutant: Mutant) -> Self {
        use Mutant as M;
        let shape = match mutant {
            M::CommitOldTermByCount => Shape::Hunt,
            M::LeaseKeptOnTransfer
            | M::LeaseOfPausedClock
            | M::PromiseBroken
            | M::TimeoutNowOfOldTerm => Shape::Leases,
            // Whoever joins has nothing that matches, and may be a witness.
            M::NextAtMatch | M::SnapshotForMembersOnly | M::WitnessFirst => Shape::Members,
            M::CheckQuorumNever | M::ReadStaleEcho | M::ReadWithoutRound => Shape::Deposed,
            M::SnapshotKeepsConfiguration | M::SnapshotNotVerified => Shape::Snapshots,
            M::SnapshotKeepsTail => Shape::Tails,
            M::ReadBeforeApplied | M::ReadBeforeOwnCommit => Shape::Any,
            _ => match mutant.area() {
                Area::Election | Area::Replication => Shape::Forks,
                Area::Reads => Shape::Deposed,
                Area::Membership => Shape::Members,
                Area::Snapshot | Area::Apply => Shape::Any,
                Area::Log if mutant == M::HardStateLostOnCompaction => return Self::Redb,
                Area::Log => return Self::Storage,
                Area::Transport => return Self::Wire,
            },
        };
        Self::Simulator(shape)
    }

    /// The seeds of this search, in order.
    pub fn seeds(self) -> Box<dyn Iterator<Item = u64>> {
        match self {
            Self::Redb => Box::new(Suitable { next: 0 }),
            Self::Simulator(_) | Self::Storage | Self::Wire => Box::new(0..),
        }
    }

    /// Runs one seed; the error says which rule was broken.
    #[expect(clippy::missing_errors_doc, reason = "the line above is about it")]
    pub fn run(self, seed: u64) -> Result<(), String> {
        let plan = match self {
            Self::Simulator(shape) => shape.plan(seed),
            Self::Redb => Plan::of(seed),
            Self::Storage => return storage::run(seed),
            Self::Wire => return wire::run(seed),
        };
        let outcome = coracle_sim::run(plan, false);
        outcome.map(drop).map_err(|violation| violation.to_string())
    }

    /// The command that runs this seed again.
    pub fn replay(self, mutant: Mutant, seed: u64) -> String {
        let name = mutant.name();
        format!("coracle-mutants --mutant {name} --seed {seed}")
    }
}

/// `simulator: members`, `log against a model`.
impl fmt::Display for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Simulator(Shape::Any) => "simulator",
            Self::Simulator(Shape::Hunt) => "simulator: leaders hunted",
            Self::Simulator(Shape::Forks) => "simulator: forks",
            Self::Simulator(Shape::Deposed) => "simulator: deposed leaders",
            Self::Simulator(Shape::Leases) => "simulator: leases",
            Self::Simulator(Shape::Members) => "simulator: members",
            Self::Simulator(Shape::Snapshots) => "simulator: snapshots",
            Self::Simulator(Shape::Tails) => "simulator: leaders with a tail",
            Self::Redb => "simulator: production log",
            Self::Storage => "log against a model",
            Self::Wire => "frames and loopback",
        })
    }
}

/// Seeds on the production log.
struct Suitable {
    next: u64,
}

impl Iterator for Suitable {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let mut range = self.next..self.next + MAX_UNSUITABLE;
        let seed = range.find(|seed| Plan::of(*seed).storage == Storage::Redb)?;
        self.next = seed + 1;
        Some(seed)
    }
}
