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
    /// 0: never. Needs pre-vote and check-quorum.
    pub quiesce_after: u32,
}

/// Settings that may change while a replica runs, see the fields of [`Config`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Settings {
    /// See [`Config::election_timeout`].
    pub election_timeout: Duration,
    /// See [`Config::heartbeat_interval`].
    pub heartbeat_interval: Duration,
    /// See [`Config::max_append_bytes`].
    pub max_append_bytes: usize,
    /// See [`Config::max_append_entries`].
    pub max_append_entries: usize,
    /// See [`Config::max_inflight_appends`].
    pub max_inflight_appends: usize,
    /// See [`Config::max_inflight_bytes`].
    pub max_inflight_bytes: usize,
    /// See [`Config::max_uncommitted_bytes`].
    pub max_uncommitted_bytes: usize,
    /// See [`Config::max_pending_reads`].
    pub max_pending_reads: usize,
    /// See [`Config::clock_drift`].
    pub clock_drift: Duration,
    /// See [`Config::quiesce_after`].
    pub quiesce_after: u32,
}

impl From<&Config> for Settings {
    fn from(config: &Config) -> Self {
        Self {
            election_timeout: config.election_timeout,
            heartbeat_interval: config.heartbeat_interval,
            max_append_bytes: config.max_append_bytes,
            max_append_entries: config.max_append_entries,
            max_inflight_appends: config.max_inflight_appends,
            max_inflight_bytes: config.max_inflight_bytes,
            max_uncommitted_bytes: config.max_uncommitted_bytes,
            max_pending_reads: config.max_pending_reads,
            clock_drift: config.clock_drift,
            quiesce_after: config.quiesce_after,
        }
    }
}

impl Config {
    pub(crate) fn apply(&mut self, settings: Settings) {
        self.election_timeout = settings.election_timeout;
        self.heartbeat_interval = settings.heartbeat_interval;
        self.max_append_bytes = settings.max_append_bytes;
        self.max_append_entries = settings.max_append_entries;
        self.max_inflight_appends = settings.max_inflight_appends;
        self.max_inflight_bytes = settings.max_inflight_bytes;
        self.max_uncommitted_bytes = settings.max_uncommitted_bytes;
        self.max_pending_reads = settings.max_pending_reads;
        self.clock_drift = settings.clock_drift;
        self.quiesce_after = settings.quiesce_after;
    }
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
