//! Majorities, plain and joint (thesis §4.3). Pure functions over sets of voters.

use std::collections::BTreeSet;

use crate::mutant::mutant;
use crate::{Configuration, Index, ReplicaId};

/// Voters whose acknowledgements fit on the stack; larger sets are collected on the heap.
const STACK_VOTERS: usize = 9;

/// Outcome of counting votes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VoteResult {
    /// Both outcomes are still possible.
    Pending,
    /// A quorum said yes.
    Won,
    /// No quorum can say yes any more.
    Lost,
}

/// The highest index that a majority of `voters` has acknowledged; `Index::MAX` if there are no
/// voters, so that the empty half of a joint configuration does not hold back the other.
pub fn majority_committed<Id: Ord>(
    voters: &BTreeSet<Id>,
    acked: impl Fn(&Id) -> Option<Index>,
) -> Index {
    let indexes = voters.iter().map(|id| acked(id).unwrap_or(0));
    let mut stack = [0; STACK_VOTERS];
    let mut heap = Vec::new();
    let sorted: &mut [Index] = if voters.len() <= STACK_VOTERS {
        for (slot, index) in stack.iter_mut().zip(indexes) {
            *slot = index;
        }
        &mut stack[..voters.len()]
    } else {
        heap.extend(indexes);
        &mut heap
    };
    sorted.sort_unstable();
    // Ascending: the elements from here to the end are a majority.
    let weakest = sorted.len().saturating_sub(majority(sorted.len()));
    sorted.get(weakest).copied().unwrap_or(Index::MAX)
}

/// [`majority_committed`] of both halves of a joint configuration.
pub fn joint_committed<Id: Ord>(
    incoming: &BTreeSet<Id>,
    outgoing: &BTreeSet<Id>,
    acked: impl Fn(&Id) -> Option<Index>,
) -> Index {
    majority_committed(incoming, &acked).min(majority_committed(outgoing, &acked))
}

/// What the votes of `voters` come to; no voters at all count as won, see [`majority_committed`].
pub fn majority_vote<Id: Ord>(
    voters: &BTreeSet<Id>,
    vote: impl Fn(&Id) -> Option<bool>,
) -> VoteResult {
    if voters.is_empty() {
        return VoteResult::Won;
    }
    let (mut yes, mut missing) = (0, 0);
    for id in voters {
        match vote(id) {
            Some(true) => yes += 1,
            Some(false) => {}
            None => missing += 1,
        }
    }
    let needed = majority(voters.len());
    if yes >= needed {
        VoteResult::Won
    } else if yes + missing >= needed {
        VoteResult::Pending
    } else {
        VoteResult::Lost
    }
}

/// [`majority_vote`] of both halves of a joint configuration: won only in both, lost in either.
pub fn joint_vote<Id: Ord>(
    incoming: &BTreeSet<Id>,
    outgoing: &BTreeSet<Id>,
    vote: impl Fn(&Id) -> Option<bool>,
) -> VoteResult {
    match (
        majority_vote(incoming, &vote),
        majority_vote(outgoing, &vote),
    ) {
        (VoteResult::Lost, _) | (_, VoteResult::Lost) => VoteResult::Lost,
        (VoteResult::Won, VoteResult::Won) => VoteResult::Won,
        _ => VoteResult::Pending,
    }
}

/// [`joint_committed`] of a configuration.
pub fn committed_index(
    configuration: &Configuration,
    acked: impl Fn(&ReplicaId) -> Option<Index>,
) -> Index {
    if mutant!(JointIncomingOnly) {
        return majority_committed(&configuration.voters, acked);
    }
    if mutant!(LearnerCounted) {
        let members = configuration.members();
        return majority_committed(&members, acked);
    }
    joint_committed(&configuration.voters, &configuration.outgoing, acked)
}

/// [`joint_vote`] of a configuration.
pub fn vote_result(
    configuration: &Configuration,
    vote: impl Fn(&ReplicaId) -> Option<bool>,
) -> VoteResult {
    if mutant!(JointIncomingOnly) {
        return majority_vote(&configuration.voters, vote);
    }
    joint_vote(&configuration.voters, &configuration.outgoing, vote)
}

fn majority(voters: usize) -> usize {
    voters / 2 + 1
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// By definition: the largest index that at least a majority has reached.
    fn naive_committed(acked: &BTreeMap<u8, Index>, voters: &BTreeSet<u8>) -> Index {
        let reached = |index: Index| {
            let count = voters
                .iter()
                .filter(|id| acked.get(id).copied().unwrap_or(0) >= index);
            2 * count.count() > voters.len()
        };
        acked
            .values()
            .copied()
            .filter(|&index| reached(index))
            .max()
            .unwrap_or(0)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn majority_committed_is_what_the_definition_says(
            voters in prop::collection::btree_set(0u8..20, 1..16),
            acked in prop::collection::btree_map(0u8..20, 0u64..30, 0..20),
        ) {
            let found = majority_committed(&voters, |id| acked.get(id).copied());
            prop_assert_eq!(found, naive_committed(&acked, &voters));
        }

        #[test]
        fn a_vote_is_pending_exactly_while_both_outcomes_can_be_reached(
            voters in prop::collection::btree_set(0u8..12, 1..8),
            votes in prop::collection::btree_map(0u8..12, any::<bool>(), 0..12),
        ) {
            let with_missing = |missing: bool| {
                majority_vote(&voters, |id| Some(votes.get(id).copied().unwrap_or(missing)))
            };
            let expected = match (with_missing(false), with_missing(true)) {
                (VoteResult::Won, _) => VoteResult::Won,
                (_, VoteResult::Lost) => VoteResult::Lost,
                _ => VoteResult::Pending,
            };
            prop_assert_eq!(majority_vote(&voters, |id| votes.get(id).copied()), expected);
        }
    }

    #[test]
    fn no_voters_hold_nothing_back() {
        let none = BTreeSet::<u8>::new();
        assert_eq!(majority_committed(&none, |_| None), Index::MAX);
        assert_eq!(majority_vote(&none, |_| None), VoteResult::Won);
    }

    #[test]
    fn a_joint_quorum_needs_both_halves() {
        let (incoming, outgoing) = (BTreeSet::from([1, 2, 3]), BTreeSet::from([3, 4, 5]));
        let acked = |id: &u8| Some([0, 9, 9, 9, 2, 1][usize::from(*id)]);
        assert_eq!(joint_committed(&incoming, &outgoing, acked), 2);
        let votes = |id: &u8| (*id <= 3).then_some(true);
        assert_eq!(joint_vote(&incoming, &outgoing, votes), VoteResult::Pending);
    }
}
