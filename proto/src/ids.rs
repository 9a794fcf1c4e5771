//! Names of things: nodes, groups, replicas, positions in the log.

use std::fmt;

/// A term of the Raft thesis, §3.3. Zero means "before the first election".
pub type Term = u64;

/// A position in the log, 1-based; zero means "before the first entry".
pub type Index = u64;

/// A process of the cluster. Never reused, never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

/// One Raft group. Group 0 is the system group; any other id is the index of its creating entry
/// in group 0, so an id is never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u64);

impl GroupId {
    /// The system group, which every node runs in full.
    pub const SYSTEM: Self = Self(0);
}

/// A member as a replica: the node, and the index of the configuration entry that added it
/// (0 = it was in the initial configuration). A node that was removed and added again is another
/// replica and cannot vote with the state of the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId {
    /// The node that hosts the replica.
    pub node: NodeId,
    /// Index of the configuration entry that added it.
    pub born: Index,
}

/// Identity of an entry: two logs holding the same `LogId` agree on everything up to it
/// (Log Matching, thesis §3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LogId {
    /// Term of the entry. First, so that the order is that of "at least as up to date".
    pub term: Term,
    /// Index of the entry.
    pub index: Index,
}

/// The caller's name of a proposal; returned in exactly one terminal effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProposalId(pub u64);

/// The caller's name of a read; returned in exactly one terminal effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadId(pub u64);

/// The caller's name of a leadership transfer; returned in exactly one terminal effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransferId(pub u64);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "g{}", self.0)
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.node, self.born)
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.term, self.index)
    }
}
