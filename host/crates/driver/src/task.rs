//! What passes between a node (consensus, one thread) and the workers (state machines, a pool).
//! The shell in `host`, or the simulator, carries it.

use bytes::Bytes;
use coracle_proto::{ChangeRefusal, GroupId, Index, LogId, ReplicaId};
use serde::{Deserialize, Serialize};

use crate::{Digest, FailureClass, SnapshotRef};

/// The host's name for a waiting client. Ends in exactly one [`Answer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// A client's command on its way into the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// What the guest gets.
    pub body: Bytes,
    /// The client's `Idempotency-Key`, hashed with the principal; `None`: not deduplicated.
    pub key: Option<[u8; 16]>,
}

/// An entry the host itself wants in a group's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostEntry {
    /// Start the state machine; the first of a group.
    Create(crate::MachineSpec),
    /// Replace the state machine at this index.
    Activate(crate::MachineSpec),
    /// Take a checkpoint at this index.
    Checkpoint,
    /// Refuse everything from here on; the group is about to be removed.
    Retire,
    /// Replace the state and the sessions by those of an image at this index.
    Restore {
        /// Digest of the image's file, in its trailer.
        image: Digest,
        /// Only if nothing was applied yet.
        fresh: bool,
    },
}

/// What became of a command, a host entry or a read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It was applied at `index`.
    Applied {
        /// Where.
        index: Index,
        /// What came out.
        outcome: Outcome,
        /// True if it was applied before under the same key, and this is that outcome.
        replayed: bool,
    },
    /// The state machine has applied `index`, which is fresh enough for this read.
    ReadAt {
        /// The read point.
        index: Index,
    },
    /// The members were changed.
    Changed {
        /// Index of the configuration, which is committed.
        index: Index,
    },
    /// Leadership was handed over.
    Transferred {
        /// To whom.
        leader: ReplicaId,
    },
    /// It has not happened and will not.
    NotApplied(NotApplied),
    /// It may or may not have happened.
    Unknown {
        /// Why nobody knows.
        reason: &'static str,
    },
}

/// Why something certainly did not happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotApplied {
    /// Another replica leads, or none is known. The host forwards (once).
    NotLeader {
        /// The leader, if known.
        leader: Option<ReplicaId>,
    },
    /// Queues are full.
    Busy,
    /// The leader's log has too many uncommitted bytes.
    Uncommitted,
    /// The leader is handing over; the next one may be asked.
    Transferring,
    /// The members cannot be changed like this, or not now.
    Change(ChangeRefusal),
    /// There is nobody to hand leadership over to, or the node named is no voter.
    NoTarget,
    /// The transfer did not end in time; the old leader leads on.
    TransferTimedOut,
    /// Checkpoints fail and the tail of entries since the last one has reached its limit, or too
    /// many commands failed since.
    Suspended {
        /// Which of these.
        reason: String,
    },
    /// The disk is nearly full (DESIGN §5, ballast).
    DiskFull,
    /// Another leader's entry took its place in the log.
    Overwritten,
    /// This node does not host the group.
    NoGroup,
    /// The same key was used before with another body.
    KeyReused,
    /// The group is retired, suspended, or its state machine never started.
    Unavailable {
        /// Which of these, and why.
        reason: String,
    },
    /// Larger than the limit.
    TooLarge {
        /// Its size in bytes.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
}

/// A replicated outcome: the same on every replica, and hashed into the outcome chain.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Outcome {
    /// The guest's answer.
    Ok(Vec<u8>),
    /// The guest refused it.
    Refused(Vec<u8>),
    /// The call failed; the command has no effect.
    Failed(FailureClass),
    /// A host entry did what it says.
    Done,
    /// A host entry (`Create`, `Activate`, `Checkpoint`) failed; everything is as before it.
    HostEntryFailed {
        /// In which call: `init`, `snapshot`, `restore`.
        call: String,
        /// The class, unless the guest returned an error.
        class: Option<FailureClass>,
        /// The guest's own error, as bytes.
        message: Vec<u8>,
    },
}

/// What a node tells a group's worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// Everything up to here is committed and durable: apply it.
    Apply {
        /// Last index.
        through: Index,
    },
    /// These clients wait for the entry at `position`: one ticket per command of its group, or
    /// one for a host entry.
    Expect {
        /// Where it was appended.
        position: LogId,
        /// Whom to answer, in the order of the commands.
        tickets: Vec<Option<Ticket>>,
    },
    /// A read point was granted: answer once it is applied.
    Read {
        /// Whom to answer.
        ticket: Ticket,
        /// The read point.
        index: Index,
    },
    /// The log was replaced by this snapshot (its floor is durable): restore from it.
    Install {
        /// Which.
        snapshot: SnapshotRef,
    },
    /// What it waits for may be there now, or there may be room: try again.
    Retry,
    /// A plugin that was missing has arrived: try again.
    PluginArrived {
        /// Which.
        plugin: Digest,
    },
}

/// What a worker tells its node and the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// A client's answer; for the host.
    Answer {
        /// Who.
        ticket: Ticket,
        /// What.
        answer: Answer,
    },
    /// Applied up to here; for the node.
    Applied {
        /// The group.
        group: GroupId,
        /// Last applied index.
        index: Index,
    },
    /// A checkpoint is complete and its file durable: the floor may rise; for the node, which
    /// keeps a tail of entries below it.
    Checkpointed {
        /// The group.
        group: GroupId,
        /// The snapshot.
        snapshot: SnapshotRef,
    },
    /// A leader should propose a checkpoint; for the node.
    CheckpointDue {
        /// The group.
        group: GroupId,
        /// Propose it before any further group of commands: a command just failed.
        urgent: bool,
    },
    /// A checkpoint failed in the guest: so many entries stand above the last one; for the node,
    /// which refuses commands beyond a limit.
    CheckpointFailed {
        /// The group.
        group: GroupId,
        /// Entries.
        tail: u64,
    },
    /// The log has no `Create` yet at this index; for the node, whose leader proposes it.
    NotCreated {
        /// The group.
        group: GroupId,
    },
    /// The worker stands still until this plugin is here; for the host, which fetches it.
    PluginMissing {
        /// The group.
        group: GroupId,
        /// Which.
        plugin: Digest,
    },
    /// The worker stands still until this image is here, or a newer snapshot; for the host, which
    /// fetches it and says `Retry`.
    ImageMissing {
        /// The group.
        group: GroupId,
        /// Which.
        image: Digest,
    },
    /// There is no room on the disk for a checkpoint: for the node, which refuses commands until
    /// more is applied, and for the host, which says `Retry` from time to time.
    NoRoom {
        /// The group.
        group: GroupId,
    },
    /// The log gave a damaged record: the whole node must stop; for the host.
    LogFailed {
        /// The group.
        group: GroupId,
        /// Which record.
        reason: String,
    },
    /// The worker was halted by a fault of this host; the replica votes on, applies no more.
    Halted {
        /// The group.
        group: GroupId,
        /// Why.
        reason: String,
    },
}
