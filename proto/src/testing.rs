//! Fixtures of the unit tests.

use std::time::Duration;

use crate::{Config, GroupId, NodeId, ReplicaId};

pub(crate) fn replica(node: u64) -> ReplicaId {
    ReplicaId {
        node: NodeId(node),
        born: 0,
    }
}

pub(crate) fn config(node: u64) -> Config {
    Config {
        group: GroupId(7),
        id: replica(node),
        election_timeout: Duration::from_millis(1000),
        heartbeat_interval: Duration::from_millis(100),
        pre_vote: false,
        check_quorum: false,
        max_append_bytes: 1 << 20,
        max_append_entries: 1000,
        max_inflight_appends: 16,
        max_inflight_bytes: 1 << 20,
        max_uncommitted_bytes: 1 << 20,
        cache_bytes: 1 << 20,
        max_pending_reads: 100,
    }
}
