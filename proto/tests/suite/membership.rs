//! Random membership changes under random faults: safety throughout; after the faults, every
//! member of the last configuration has everything. Removed replicas run on and disturb.

use std::collections::BTreeSet;

use coracle_proto::{
    Change, Config, Configuration, ConfigurationChange, LogId, NodeId, Role, Transition,
};

use crate::cluster::{Cluster, T};
use crate::random::{Random, chaos, check_logs, eager, tight};

/// Nodes that come and go.
const POOL: u64 = 6;

fn any_change(random: &mut Random) -> Change {
    let node = NodeId(1 + random.below(POOL));
    match random.below(10) {
        0..4 => Change::Voter(node),
        4..6 => Change::Learner(node),
        6..7 => Change::Witness(node),
        _ => Change::Remove(node),
    }
}

/// Mostly at those who believe that they lead, and of the configuration they have.
fn change_something(cluster: &mut Cluster, random: &mut Random) {
    let leads = |id: &u64| cluster.nodes[id].raft.role() == Role::Leader;
    let leaders: Vec<_> = cluster.nodes.keys().copied().filter(leads).collect();
    let Some(at) = leaders.get(random.below(2) as usize).copied() else {
        return;
    };
    let now = cluster.nodes[&at].raft.status().configuration;
    let leave = now.is_joint() && random.below(2) == 0;
    let count = if leave { 0 } else { 1 + random.below(3) };
    let change = ConfigurationChange {
        expect: (random.below(2) == 0).then_some(now.index),
        changes: (0..count).map(|_| any_change(random)).collect(),
        transition: match random.below(4) {
            0 => Transition::Explicit,
            1 => Transition::Implicit,
            _ => Transition::Auto,
        },
    };
    cluster.request(at, change);
}

/// Without pre-vote, a replica whose addition was overwritten campaigns until somebody stops it.
fn stop_outsiders(cluster: &mut Cluster) {
    let statuses = cluster.nodes.values().map(|node| node.raft.status());
    let ahead = statuses.max_by_key(|s| (s.commit, s.last));
    let ahead = ahead.expect("nodes").configuration;
    for node in cluster.nodes.values_mut() {
        node.down = !ahead.is_member(node.id);
    }
}

fn run(seed: u64, configure: fn(u64) -> Config) -> (Vec<LogId>, Configuration) {
    let mut random = Random(seed);
    let mut cluster = Cluster::new(1 + random.below(4), configure);
    let mut reads = 0;
    for _ in 0..60 {
        chaos(&mut cluster, &mut random, 80, &mut reads);
        change_something(&mut cluster, &mut random);
        check_logs(&cluster, seed);
    }
    // The faults end: a leader, a joint configuration that is left, and everybody catches up.
    cluster.heal();
    cluster.run(T * 12);
    if !configure(1).pre_vote {
        stop_outsiders(&mut cluster);
        cluster.run(T * 12);
    }
    let leader = cluster
        .leader()
        .unwrap_or_else(|| panic!("seed {seed}: no leader after the faults"));
    let status = cluster.nodes[&leader].raft.status();
    assert!(
        status.configuration_committed,
        "seed {seed}: it commits {}",
        status.configuration
    );
    let waits = status.configuration.is_joint() && status.configuration.auto_leave;
    assert!(!waits, "seed {seed}: it leaves {}", status.configuration);
    cluster.propose(leader, "last");
    cluster.run(T * 2);
    check_logs(&cluster, seed);
    assert_eq!(
        cluster.leader(),
        Some(leader),
        "seed {seed}: nobody disturbs"
    );
    assert!(
        cluster.open_proposals.is_empty(),
        "seed {seed}: proposals left open"
    );
    let expected: Vec<_> = cluster.committed.values().copied().collect();
    let last = cluster.nodes[&leader].raft.status().last;
    assert_eq!(expected.last(), Some(&last), "seed {seed}: it commits");
    for member in status.configuration.members() {
        let node = &cluster.nodes[&member.node.0];
        assert_eq!(node.id, member, "seed {seed}");
        assert_eq!(node.applied, expected, "seed {seed}: {member} catches up");
    }
    (expected, status.configuration)
}

#[test]
fn members_come_and_go_under_faults_and_nothing_breaks() {
    for seed in 0..150 {
        run(seed, tight);
    }
}

#[test]
fn members_come_and_go_under_faults_without_pre_vote_and_nothing_breaks() {
    for seed in 1000..1150 {
        run(seed, eager);
    }
}

/// The schedules reach what they are for.
#[test]
fn random_schedules_reach_every_kind_of_configuration() {
    let mut seen = BTreeSet::new();
    for seed in 0..40 {
        let (_, last) = run(seed, tight);
        let parts = [
            ("joint", last.is_joint()),
            ("learners", !last.learners.is_empty()),
            ("witnesses", !last.witnesses.is_empty()),
            (
                "again",
                last.members()
                    .iter()
                    .any(|id| id.born > 0 && id.node.0 == 1),
            ),
            ("changed", last.index > 0),
        ];
        seen.extend(parts.iter().filter(|(_, is)| *is).map(|(name, _)| *name));
    }
    let all = ["again", "changed", "joint", "learners", "witnesses"];
    assert_eq!(seen, BTreeSet::from(all));
}
