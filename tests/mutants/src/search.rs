//! The random search: seeds in which a mutant may show itself.

use std::fmt;

use coracle_sim::Plan;
use coracle_sim::plan::Storage;
use coracle_switch::{Area, Mutant};

use crate::{storage, wire};

/// Seeds that are looked at before one of them counts as suitable for a simulation.
const MAX_UNSUITABLE: u64 = 1000;

/// What a mutant is looked for with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Search {
    /// Whole clusters in the simulator.
    Simulator(Kind),
    /// A log on a faulty disk, against a model.
    Storage,
    /// Frames, sound and damaged, and two nodes on loopback.
    Wire,
}

/// Which of the simulator's seeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// All of them.
    Any,
    /// Those in which new leaders are killed.
    Hunt,
    /// Those in which members change.
    Members,
    /// Those in which leadership is handed over and reads go by lease.
    Lease,
    /// Those on the production log.
    Redb,
}

impl Search {
    /// What this mutant is looked for with.
    pub fn of(mutant: Mutant) -> Self {
        use Mutant::{
            ChangeBeforeOwnCommit, CommitOldTermByCount, HardStateLostOnCompaction,
            LeaseKeptOnTransfer, LeaseOfPausedClock, PromiseBroken, ReadBeforeOwnCommit,
            ReadStaleEcho, ReadWithoutRound,
        };
        match (mutant, mutant.area()) {
            (CommitOldTermByCount, _) => Self::Simulator(Kind::Hunt),
            (PromiseBroken | LeaseKeptOnTransfer | LeaseOfPausedClock, _) => {
                Self::Simulator(Kind::Lease)
            }
            (ReadBeforeOwnCommit | ReadStaleEcho | ReadWithoutRound, _) => {
                Self::Simulator(Kind::Any)
            }
            (ChangeBeforeOwnCommit, _) | (_, Area::Membership) => Self::Simulator(Kind::Members),
            (HardStateLostOnCompaction, _) => Self::Simulator(Kind::Redb),
            (_, Area::Log) => Self::Storage,
            (_, Area::Transport) => Self::Wire,
            _ => Self::Simulator(Kind::Any),
        }
    }

    /// The same, without a choice among the simulator's seeds.
    pub fn whole(self) -> Self {
        match self {
            Self::Simulator(_) => Self::Simulator(Kind::Any),
            other => other,
        }
    }

    /// The seeds of this search, in order.
    pub fn seeds(self) -> Box<dyn Iterator<Item = u64>> {
        match self {
            Self::Simulator(kind) => Box::new(Suitable { kind, next: 0 }),
            Self::Storage | Self::Wire => Box::new(0..),
        }
    }

    /// Runs one seed; the error says which rule was broken.
    pub fn run(self, seed: u64) -> Result<(), String> {
        match self {
            Self::Simulator(_) => coracle_sim::run(Plan::of(seed), false)
                .map(drop)
                .map_err(|violation| violation.to_string()),
            Self::Storage => storage::run(seed),
            Self::Wire => wire::run(seed),
        }
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
            Self::Simulator(Kind::Any) => "simulator",
            Self::Simulator(Kind::Hunt) => "simulator: leaders hunted",
            Self::Simulator(Kind::Members) => "simulator: members change",
            Self::Simulator(Kind::Lease) => "simulator: lease reads",
            Self::Simulator(Kind::Redb) => "simulator: production log",
            Self::Storage => "log against a model",
            Self::Wire => "frames and loopback",
        })
    }
}

struct Suitable {
    kind: Kind,
    next: u64,
}

impl Iterator for Suitable {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let mut range = self.next..self.next + MAX_UNSUITABLE;
        let seed = range.find(|seed| self.kind.suits(&Plan::of(*seed)))?;
        self.next = seed + 1;
        Some(seed)
    }
}

impl Kind {
    fn suits(self, plan: &Plan) -> bool {
        let faults = &plan.faults;
        match self {
            Self::Any => true,
            Self::Hunt => faults.hunt && plan.nodes > 1,
            Self::Members => faults.members,
            Self::Lease => plan.leases > 0 && plan.nodes > 2,
            Self::Redb => plan.storage == Storage::Redb,
        }
    }
}
