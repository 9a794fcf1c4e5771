//! What a slice has to reach at least once.

use crate::search::Search;
use crate::state::State;

/// Something that has to be seen in some state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Somebody leads.
    Leader,
    /// Two replicas have led, in terms of their own.
    TwoLeaders,
    /// An entry is committed.
    Commit,
    /// A leader gave up, since it heard no quorum.
    SteppedDown,
    /// A joint configuration is in force somewhere.
    Joint,
    /// The configuration after a joint one is committed.
    JointLeft,
    /// A replica installed a snapshot.
    SnapshotInstalled,
    /// A read was granted.
    ReadGranted,
    /// A read was granted without asking anybody.
    ReadByLease,
    /// A transfer ended with another leader.
    TransferDone,
}

impl Goal {
    /// Its name in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Leader => "somebody leads",
            Self::TwoLeaders => "two replicas have led",
            Self::Commit => "an entry is committed",
            Self::SteppedDown => "a leader without a quorum gives up",
            Self::Joint => "a joint configuration is in force",
            Self::JointLeft => "a joint configuration is left",
            Self::SnapshotInstalled => "a snapshot is installed",
            Self::ReadGranted => "a read is granted",
            Self::ReadByLease => "a read is granted by lease",
            Self::TransferDone => "leadership is handed over",
        }
    }

    /// The condition, as the checker wants it.
    pub(crate) fn condition(self) -> fn(&Search, &State) -> bool {
        match self {
            Self::Leader => |_, state| !state.ghost.leaders.is_empty(),
            Self::TwoLeaders => |_, state| state.ghost.leaders.len() > 1,
            Self::Commit => |_, state| !state.ghost.committed.is_empty(),
            Self::SteppedDown => |_, state| state.ghost.seen.stepped_down,
            Self::Joint => |_, state| {
                let mut replicas = state.replicas.iter();
                replicas.any(|(_, replica)| !replica.raft.configuration().outgoing.is_empty())
            },
            Self::JointLeft => |_, state| state.ghost.seen.joint_left,
            Self::SnapshotInstalled => |_, state| state.ghost.seen.installed,
            Self::ReadGranted => |_, state| state.ghost.seen.read,
            Self::ReadByLease => |_, state| state.ghost.seen.read_by_lease,
            Self::TransferDone => |_, state| state.ghost.seen.transferred,
        }
    }
}
