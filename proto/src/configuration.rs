//! Cluster configuration: who votes, who learns.

use std::collections::BTreeSet;

use crate::{Index, NodeId, ReplicaId};

/// The members of a group, effective from the moment it is appended (thesis §4.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Configuration {
    /// Index of the entry that set it; 0 for the initial configuration.
    pub index: Index,
    /// The voters; in a joint configuration, the incoming ones.
    pub voters: BTreeSet<ReplicaId>,
    /// In a joint configuration the outgoing voters (thesis §4.3); empty otherwise.
    pub outgoing: BTreeSet<ReplicaId>,
    /// Receive the log, do not vote.
    pub learners: BTreeSet<ReplicaId>,
    /// Voters that become learners when the joint configuration is left.
    pub learners_next: BTreeSet<ReplicaId>,
    /// Leave the joint configuration without being asked.
    pub auto_leave: bool,
}

impl Configuration {
    /// The initial configuration of a group: these nodes are voters, all born at 0.
    pub fn initial(nodes: impl IntoIterator<Item = NodeId>) -> Self {
        let voters = nodes
            .into_iter()
            .map(|node| ReplicaId { node, born: 0 })
            .collect();
        Self {
            voters,
            ..Self::default()
        }
    }
}
