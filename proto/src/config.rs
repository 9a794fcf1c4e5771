//! What a replica is started with.

use std::time::Duration;

use crate::{Configuration, GroupId, HardState, Index, LogId, ReplicaId, SnapshotMeta};

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
    /// Uncommitted bytes in a leader's log, above which proposals are refused.
    pub max_uncommitted_bytes: usize,
    /// Bytes of entries kept in memory; older ones are asked for with `ReadLog`.
    pub cache_bytes: usize,
    /// Reads waiting for their round, above which they are refused as busy.
    pub max_pending_reads: usize,
    /// Election priority, see [`DEFAULT_PRIORITY`]. A replica of lower priority than the default
    /// waits one election timeout longer per step before it campaigns; one of higher priority is
    /// preferred by a transfer to the best. Safety and who may vote do not depend on it.
    pub priority: u8,
    /// How far clocks may drift apart within an election timeout; a lease is shorter by this.
    pub clock_drift: Duration,
    /// Heartbeats without anything to do after which a leader lets the group fall silent;
    /// 0: never.
    pub quiesce_after: u32,
}

/// Priority of a replica that was given none.
pub const DEFAULT_PRIORITY: u8 = 4;

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
