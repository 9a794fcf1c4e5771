//! Two properties that etcd-raft checks with random cases: the index a majority has committed, and
//! a joint change against the same steps one by one. The cases are the same in every run.

use std::collections::{BTreeMap, BTreeSet};

use coracle_proto::quorum::majority_committed;
use coracle_proto::{Change, Configuration, Index, NodeId, ReplicaId};

/// Steele, Lea and Flood's generator: enough for tests, and nobody else's state.
struct SplitMix(u64);

impl SplitMix {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

#[test]
fn fifty_thousand_majorities_commit_what_counting_says() {
    let mut random = SplitMix(1);
    for case in 0..50_000 {
        let voters: BTreeSet<u64> = (0..random.below(10)).map(|_| random.below(12)).collect();
        let reports = random.below(12);
        let acked: BTreeMap<u64, Index> = (0..reports)
            .map(|_| (random.below(12), random.below(16)))
            .collect();
        let found = majority_committed(&voters, |id| acked.get(id).copied());
        let expected = by_counting(&voters, &acked);
        assert_eq!(found, expected, "case {case}: {voters:?} {acked:?}");
    }
}

/// The highest index that more than half have reached, found by trying every one of them.
fn by_counting(voters: &BTreeSet<u64>, acked: &BTreeMap<u64, Index>) -> Index {
    if voters.is_empty() {
        return Index::MAX;
    }
    let of = |id: &u64| acked.get(id).copied().unwrap_or(0);
    let reached = |index: &Index| voters.iter().filter(|id| of(id) >= *index).count();
    let candidates = (0..=16).filter(|index| reached(index) * 2 > voters.len());
    candidates.max().unwrap_or(0)
}

#[test]
fn a_thousand_joint_changes_end_where_their_steps_would_one_by_one() {
    let mut random = SplitMix(2);
    for case in 0..1_000 {
        let start = start(&mut random);
        // Node 1 is left alone, so that there always is a voter.
        let changes: Vec<_> = (0..1 + random.below(9))
            .map(|_| change(&mut random))
            .collect();
        let auto_leave = random.below(2) == 1;

        let joint = start.enter_joint(100, auto_leave, &changes).expect("joint");
        assert_eq!(joint.outgoing, start.voters, "case {case}");
        assert_eq!(joint.auto_leave, auto_leave);
        let left = joint.leave_joint(101).expect("a joint configuration");

        let one_by_one = changes.iter().zip(200..).fold(start, |before, (step, at)| {
            before.simple(at, &[*step]).expect("one voter at most")
        });

        assert_eq!(
            nodes(&left.voters),
            nodes(&one_by_one.voters),
            "case {case}"
        );
        assert_eq!(
            nodes(&left.learners),
            nodes(&one_by_one.learners),
            "case {case}"
        );
        assert!(left.learners_next.is_empty() && !left.is_joint());
    }
}

fn start(random: &mut SplitMix) -> Configuration {
    let mut configuration = Configuration::initial([NodeId(1)]);
    for at in 1..1 + random.below(9) {
        let step = change(random);
        configuration = configuration.simple(at, &[step]).expect("one voter");
    }
    configuration
}

fn change(random: &mut SplitMix) -> Change {
    let node = NodeId(2 + random.below(8));
    match random.below(3) {
        0 => Change::Voter(node),
        1 => Change::Learner(node),
        _ => Change::Remove(node),
    }
}

fn nodes(replicas: &BTreeSet<ReplicaId>) -> Vec<NodeId> {
    replicas.iter().map(|id| id.node).collect()
}
