//! A picture of one group at one node.

use coracle_proto::{GroupId, Index, LogId, Status};

use crate::SnapshotRef;

/// A picture of one group at this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupStatus {
    /// The group.
    pub group: GroupId,
    /// Its consensus.
    pub raft: Status,
    /// Last index the worker reported as applied.
    pub applied: Index,
    /// The newest snapshot.
    pub snapshot: Option<SnapshotRef>,
    /// The log's floor: entries up to here are gone.
    pub floor: LogId,
    /// Commands that wait to be proposed.
    pub queued: usize,
    /// Why the group was stopped, if it was.
    pub stopped: Option<String>,
}
