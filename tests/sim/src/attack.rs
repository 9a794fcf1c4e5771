//! Everything the nemesis can do, as it stands in a [tape](crate::tape).

use std::collections::BTreeSet;

use coracle_proto::{Change, NodeId, Transition};
use serde::{Deserialize, Serialize};

/// One fault. Nodes by their numbers, times in nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Attack {
    /// Cuts between these nodes and the others, for so long.
    Cut {
        /// One side.
        side: BTreeSet<u64>,
        /// What leaves it is lost.
        outwards: bool,
        /// What would enter it is lost.
        inwards: bool,
        /// For how long.
        time: u64,
    },
    /// Cuts between these nodes and the others that come and go.
    Flap {
        /// One side.
        side: BTreeSet<u64>,
        /// How long each cut lasts, and each time without it.
        period: u64,
        /// How many cuts.
        times: u64,
    },
    /// Each node hears only its neighbours in a ring.
    Ring {
        /// For how long.
        time: u64,
    },
    /// Two sides that hear each other only through one node, which hears all.
    Bridge {
        /// That node.
        node: u64,
        /// One side.
        side: BTreeSet<u64>,
        /// For how long.
        time: u64,
    },
    /// What is sent from one node to another piles up and arrives when the time is over.
    Clog {
        /// The sender.
        from: u64,
        /// The receiver.
        to: u64,
        /// For how long.
        time: u64,
    },
    /// A connection breaks, and what is in flight on it is lost, both ways.
    Reset {
        /// One end.
        node: u64,
        /// The other.
        peer: u64,
    },
    /// Stops a process; it comes back after so long.
    Stop {
        /// Which.
        node: u64,
        /// What was not synced is lost.
        power: bool,
        /// For how long.
        time: u64,
    },
    /// Stops all processes at once.
    StopAll {
        /// What was not synced is lost.
        power: bool,
        /// For how long.
        time: u64,
    },
    /// Every new leader is killed as soon as it leads.
    Hunt {
        /// For how long.
        time: u64,
    },
    /// The power goes in the middle of an operation of the disk.
    PowerSoon {
        /// Whose.
        node: u64,
        /// After so many more operations.
        operations: u64,
    },
    /// An operation of the disk fails.
    DiskError {
        /// Whose.
        node: u64,
        /// After so many more operations.
        operations: u64,
        /// Which.
        kind: DiskOperation,
    },
    /// No room on a disk but for so many bytes.
    Full {
        /// Whose.
        node: u64,
        /// Bytes that still fit.
        slack: u64,
        /// For how long.
        time: u64,
    },
    /// A bit of a file turns.
    Flip {
        /// Whose.
        node: u64,
        /// Which file.
        file: FileKind,
        /// Where; taken modulo what there is.
        position: u64,
        /// Only where something stands.
        dense: bool,
        /// The process is killed as well, so that it has to read the file.
        kill: bool,
    },
    /// Syncs of a file succeed and do nothing, until the power goes after so long.
    Lie {
        /// Whose.
        node: u64,
        /// Which file.
        file: FileKind,
        /// For how long.
        time: u64,
    },
    /// A disk takes so many times as long.
    SlowDisk {
        /// Whose.
        node: u64,
        /// How many times.
        factor: u64,
        /// For how long.
        time: u64,
    },
    /// A disk does nothing at all.
    HungDisk {
        /// Whose.
        node: u64,
        /// For how long.
        time: u64,
    },
    /// A node loses its disk and never comes back; a spare node takes its place.
    Wipe {
        /// Which.
        node: u64,
    },
    /// A process stands still.
    Pause {
        /// Which.
        node: u64,
        /// For how long.
        time: u64,
    },
    /// A disk is said to be nearly full.
    LowSpace {
        /// Whose.
        node: u64,
        /// For how long.
        time: u64,
    },
    /// A calendar jumps.
    Clock {
        /// Whose.
        node: u64,
        /// To so many nanoseconds ahead (or behind).
        skew: i64,
    },
    /// A clock runs at another rate from now on.
    Drift {
        /// Whose.
        node: u64,
        /// How much too fast, in millionths.
        drift: i64,
    },
    /// A clock jumps ahead.
    Jump {
        /// Whose.
        node: u64,
        /// By how much.
        time: u64,
    },
    /// A connection is reported lost although it is not.
    Alarm {
        /// At whom.
        node: u64,
        /// To whom.
        peer: u64,
    },
    /// An election without need.
    Campaign {
        /// By whom.
        node: u64,
    },
    /// A change of members, asked of one node.
    Members {
        /// Of whom it is asked.
        node: u64,
        /// What is to change; nothing: leave the joint configuration.
        changes: Vec<Step>,
        /// How.
        passage: Passage,
    },
    /// Leadership is to be handed over.
    Transfer {
        /// Of whom it is asked.
        node: u64,
        /// To whom.
        to: Option<u64>,
    },
    /// A follower is told to follow nobody.
    ForgetLeader {
        /// Which.
        node: u64,
    },
    /// A node gets another priority.
    Priority {
        /// Which.
        node: u64,
        /// What.
        priority: u8,
    },
    /// Another state machine takes the place of the running one.
    Upgrade {
        /// Of whom it is asked.
        node: u64,
        /// Its version.
        version: u64,
        /// Where it fails, if it does.
        fails: Option<Failure>,
    },
    /// A user takes the newest snapshot of a group away.
    Export {
        /// From which node.
        node: u64,
        /// Which group.
        group: u64,
    },
    /// A group is restored from a snapshot that was taken away from it or from another group.
    Restore {
        /// Of whom it is asked.
        node: u64,
        /// Which group.
        group: u64,
        /// Which snapshot, modulo how many there are.
        image: u64,
    },
}

