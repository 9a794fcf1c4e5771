//! Cluster configuration: who votes, who learns.

mod change;

use std::collections::BTreeSet;
use std::fmt;

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
    /// Those among the voters (and outgoing voters) that are witnesses: they vote and keep the log
    /// without the payloads of normal entries, and never campaign.
    pub witnesses: BTreeSet<ReplicaId>,
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

    /// Whether `id` has a vote, in either half.
    pub fn is_voter(&self, id: ReplicaId) -> bool {
        self.voters.contains(&id) || self.outgoing.contains(&id)
    }

    /// Everybody who has a vote, ascending.
    pub fn all_voters(&self) -> BTreeSet<ReplicaId> {
        self.voters.union(&self.outgoing).copied().collect()
    }

    /// Everybody who receives the log, ascending.
    pub fn members(&self) -> BTreeSet<ReplicaId> {
        let mut members = self.all_voters();
        members.extend(&self.learners);
        members.extend(&self.learners_next);
        members
    }
}

/// `voters=(n1.0 n2.0)&&(n1.0) learners=(n4.7) learners_next=(n5.0) autoleave`, without the parts
/// that are empty.
impl fmt::Display for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "voters=({})", Ids(&self.voters))?;
        if !self.outgoing.is_empty() {
            write!(f, "&&({})", Ids(&self.outgoing))?;
        }
        if !self.learners.is_empty() {
            write!(f, " learners=({})", Ids(&self.learners))?;
        }
        if !self.learners_next.is_empty() {
            write!(f, " learners_next=({})", Ids(&self.learners_next))?;
        }
        if !self.witnesses.is_empty() {
            write!(f, " witnesses=({})", Ids(&self.witnesses))?;
        }
        if self.auto_leave {
            write!(f, " autoleave")?;
        }
        Ok(())
    }
}

struct Ids<'a>(&'a BTreeSet<ReplicaId>);

impl fmt::Display for Ids<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, id) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { " " };
            write!(f, "{separator}{id}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_prints_only_what_it_has() {
        let mut configuration = Configuration::initial([NodeId(1), NodeId(2)]);
        assert_eq!(configuration.to_string(), "voters=(n1.0 n2.0)");
        configuration.learners.insert(ReplicaId {
            node: NodeId(4),
            born: 7,
        });
        configuration.auto_leave = true;
        assert_eq!(
            configuration.to_string(),
            "voters=(n1.0 n2.0) learners=(n4.7) autoleave"
        );
    }
}
