//! Majorities, written down a second time: nothing of the core is used to judge it.

use std::collections::BTreeSet;

use crate::ReplicaId;
use crate::event::Configuration;

impl Configuration {
    /// Whether these are a majority, of both halves of a joint configuration.
    pub fn is_quorum(&self, has: impl Fn(ReplicaId) -> bool) -> bool {
        let majority = |half: &BTreeSet<ReplicaId>| {
            2 * half.iter().filter(|id| has(**id)).count() > half.len()
        };
        majority(&self.voters) && (self.outgoing.is_empty() || majority(&self.outgoing))
    }

    /// Whether every quorum of the one has a member in every quorum of the other.
    pub fn overlaps(&self, other: &Self) -> bool {
        let sets = [&self.voters, &self.outgoing, &other.voters, &other.outgoing];
        let voters: BTreeSet<ReplicaId> = sets.into_iter().flatten().copied().collect();
        let voters: Vec<ReplicaId> = voters.into_iter().collect();
        // Too many to try every set of them; such a change is not judged.
        if voters.len() > MAX_JUDGED {
            return true;
        }
        (0_u32..1 << voters.len()).all(|set| {
            let within = |id: ReplicaId| {
                let at = voters.iter().position(|voter| *voter == id);
                at.is_some_and(|at| set & (1 << at) != 0)
            };
            !(self.is_quorum(within) && other.is_quorum(|id| !within(id)))
        })
    }
}

/// Voters of two configurations together, of which all sets are tried.
const MAX_JUDGED: usize = 14;
