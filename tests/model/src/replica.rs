//! One replica: the real core on a disk.

use std::collections::{BTreeSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::time::Duration;

use coracle_proto::{
    Config, Configuration, DEFAULT_PRIORITY, GroupId, Instant, NodeId, Raft, ReplicaId, Role,
};

use crate::disk::{Disk, Write};
use crate::network::fingerprint;
use crate::slice::Slice;

/// The election timeout: the unit in which time passes is half of it.
pub(crate) const ELECTION_TIMEOUT: Duration = Duration::from_nanos(2);

/// The one group there is.
pub(crate) const GROUP: GroupId = GroupId(1);

/// Of everything that is bounded by size: far more than a slice reaches.
const PLENTY: usize = 1 << 20;

/// A replica of the core, with what is around it.
#[derive(Debug, Clone)]
pub(crate) struct Replica {
    pub(crate) raft: Raft,
    pub(crate) disk: Disk,
    /// On their way to the disk, oldest first.
    pub(crate) writes: VecDeque<Write>,
    /// To whom it was asked to send a snapshot.
    pub(crate) offers: BTreeSet<ReplicaId>,
    name: u64,
}

impl Replica {
    pub(crate) fn new(id: ReplicaId, disk: Disk, slice: &Slice, now: Instant) -> Self {
        let raft = Raft::new(config(id, slice), disk.initial(), now, 0);
        let mut replica = Self {
            raft,
            disk,
            writes: VecDeque::new(),
            offers: BTreeSet::new(),
            name: 0,
        };
        replica.rename();
        replica
    }

    /// Whatever was not durable is gone.
    pub(crate) fn restart(&mut self, id: ReplicaId, slice: &Slice, now: Instant) {
        *self = Self::new(id, std::mem::take(&mut self.disk), slice, now);
    }

    pub(crate) fn leads(&self) -> bool {
        self.raft.role() == Role::Leader
    }

    /// To be called after every change: states are told apart by this name.
    pub(crate) fn rename(&mut self) {
        self.name = fingerprint(&(&self.raft, &self.disk, &self.writes, &self.offers));
    }
}

impl Hash for Replica {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

/// A member of the initial configuration has no birthday; who is added is born where it is added.
pub(crate) fn member(node: u64) -> ReplicaId {
    ReplicaId {
        node: NodeId(node),
        born: 0,
    }
}

pub(crate) fn initial_configuration(voters: u64) -> Configuration {
    Configuration::initial((1..=voters).map(NodeId))
}

fn config(id: ReplicaId, slice: &Slice) -> Config {
    Config {
        group: GROUP,
        id,
        election_timeout: ELECTION_TIMEOUT,
        heartbeat_interval: Duration::from_nanos(1),
        pre_vote: slice.pre_vote,
        check_quorum: slice.check_quorum,
        max_append_bytes: PLENTY,
        max_append_entries: PLENTY,
        max_inflight_appends: PLENTY,
        max_inflight_bytes: PLENTY,
        max_uncommitted_bytes: PLENTY,
        cache_bytes: PLENTY,
        max_pending_reads: PLENTY,
        priority: DEFAULT_PRIORITY,
        clock_drift: Duration::ZERO,
        quiesce_after: 0,
    }
}
