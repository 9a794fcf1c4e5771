//! Settings of the nodes, small on purpose, so that their bounds are hit.

use std::time::Duration;

use coracle_driver::NodeConfig;
use coracle_proto::NodeId;
use serde::{Deserialize, Serialize};

use crate::random::Random;

/// What a run sets of [`NodeConfig`] and of the log. Everything else is as in the product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Milliseconds.
    pub election_timeout: u64,
    /// Milliseconds.
    pub heartbeat_interval: u64,
    /// Whether there are pre-votes.
    pub pre_vote: bool,
    /// Milliseconds by which a lease is shortened.
    pub clock_drift: u64,
    /// Idle heartbeats until silence.
    pub quiesce_after: u32,
    /// See [`NodeConfig::max_append_bytes`].
    pub max_append_bytes: usize,
    /// See [`NodeConfig::max_append_entries`].
    pub max_append_entries: usize,
    /// See [`NodeConfig::max_inflight_appends`].
    pub max_inflight_appends: usize,
    /// See [`NodeConfig::max_inflight_bytes`].
    pub max_inflight_bytes: usize,
    /// See [`NodeConfig::max_uncommitted_bytes`].
    pub max_uncommitted_bytes: usize,
    /// See [`NodeConfig::cache_bytes`].
    pub cache_bytes: usize,
    /// See [`NodeConfig::max_pending_reads`].
    pub max_pending_reads: usize,
    /// See [`NodeConfig::max_group_commands`].
    pub max_group_commands: usize,
    /// See [`NodeConfig::max_queued_commands`].
    pub max_queued_commands: usize,
    /// See [`NodeConfig::max_inflight_groups`].
    pub max_inflight_groups: u64,
    /// See [`NodeConfig::max_log_reads`].
    pub max_log_reads: usize,
    /// See [`NodeConfig::max_log_read_bytes`].
    pub max_log_read_bytes: usize,
    /// See [`NodeConfig::retained_entries`].
    pub retained_entries: u64,
    /// See [`NodeConfig::applied_hint_entries`].
    pub applied_hint_entries: u64,
    /// Entries after which a checkpoint is due.
    pub checkpoint_entries: u64,
    /// Commits after which the anchor is written although no hard state changed.
    pub anchor_commits: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            election_timeout: 300,
            heartbeat_interval: 30,
            pre_vote: true,
            clock_drift: 37,
            quiesce_after: 0,
            max_append_bytes: 1 << 20,
            max_append_entries: 64,
            max_inflight_appends: 32,
            max_inflight_bytes: 1 << 20,
            max_uncommitted_bytes: 1 << 20,
            cache_bytes: 1 << 20,
            max_pending_reads: 64,
            max_group_commands: 256,
            max_queued_commands: 256,
            max_inflight_groups: 256,
            max_log_reads: 16,
            max_log_read_bytes: 1 << 20,
            retained_entries: 40,
            applied_hint_entries: 16,
            checkpoint_entries: 60,
            anchor_commits: 8,
        }
    }
}

impl Settings {
    pub(crate) fn draw(random: &mut Random) -> Self {
        let election = *random.pick(&[150, 300, 600]);
        Self {
            election_timeout: election,
            heartbeat_interval: election / 10,
            pre_vote: !random.chance(150),
            // Clocks run up to five per cent too fast or too slow.
            clock_drift: election / 8,
            quiesce_after: *random.pick(&[0, 0, 1, 4]),
            max_append_bytes: *random.pick(&[64, 1000, 1 << 20]),
            max_append_entries: *random.pick(&[1, 4, 64]),
            max_inflight_appends: *random.pick(&[1, 3, 32]),
            max_inflight_bytes: *random.pick(&[256, 1 << 20]),
            max_uncommitted_bytes: *random.pick(&[600, 1 << 20]),
            cache_bytes: *random.pick(&[0, 500, 1 << 20]),
            max_pending_reads: *random.pick(&[1, 64]),
            max_group_commands: *random.pick(&[1, 3, 256]),
            max_queued_commands: *random.pick(&[1, 256]),
            max_inflight_groups: *random.pick(&[1, 4, 256]),
            max_log_reads: *random.pick(&[1, 16]),
            max_log_read_bytes: *random.pick(&[1, 1 << 20]),
            retained_entries: *random.pick(&[0, 5, 40]),
            applied_hint_entries: *random.pick(&[1, 16]),
            checkpoint_entries: *random.pick(&[12, 25, 60, 10_000]),
            anchor_commits: 8,
        }
    }

    /// For this node.
    pub(crate) fn config(&self, id: NodeId) -> NodeConfig {
        NodeConfig {
            election_timeout: Duration::from_millis(self.election_timeout),
            heartbeat_interval: Duration::from_millis(self.heartbeat_interval),
            pre_vote: self.pre_vote,
            check_quorum: true,
            clock_drift: Duration::from_millis(self.clock_drift),
            quiesce_after: self.quiesce_after,
            max_append_bytes: self.max_append_bytes,
            max_append_entries: self.max_append_entries,
            max_inflight_appends: self.max_inflight_appends,
            max_inflight_bytes: self.max_inflight_bytes,
            max_uncommitted_bytes: self.max_uncommitted_bytes,
            cache_bytes: self.cache_bytes,
            max_pending_reads: self.max_pending_reads,
            max_group_commands: self.max_group_commands,
            max_queued_commands: self.max_queued_commands,
            max_inflight_groups: self.max_inflight_groups,
            max_log_reads: self.max_log_reads,
            max_log_read_bytes: self.max_log_read_bytes,
            retained_entries: self.retained_entries,
            applied_hint_entries: self.applied_hint_entries,
            ..NodeConfig::new(id)
        }
    }
}
