//! Everything that can happen to a node.

use coracle_proto::{
    Configuration, ConfigurationChange, Envelope, GroupId, Index, LogId, NodeId, PersistId,
    ReadMode, ReplicaId, Term,
};

use crate::task::{Command, HostEntry, Report, Ticket};
use crate::{MachineSpec, SnapshotRef};

use super::Tuning;

/// An event for [`Node::turn`](super::Node::turn).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Messages of one peer, whose identity the transport has checked.
    Received(Vec<Envelope>),
    /// A [`Write`](crate::Write) that carried an id is durable. In the order of the writes.
    Persisted {
        /// The group.
        group: GroupId,
        /// Its id.
        id: PersistId,
    },
    /// A client's command. Ends in exactly one answer to `ticket`, from here or from the worker.
    Propose {
        /// The group.
        group: GroupId,
        /// The command.
        command: Command,
        /// Whom to answer.
        ticket: Ticket,
    },
    /// An entry of the host itself.
    ProposeHost {
        /// The group.
        group: GroupId,
        /// The entry.
        entry: HostEntry,
        /// Whom to answer, if anybody waits.
        ticket: Option<Ticket>,
    },
    /// A change of a group's members. Answered by
    /// [`Answer::Changed`](crate::task::Answer::Changed) once its configuration is committed.
    ChangeMembers {
        /// The group.
        group: GroupId,
        /// What is to change.
        change: ConfigurationChange,
        /// Whom to answer.
        ticket: Ticket,
    },
    /// Hand the leadership of a group over. Answered by
    /// [`Answer::Transferred`](crate::task::Answer::Transferred).
    Transfer {
        /// The group.
        group: GroupId,
        /// To whom; `None`: to the voter that is best placed.
        to: Option<NodeId>,
        /// Whom to answer.
        ticket: Ticket,
    },
    /// Follow nobody in this group until a leader speaks again, see
    /// [`Input::ForgetLeader`](coracle_proto::Input::ForgetLeader).
    ForgetLeader {
        /// The group.
        group: GroupId,
    },
    /// The election priority of this node in all its groups.
    SetPriority(u8),
    /// Settings that may change while the node runs, for all groups.
    Tune(Tuning),
    /// A read point: the worker answers [`Answer::ReadAt`](crate::task::Answer::ReadAt).
    Read {
        /// The group.
        group: GroupId,
        /// How the leader makes sure that it leads.
        mode: ReadMode,
        /// Whom to answer.
        ticket: Ticket,
    },
    /// What a worker reports. `Answer` and `PluginMissing` are for the host alone; they are ignored
    /// here.
    Report(Report),
    /// A peer would like to send a snapshot; answered in [`Outbox::offers`](super::Outbox::offers)
    /// before its data is received.
    SnapshotOffered {
        /// The host's name for the offer.
        offer: u64,
        /// The group.
        group: GroupId,
        /// The addressee, which must be the replica of this node.
        to: ReplicaId,
        /// The sender's term.
        term: Term,
        /// The last entry it covers.
        last: LogId,
    },
    /// A snapshot has been received from a leader and its file is durable here.
    SnapshotArrived {
        /// The group.
        group: GroupId,
        /// The leader's replica.
        from: ReplicaId,
        /// The addressee.
        to: ReplicaId,
        /// The leader's term.
        term: Term,
        /// What arrived.
        snapshot: SnapshotRef,
    },
    /// A snapshot was fetched from a peer because this replica's own is gone or damaged; its file
    /// is durable here.
    SnapshotFetched {
        /// The group.
        group: GroupId,
        /// What was fetched.
        snapshot: SnapshotRef,
    },
    /// A transfer of [`Outbox::snapshots`](super::Outbox::snapshots) ended.
    SnapshotSent {
        /// The group.
        group: GroupId,
        /// The addressee.
        to: ReplicaId,
        /// Whether the whole file arrived.
        delivered: bool,
    },
    /// A file of [`Outbox::snapshots`](super::Outbox::snapshots) is damaged or gone on this node's
    /// own disk. Nobody can be given it: if it is still the newest, a checkpoint takes its place.
    SnapshotDamaged {
        /// The group.
        group: GroupId,
        /// The last entry it covers.
        last: LogId,
    },
    /// The connection to a node is lost.
    PeerDown(NodeId),
    /// There is a connection to a node (again).
    PeerUp(NodeId),
    /// Start to host a replica. A record of it goes into the log first; the replica starts when
    /// that is durable. For a group that is hosted already only `create` is taken. What was
    /// removed here does not come back: only a replica that was born later does.
    Host {
        /// The group.
        group: GroupId,
        /// Index of the configuration entry that added this node, 0 if it is in the initial one.
        born: Index,
        /// The initial configuration.
        configuration: Configuration,
        /// What its leader proposes as first entry. Not needed for group 0.
        create: Option<MachineSpec>,
    },
    /// Stop and forget a replica, for good.
    Remove {
        /// The group.
        group: GroupId,
        /// Which replica; one that was born later stays.
        born: Index,
    },
    /// Campaign now in this group, as if the election timer had run out.
    Campaign {
        /// The group.
        group: GroupId,
    },
    /// Whether the disk is nearly full: then commands are refused, votes and the entries of other
    /// leaders are not.
    LowSpace(bool),
}
