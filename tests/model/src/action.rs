//! What can happen next.

use std::fmt;

use coracle_proto::{Change, ReplicaId, TimeoutKind};

/// One step of the search. A replica is named by its place in the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A message arrives.
    Deliver {
        /// Its name in the network.
        name: u64,
        /// It will arrive once more.
        again: bool,
    },
    /// A message is lost.
    Lose(u64),
    /// This replica is cut off from all others, for good.
    Cut(ReplicaId),
    /// The oldest write of this replica becomes durable.
    Persist(ReplicaId),
    /// A timer of this replica runs out.
    Timeout(ReplicaId, TimeoutKind),
    /// Half an election timeout passes, for everybody.
    Pass,
    /// A client proposes something here.
    Propose(ReplicaId),
    /// A client reads here.
    Read(ReplicaId),
    /// An administrator asks for the change of the slice here.
    Change(ReplicaId, Vec<Change>),
    /// An administrator asks this leader to hand over to that replica.
    Transfer(ReplicaId, ReplicaId),
    /// This replica replaces its applied entries by a snapshot.
    Compact(ReplicaId),
    /// The first sent its snapshot to the second.
    Sent(ReplicaId, ReplicaId),
    /// This replica stops at once and starts again.
    Crash(ReplicaId),
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deliver { again: false, .. } => write!(f, "arrives"),
            Self::Deliver { .. } => write!(f, "arrives, and will again"),
            Self::Lose(_) => write!(f, "a message is lost"),
            Self::Cut(id) => write!(f, "{id} is cut off"),
            Self::Persist(id) => write!(f, "{id} finishes a write"),
            Self::Timeout(id, kind) => write!(f, "{id} times out: {kind:?}"),
            Self::Pass => write!(f, "time passes"),
            Self::Propose(id) => write!(f, "{id} is given a command"),
            Self::Read(id) => write!(f, "{id} is read"),
            Self::Change(id, changes) => {
                write!(f, "{id} is asked to change the members:")?;
                changes.iter().try_for_each(|change| write!(f, " {change}"))
            }
            Self::Transfer(id, to) => write!(f, "{id} is asked to hand over to {to}"),
            Self::Compact(id) => write!(f, "{id} compacts its log"),
            Self::Sent(id, to) => write!(f, "{id} has sent its snapshot to {to}"),
            Self::Crash(id) => write!(f, "{id} crashes and starts again"),
        }
    }
}
