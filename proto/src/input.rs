//! Everything that can happen to the core.

use bytes::Bytes;

use crate::{
    ConfigurationChange, Entry, Envelope, Index, LogId, NodeId, PersistId, ProposalId, ReadId,
    ReplicaId, Settings, SnapshotMeta, TransferId,
};

/// Which timer ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimeoutKind {
    /// A follower or candidate has waited long enough; on a leader: check-quorum (thesis §6.2).
    Election,
    /// A leader owes its followers a heartbeat.
    Heartbeat,
    /// A transfer of leadership has taken too long.
    Transfer,
    /// The leader has taken too long to answer a follower's question about a read point.
    Read,
}

/// How a leader makes sure that it still leads before it grants a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ReadMode {
    /// By a round of heartbeats that begins after the read (ReadIndex, thesis §6.4).
    #[default]
    Index,
    /// By its lease if it has one, else as `Index`. Needs check-quorum and clocks whose drift is
    /// within [`Config::clock_drift`](crate::Config::clock_drift).
    Lease,
}

/// An event for [`Raft::step`](crate::Raft::step).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Input {
    /// A message from a peer.
    Received(Envelope),
    /// The write with this id is durable.
    Persisted {
        /// As given in [`Effect::Persist`](crate::Effect::Persist) or
        /// [`Effect::InstallSnapshot`](crate::Effect::InstallSnapshot).
        id: PersistId,
    },
    /// The state machine has applied everything up to here.
    Applied {
        /// Last applied index.
        index: Index,
    },
    /// A timer ran out, see [`Raft::deadline`](crate::Raft::deadline).
    Timeout {
        /// Which.
        kind: TimeoutKind,
        /// A fresh random number, from which the next election timeout is drawn.
        jitter: u64,
    },
    /// Append one entry if this replica leads.
    Propose {
        /// The caller's name for it.
        id: ProposalId,
        /// The payload of an [`EntryKind::Normal`](crate::EntryKind::Normal) entry.
        payload: Bytes,
    },
    /// Change the configuration if this replica leads. Ends in `Accepted` or `Refused`, as a
    /// proposal does.
    ChangeConfiguration {
        /// The caller's name for it.
        id: ProposalId,
        /// What is to change.
        change: ConfigurationChange,
    },
    /// Ask for a linearizable read point (thesis §6.4). A follower or learner asks its leader.
    /// The time of the step must not be earlier than the arrival of the read.
    Read {
        /// The caller's name for it.
        id: ReadId,
        /// How the leader makes sure that it still leads.
        mode: ReadMode,
    },
    /// Hand leadership over (thesis §3.10). Ends in one
    /// [`Effect::TransferEnded`](crate::Effect::TransferEnded): at the latest an election timeout
    /// later, or another one after leadership was lost. Writes are refused meanwhile.
    Transfer {
        /// The caller's name for it.
        id: TransferId,
        /// To whom; `None`: to the voter that is best placed.
        to: Option<NodeId>,
    },
    /// Follow nobody from now on, in the same term, although the leader may live: another failure
    /// detector knows better, and candidates need not be held off. Where the leader reads by lease,
    /// candidates are held off all the same until the lease that this replica supported is over.
    /// Nothing on a leader.
    ForgetLeader,
    /// The election priority of this replica, see [`Config::priority`](crate::Config::priority).
    SetPriority(u8),
    /// Answer to [`Effect::ReadLog`](crate::Effect::ReadLog).
    LogRead {
        /// For whom it was asked.
        to: ReplicaId,
        /// The entries from the index that was asked for; none if they are gone. Every
        /// `ReadLog` has to be answered: until then nothing else is read for that peer.
        entries: Vec<Entry>,
    },
    /// A snapshot transfer asked for by [`Effect::SendSnapshot`](crate::Effect::SendSnapshot) ended.
    SnapshotSent {
        /// The addressee.
        to: ReplicaId,
        /// Whether the whole file arrived; for the trace, the peer's next answer counts.
        delivered: bool,
    },
    /// The driver made the log's floor durable at this entry; everything up to it is gone from the
    /// log and covered by a snapshot.
    Compacted {
        /// The new floor.
        floor: LogId,
        /// What the newest snapshot covers (at or above the floor).
        snapshot: SnapshotMeta,
    },
    /// The transport lost its connection to this node: probe before pipelining again. A core that
    /// is started while a node is down has to be told as well.
    PeerDown(NodeId),
    /// The transport has a connection to this node again: what it lacks is sent, and a group that
    /// has fallen silent wakes.
    PeerUp(NodeId),
    /// New settings, in force from now on.
    Configure(Settings),
    /// Start an election now, as if the timer had run out. While the leader may be reading by a
    /// lease that this replica supported, its own vote does not count.
    Campaign {
        /// A fresh random number.
        jitter: u64,
    },
}
