//! Settings of a node: every bound of its queues and loops has its name here.

use std::time::Duration;

use coracle_proto::{Config, DEFAULT_PRIORITY, GroupId, NodeId, ReplicaId};

use crate::payload::{MAX_GROUP_BYTES, MAX_GROUP_COMMANDS};

/// Settings of one node, the same for all its groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeConfig {
    /// This node.
    pub id: NodeId,
    /// Base election timeout, see [`Config::election_timeout`].
    pub election_timeout: Duration,
    /// See [`Config::heartbeat_interval`].
    pub heartbeat_interval: Duration,
    /// See [`Config::pre_vote`].
    pub pre_vote: bool,
    /// See [`Config::check_quorum`].
    pub check_quorum: bool,
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
    /// See [`Config::cache_bytes`].
    pub cache_bytes: usize,
    /// See [`Config::max_pending_reads`].
    pub max_pending_reads: usize,
    /// See [`Config::priority`].
    pub priority: u8,
    /// See [`Config::clock_drift`].
    pub clock_drift: Duration,
    /// See [`Config::quiesce_after`]. Group 0 never falls silent.
    pub quiesce_after: u32,

    /// Bytes of one command; a larger one is refused.
    pub max_command_bytes: usize,
    /// Commands in one entry.
    pub max_group_commands: usize,
    /// Bytes of commands in one entry; a single larger command goes alone.
    pub max_group_bytes: usize,
    /// Commands that wait to be proposed, per group; beyond, they are refused as busy.
    pub max_queued_commands: usize,
    /// Bytes of commands that wait to be proposed, per group.
    pub max_queued_bytes: usize,
    /// Entries of a leader that are appended and not yet applied at it, above which commands wait
    /// in the queue (and so gather into larger entries).
    pub max_inflight_groups: u64,
    /// Entries read from the log for lagging peers in one turn, in reads.
    pub max_log_reads: usize,
    /// Bytes of payload read from the log for lagging peers in one turn, above which the rest waits
    /// for the next: events and timers go first.
    pub max_log_read_bytes: usize,
    /// Entries kept below the newest snapshot, so that a peer that is a little behind does not
    /// need the snapshot.
    pub retained_entries: u64,
    /// Bytes of payload kept below the newest snapshot.
    pub retained_bytes: u64,
    /// Entries above the last checkpoint, while checkpoints fail; beyond, commands are refused.
    pub max_tail_entries: u64,
    /// Applied entries after which a hint of the applied index goes into the log.
    pub applied_hint_entries: u64,
    /// How far the time of the last entry may be ahead of this node's clock; a leader further
    /// behind refuses commands, because time would stand still for them.
    pub max_clock_lag: Duration,
}

/// Settings that may change while the node runs; `None`: as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tuning {
    /// See [`NodeConfig::election_timeout`].
    pub election_timeout: Option<Duration>,
    /// See [`NodeConfig::heartbeat_interval`].
    pub heartbeat_interval: Option<Duration>,
    /// See [`NodeConfig::max_inflight_appends`].
    pub max_inflight_appends: Option<usize>,
    /// See [`NodeConfig::max_inflight_bytes`].
    pub max_inflight_bytes: Option<usize>,
    /// See [`NodeConfig::max_uncommitted_bytes`].
    pub max_uncommitted_bytes: Option<usize>,
    /// See [`NodeConfig::max_queued_commands`].
    pub max_queued_commands: Option<usize>,
    /// See [`NodeConfig::max_queued_bytes`].
    pub max_queued_bytes: Option<usize>,
    /// See [`NodeConfig::retained_entries`].
    pub retained_entries: Option<u64>,
    /// See [`NodeConfig::retained_bytes`].
    pub retained_bytes: Option<u64>,
    /// See [`NodeConfig::quiesce_after`].
    pub quiesce_after: Option<u32>,
}

impl NodeConfig {
    /// Default settings for node `id`.
    pub fn new(id: NodeId) -> Self {
        Self {
            id,
            election_timeout: Duration::from_millis(1000),
            heartbeat_interval: Duration::from_millis(100),
            pre_vote: true,
            check_quorum: true,
            max_append_bytes: 1 << 20,
            max_append_entries: 256,
            max_inflight_appends: 64,
            max_inflight_bytes: 8 << 20,
            max_uncommitted_bytes: 32 << 20,
            cache_bytes: 16 << 20,
            max_pending_reads: 4096,
            priority: DEFAULT_PRIORITY,
            clock_drift: Duration::from_millis(100),
            quiesce_after: 0,
            max_command_bytes: 1 << 20,
            max_group_commands: MAX_GROUP_COMMANDS,
            max_group_bytes: MAX_GROUP_BYTES,
            max_queued_commands: 8192,
            max_queued_bytes: 16 << 20,
            max_inflight_groups: 256,
            max_log_reads: 16,
            max_log_read_bytes: 2 << 20,
            retained_entries: 10_000,
            retained_bytes: 16 << 20,
            max_tail_entries: 1_000_000,
            applied_hint_entries: 256,
            max_clock_lag: Duration::from_secs(24 * 3600),
        }
    }

    /// Takes over what is set in `tuning`.
    pub(super) fn tune(&mut self, tuning: &Tuning) {
        fn set<T: Copy>(setting: &mut T, to: Option<T>) {
            *setting = to.unwrap_or(*setting);
        }
        set(&mut self.election_timeout, tuning.election_timeout);
        set(&mut self.heartbeat_interval, tuning.heartbeat_interval);
        set(&mut self.max_inflight_appends, tuning.max_inflight_appends);
        set(&mut self.max_inflight_bytes, tuning.max_inflight_bytes);
        set(
            &mut self.max_uncommitted_bytes,
            tuning.max_uncommitted_bytes,
        );
        set(&mut self.max_queued_commands, tuning.max_queued_commands);
        set(&mut self.max_queued_bytes, tuning.max_queued_bytes);
        set(&mut self.retained_entries, tuning.retained_entries);
        set(&mut self.retained_bytes, tuning.retained_bytes);
        set(&mut self.quiesce_after, tuning.quiesce_after);
    }

    pub(super) fn raft(&self, group: GroupId, id: ReplicaId) -> Config {
        Config {
            group,
            id,
            election_timeout: self.election_timeout,
            heartbeat_interval: self.heartbeat_interval,
            pre_vote: self.pre_vote,
            check_quorum: self.check_quorum,
            max_append_bytes: self.max_append_bytes,
            max_append_entries: self.max_append_entries,
            max_inflight_appends: self.max_inflight_appends,
            max_inflight_bytes: self.max_inflight_bytes,
            max_uncommitted_bytes: self.max_uncommitted_bytes,
            cache_bytes: self.cache_bytes,
            max_pending_reads: self.max_pending_reads,
            priority: self.priority,
            clock_drift: self.clock_drift,
            quiesce_after: match group {
                GroupId::SYSTEM => 0,
                _ => self.quiesce_after,
            },
        }
    }
}
