//! Pictures of the core.

use std::time::Duration;

use crate::{Configuration, HardState, Index, LogId, ReplicaId};

/// What this replica is in its term.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Follows a leader, or waits for one.
    Follower,
    /// Asks for pre-votes.
    PreCandidate,
    /// Asks for votes.
    Candidate,
    /// Leads.
    Leader,
}

/// How a leader stands with one peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProgressState {
    /// One message at a time until a match is found.
    Probe,
    /// Pipelined.
    Replicate,
    /// A snapshot is on its way.
    Snapshot,
}

/// A leader's view of one peer, for status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PeerStatus {
    /// The peer.
    pub id: ReplicaId,
    /// Highest index known to match.
    pub matched: Index,
    /// Next index to send.
    pub next: Index,
    /// How it is being fed.
    pub state: ProgressState,
    /// Whether it was heard from within the last election timeout.
    pub active: bool,
    /// Unanswered appends.
    pub inflight_appends: usize,
    /// Bytes in them.
    pub inflight_bytes: usize,
}

/// A picture of the core, for status and tests.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Status {
    /// This replica.
    pub id: ReplicaId,
    /// Its role.
    pub role: Role,
    /// Term and vote.
    pub hard_state: HardState,
    /// The known leader of the term.
    pub leader: Option<ReplicaId>,
    /// Commit index.
    pub commit: Index,
    /// Last entry.
    pub last: LogId,
    /// The log's floor.
    pub floor: LogId,
    /// The configuration in force (the last in the log, committed or not).
    pub configuration: Configuration,
    /// Whether that configuration is committed.
    pub configuration_committed: bool,
    /// On a leader: to whom it is handing over.
    pub transferee: Option<ReplicaId>,
    /// On a leader: bytes of its log that are not committed.
    pub uncommitted_bytes: usize,
    /// Whether the group has fallen silent here (quiescence).
    pub quiet: bool,
    /// On a leader: the peers, ascending by id.
    pub peers: Vec<PeerStatus>,
}

/// Everything about time that later steps depend on, relative to some moment. Deadlines are no part
/// of what makes two cores equal; a model checker that lets time pass tells them apart by this.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TimeView {
    /// Since the leader was last heard; the election timeout if that is longer ago.
    pub since_heard: Duration,
    /// How long this replica still helps to elect nobody.
    pub promise_left: Duration,
    /// How long the election timer still runs; zero once it is due.
    pub election_left: Duration,
    /// What a leader knows of its lease.
    pub lease: LeaseView,
}

/// What a leader knows of its lease, relative to some moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LeaseView {
    /// Rounds in which promises may still be made that count, and how long ago they began.
    pub rounds: Vec<(u64, Duration)>,
    /// How long each peer's promise still lasts.
    pub promises: Vec<(ReplicaId, Duration)>,
}
