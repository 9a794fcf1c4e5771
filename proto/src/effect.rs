//! Everything the core can ask for.

use bytes::Bytes;

use crate::{
    ChangeRefusal, Configuration, Entry, Envelope, Index, LogId, ProposalId, ReadId, ReplicaId,
    Term, TransferId,
};

/// Term and vote: one record, one write (thesis §3.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct HardState {
    /// Latest term seen.
    pub term: Term,
    /// Who got this replica's vote in `term`.
    pub vote: Option<ReplicaId>,
}

/// Name of a write. Strictly increasing, and unequal across terms, so that the completion of an
/// overwritten append is never taken for that of the one that overwrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PersistId {
    /// Term in which it was emitted.
    pub term: Term,
    /// Sequence number, increasing over the life of this core.
    pub sequence: u64,
}

/// What a snapshot covers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SnapshotMeta {
    /// The last entry it includes.
    pub last: LogId,
    /// The configuration as of that entry.
    pub configuration: Configuration,
}

/// Why a proposal or read was refused: it has not happened and will not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefuseReason {
    /// Another replica leads, or none is known.
    NotLeader {
        /// The leader, if known.
        leader: Option<ReplicaId>,
    },
    /// Too many writes or reads are under way.
    Busy,
    /// The leader's log has too many uncommitted bytes or entries
    /// ([`Config::max_uncommitted_bytes`](crate::Config::max_uncommitted_bytes)).
    Uncommitted,
    /// The leader is handing over.
    Transferring,
    /// The configuration cannot be changed like this, or not now.
    Change(ChangeRefusal),
}

/// How a transfer of leadership ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransferOutcome {
    /// Another replica leads a later term: the one named, or one that was faster. Or this replica
    /// was named itself, which it leads on and calls off any transfer under way.
    Done {
        /// Who leads now.
        leader: ReplicaId,
    },
    /// This replica does not lead.
    NotLeader {
        /// The leader, if known.
        leader: Option<ReplicaId>,
    },
    /// The addressee is no voter of the configuration, a witness, or there is nobody to hand over
    /// to; or it ceased to be one.
    NoTarget,
    /// Another transfer is under way, or took the place of this one.
    Busy,
    /// The addressee did not catch up or did not win in time; this replica leads on.
    TimedOut,
    /// Leadership was lost and no successor was seen in time.
    Unknown,
}

/// Where effects are collected, in the order in which they are to be done.
pub type Effects = Vec<Effect>;

/// Something that is safe to do now.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Make this durable, then say [`Input::Persisted`](crate::Input::Persisted). Writes of one
    /// group become durable in the order of their ids. An entry at an index that exists
    /// replaces it and everything after it.
    Persist {
        /// Name of the write.
        id: PersistId,
        /// The new term and vote, when they changed.
        hard_state: Option<HardState>,
        /// Consecutive entries.
        entries: Vec<Entry>,
    },
    /// Send this. (`Envelope::group` is the group given to the core at its creation.)
    Send(Envelope),
    /// Entries for a peer are no longer in the core's cache: read them and answer with
    /// [`Input::LogRead`](crate::Input::LogRead).
    ReadLog {
        /// For whom.
        to: ReplicaId,
        /// First index.
        from: Index,
        /// Last index.
        through: Index,
        /// At most so many bytes of payload (but at least one entry).
        max_bytes: usize,
    },
    /// The entries a peer needs are gone: send the newest snapshot over the bulk connection, then
    /// say [`Input::SnapshotSent`](crate::Input::SnapshotSent).
    SendSnapshot {
        /// To whom.
        to: ReplicaId,
    },
    /// Replace the log by this snapshot, whose file is durable already: floor row first, then the
    /// state machine. Completed by [`Input::Persisted`](crate::Input::Persisted).
    InstallSnapshot {
        /// Name of the write.
        id: PersistId,
        /// The new term and vote, when they changed.
        hard_state: Option<HardState>,
        /// What it covers.
        meta: SnapshotMeta,
        /// False: the log already matches at `meta.last`; entries above it are kept. The core
        /// has no use for such a snapshot so far: it answers the leader and asks for nothing.
        truncate: bool,
    },
    /// Everything up to here is committed and durable here: it may be applied.
    Commit {
        /// The index.
        index: Index,
    },
    /// The proposal was appended at this position; what becomes of it shows at apply.
    Accepted {
        /// The caller's name for it.
        id: ProposalId,
        /// Its position.
        position: LogId,
    },
    /// The proposal was not appended and never will be.
    Refused {
        /// The caller's name for it.
        id: ProposalId,
        /// Why.
        reason: RefuseReason,
        /// The payload, given back for forwarding.
        payload: Bytes,
    },
    /// A state that has applied `index` is fresh enough to answer this read.
    ReadReady {
        /// The caller's name for it.
        id: ReadId,
        /// The read point.
        index: Index,
    },
    /// The read was not granted.
    ReadRefused {
        /// The caller's name for it.
        id: ReadId,
        /// Why.
        reason: RefuseReason,
    },
    /// A transfer of leadership ended.
    TransferEnded {
        /// The caller's name for it.
        id: TransferId,
        /// How.
        outcome: TransferOutcome,
    },
    /// This configuration is committed: refusals, deletion of data and stepping down may follow.
    ConfigurationCommitted {
        /// The configuration.
        configuration: Configuration,
    },
    /// Role, term or known leader changed.
    LeaderChanged {
        /// The term.
        term: Term,
        /// The leader of that term, if known.
        leader: Option<ReplicaId>,
    },
    /// The core found its own state or a peer's claim impossible: stop this group.
    Fatal {
        /// What was found, with the values.
        reason: String,
    },
}