/// What a disk is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DiskOperation {
    /// To read.
    Read,
    /// To read; the answer has a wrong bit.
    FlippedRead,
    /// To write.
    Write,
    /// To write; it lands elsewhere in the file.
    MisdirectedWrite,
    /// To sync; what was to be synced is dropped.
    Sync,
}

/// A file of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FileKind {
    /// The log.
    Log,
    /// The anchor.
    Anchor,
    /// A snapshot.
    Snapshot,
}

/// Where a new version fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Failure {
    /// It refuses the state.
    Refuses,
    /// It traps while it reads the state.
    Traps,
}

/// A change of one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Step {
    /// A voter from now on.
    Voter(u64),
    /// A learner from now on.
    Learner(u64),
    /// A witness from now on.
    Witness(u64),
    /// No member any more.
    Remove(u64),
}

/// How members change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Passage {
    /// In one step if that is possible.
    Auto,
    /// Through a joint configuration.
    Implicit,
    /// Through a joint configuration that stays until it is asked to leave.
    Explicit,
}

impl Step {
    /// The node it is about.
    pub(crate) fn node(self) -> u64 {
        match self {
            Self::Voter(node) | Self::Learner(node) | Self::Witness(node) | Self::Remove(node) => {
                node
            }
        }
    }
}

impl From<Step> for Change {
    fn from(step: Step) -> Self {
        match step {
            Step::Voter(node) => Self::Voter(NodeId(node)),
            Step::Learner(node) => Self::Learner(NodeId(node)),
            Step::Witness(node) => Self::Witness(NodeId(node)),
            Step::Remove(node) => Self::Remove(NodeId(node)),
        }
    }
}

impl From<Passage> for Transition {
    fn from(passage: Passage) -> Self {
        match passage {
            Passage::Auto => Self::Auto,
            Passage::Implicit => Self::Implicit,
            Passage::Explicit => Self::Explicit,
        }
    }
}

impl Attack {
    /// Its name, for figures.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Cut {
                outwards, inwards, ..
            } if outwards & inwards => "cut",
            Self::Cut { .. } => "cut one way",
            Self::Flap { .. } => "flap",
            Self::Ring { .. } => "ring",
            Self::Bridge { .. } => "bridge",
            Self::Clog { .. } => "clog",
            Self::Reset { .. } => "reset",
            Self::Stop { power: true, .. } | Self::StopAll { power: true, .. } => "power cut",
            Self::Stop { .. } | Self::StopAll { .. } => "kill",
            Self::Hunt { .. } => "hunt",
            Self::PowerSoon { .. } => "power cut in an operation",
            Self::DiskError { kind, .. } => match kind {
                DiskOperation::Read => "read error",
                DiskOperation::FlippedRead => "bit flip on read",
                DiskOperation::Write => "write error",
                DiskOperation::MisdirectedWrite => "misdirected write",
                DiskOperation::Sync => "sync error",
            },
            Self::Full { .. } => "full disk",
            Self::Flip {
                file: FileKind::Snapshot,
                ..
            } => "bit flip in a snapshot",
            Self::Flip { .. } => "bit flip at rest",
            Self::Lie {
                file: FileKind::Snapshot,
                ..
            } => "lying sync of snapshots",
            Self::Lie { .. } => "lying sync",
            Self::SlowDisk { .. } => "slow disk",
            Self::HungDisk { .. } => "hung disk",
            Self::Wipe { .. } => "wiped disk",
            Self::Pause { .. } => "pause",
            Self::LowSpace { .. } => "low space",
            Self::Clock { .. } => "calendar jump",
            Self::Drift { .. } => "clock drift",
            Self::Jump { .. } => "clock jump",
            Self::Alarm { .. } => "false alarm",
            Self::Campaign { .. } => "needless election",
            Self::Members { .. } => "member change",
            Self::Transfer { .. } => "transfer",
            Self::ForgetLeader { .. } => "leader forgotten",
            Self::Priority { .. } => "priority",
            Self::Upgrade { .. } => "upgrade",
            Self::Export { .. } => "export",
            Self::Restore { .. } => "restore",
        }
    }
}
