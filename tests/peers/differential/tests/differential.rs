//! Random schedules on both implementations.

use std::collections::{BTreeMap, BTreeSet};

use coracle_differential::{Act, Cluster, Coracle, Members, RaftRs, Replica, View, play};
use proptest::collection::vec;
use proptest::prelude::*;

const NODES: u64 = 5;

fn end_of<R: Replica>(voters: u64, schedule: &[Act]) -> BTreeMap<u64, View> {
    let mut cluster = Cluster::<R>::new(NODES, voters);
    play(&mut cluster, schedule);
    let mut view = cluster.view();
    // Whether a removed node learns of its removal is not agreed upon.
    if let Some(leader) = cluster.leaders().last() {
        let members = view[leader].members.clone();
        view.retain(|id, _| members.voters.contains(id) || members.learners.contains(id));
    }
    view
}

/// What both must agree on: who leads, in which term, with which members, and what is committed.
fn compare(voters: u64, schedule: &[Act]) -> Result<(), TestCaseError> {
    let ours = end_of::<Coracle>(voters, schedule);
    let theirs = end_of::<RaftRs>(voters, schedule);
    prop_assert_eq!(ours, theirs, "coracle (left) and raft (right)");
    Ok(())
}

fn node() -> impl Strategy<Value = u64> {
    1..=NODES
}

fn side() -> impl Strategy<Value = BTreeSet<u64>> {
    prop::collection::btree_set(node(), 1..=3)
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => node().prop_map(Act::Campaign),
        1 => Just(Act::Elect),
        4 => (1u8..5).prop_map(Act::Propose),
        1 => Just(Act::ProposeEverywhere),
        3 => (1u8..4).prop_map(Act::Rounds),
        4 => Just(Act::Settle),
        1 => Just(Act::Lose),
        2 => side().prop_map(Act::Partition),
        2 => Just(Act::Heal),
        1 => node().prop_map(Act::Crash),
        2 => node().prop_map(Act::Restart),
        2 => node().prop_map(Act::Transfer),
    ]
}

/// The end of every schedule: everybody up, one network, a leader, and its entry committed.
fn finale() -> Vec<Act> {
    let mut acts = vec![Act::Heal];
    acts.extend((1..=NODES).map(Act::Restart));
    acts.extend([Act::Elect, Act::Propose(1), Act::Settle]);
    acts
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_same_schedule_commits_the_same_log(
        voters in prop_oneof![Just(3), Just(5)],
        mut schedule in vec(act(), 1..60),
    ) {
        schedule.extend(finale());
        compare(voters, &schedule)?;
    }
}

/// Members among all nodes: at least one voter, some learners.
fn members() -> impl Strategy<Value = Members> {
    (1u8..1 << NODES, 0u8..1 << NODES).prop_map(|(voters, learners)| {
        let nodes = |set: u8| (1..=NODES).filter(move |node| set & (1 << (node - 1)) != 0);
        Members {
            voters: nodes(voters).collect(),
            learners: nodes(learners & !voters).collect(),
        }
    })
}

/// Changes of members on a network that works, with proposals and transfers in between.
fn calm_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => members().prop_map(Act::Change),
        2 => (1u8..5).prop_map(Act::Propose),
        1 => node().prop_map(Act::Transfer),
        1 => Just(Act::Elect),
        1 => Just(Act::Settle),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_same_changes_of_members_give_the_same_members_and_log(
        voters in prop_oneof![Just(1), Just(3)],
        schedule in vec(calm_act(), 1..20),
    ) {
        let mut acts = vec![Act::Elect];
        acts.extend(schedule);
        acts.extend([Act::Elect, Act::Propose(1), Act::Settle]);
        compare(voters, &acts)?;
    }
}
