//! The core of one group.

use std::time::Duration;

use crate::{
    Configuration, Effects, Entry, GroupId, HardState, Index, Input, Instant, LogId, NodeId,
    ReplicaId, SnapshotMeta, Term, TimeoutKind,
};

/// Settings of one replica. Sizes in bytes count entry payloads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Config {
    /// The group.
    pub group: GroupId,
    /// This replica.
    pub id: ReplicaId,
    /// Base election timeout T; each wait is drawn from [T, 2T).
    pub election_timeout: Duration,
    /// How often a leader sends heartbeats; a tenth of T or so.
    pub heartbeat_interval: Duration,
    /// Ask for pre-votes before campaigning (thesis §9.6).
    pub pre_vote: bool,
    /// A leader that hears no quorum for T steps down (thesis §6.2).
    pub check_quorum: bool,
    /// Entries per `Append`, in bytes; at least one entry is always sent.
    pub max_append_bytes: usize,
    /// Entries per `Append`, in number.
    pub max_append_entries: usize,
    /// Unanswered `Append`s per peer.
    pub max_inflight_appends: usize,
    /// Unanswered bytes per peer.
    pub max_inflight_bytes: usize,
    /// Uncommitted bytes in a leader's log, above which proposals are refused as busy.
    pub max_uncommitted_bytes: usize,
    /// Bytes of entries kept in memory; older ones are asked for with `ReadLog`.
    pub cache_bytes: usize,
    /// Reads waiting for their round, above which they are refused as busy.
    pub max_pending_reads: usize,
}

/// What the log held when the node started.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Initial {
    /// Last durable term and vote.
    pub hard_state: HardState,
    /// Entries up to here are gone from the log.
    pub floor: LogId,
    /// Newest snapshot, at or above the floor; none in a group that never had one.
    pub snapshot: Option<SnapshotMeta>,
    /// Id of the first entry of each run of equal terms above the floor, ascending.
    pub terms: Vec<LogId>,
    /// Last index in the log (the floor's if the log is empty).
    pub last: Index,
    /// The configuration at the floor, then every one set above it, ascending by index.
    pub configurations: Vec<Configuration>,
}

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
    /// On a leader: the peers, ascending by id.
    pub peers: Vec<PeerStatus>,
}

/// The Raft state machine of one replica of one group.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Raft {}

#[expect(
    unused_variables,
    clippy::todo,
    reason = "signatures first; the core lands next"
)]
impl Raft {
    /// A follower with what the log held. `jitter` is a fresh random number.
    pub fn new(config: Config, initial: Initial, now: Instant, jitter: u64) -> Self {
        todo!()
    }

    /// Feeds one event; what is to be done is appended to `effects`, in order.
    pub fn step(&mut self, now: Instant, input: Input, effects: &mut Effects) {
        todo!()
    }

    /// When to call `step` with which `Timeout` at the latest; `None`: no timer runs.
    pub fn deadline(&self) -> Option<(Instant, TimeoutKind)> {
        todo!()
    }

    /// A picture of the state.
    pub fn status(&self) -> Status {
        todo!()
    }

    /// The cached entries `from..=through`, at most `max_bytes` of payload but at least one;
    /// `None` if `from` is not in the cache (read the log instead).
    pub fn cached(&self, from: Index, through: Index, max_bytes: usize) -> Option<Vec<Entry>> {
        todo!()
    }

    /// Term of the entry at `index`; `None` below the floor or above the last.
    pub fn term_at(&self, index: Index) -> Option<Term> {
        todo!()
    }

    /// The configuration in force at `index` (at or above the floor).
    pub fn configuration_at(&self, index: Index) -> Option<&Configuration> {
        todo!()
    }

    /// Whether a snapshot with this end would be of use; asked before its data is received.
    pub fn wants_snapshot(&self, term: Term, last: LogId) -> bool {
        todo!()
    }

    /// Nodes this replica would like to talk to.
    pub fn contacts(&self) -> Vec<NodeId> {
        todo!()
    }
}
