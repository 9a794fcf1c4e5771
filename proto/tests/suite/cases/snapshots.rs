//! Snapshots between nodes.

use coracle_proto::{Configuration, Message, NodeId, ProgressState, Role};

use super::{beat, campaign, commit, isolate, log, plain};
use crate::cluster::{Cluster, T, replica};

fn progress(cluster: &Cluster, leader: u64, peer: u64) -> (u64, ProgressState) {
    let peers = cluster.nodes[&leader].raft.status().peers;
    let found = peers.iter().find(|p| p.id == replica(peer));
    found.map(|p| (p.matched, p.state)).expect("a peer")
}

/// A node that was away while the log was compacted is brought up by a snapshot, and then by
/// appends.
#[test]
fn slow_node_restore() {
    let mut cluster = Cluster::new(3, plain);
    cluster.elect(1);
    isolate(&mut cluster, 3);
    for _ in 0..100 {
        cluster.propose(1, "x");
    }
    cluster.settle();
    let compacted = commit(&cluster, 1);
    cluster.compact(1, compacted);
    cluster.heal();
    beat(&mut cluster, 1);
    cluster.run(T / 2);
    let floor = |node: u64| cluster.nodes[&node].raft.status().floor;
    assert_eq!(floor(3), floor(1));
    cluster.propose(1, "y");
    cluster.settle();
    assert_eq!(commit(&cluster, 3), commit(&cluster, 1));
    assert_eq!(progress(&cluster, 1, 3).1, ProgressState::Replicate);
}

/// What is covered by the log or by what is committed is not restored again.
#[test]
fn restore_ignore_snapshot() {
    let mut cluster = Cluster::new(3, plain);
    cluster.elect(1);
    cluster.propose(1, "a");
    cluster.propose(1, "b");
    cluster.settle();
    let before = log(&cluster, 2);
    let configuration = Configuration::initial([1, 2, 3].map(NodeId));
    for last in [before[1], before[2]] {
        let meta = coracle_proto::SnapshotMeta {
            last,
            configuration: configuration.clone(),
        };
        let snapshot = super::envelope(1, 2, 1, Message::Snapshot { meta });
        cluster.trace.clear();
        cluster.deliver(snapshot);
        assert_eq!(cluster.trace, ["n2.0->n1.0 t1 matched 3"]);
        cluster.settle();
        assert_eq!(log(&cluster, 2), before);
    }
}

/// A learner is restored like a voter, and stays what it is.
#[test]
fn restore_with_learner() {
    let mut configuration = Configuration::initial([1, 2].map(NodeId));
    configuration.learners.insert(replica(3));
    let mut cluster = Cluster::of(&configuration, plain);
    isolate(&mut cluster, 3);
    cluster.elect(1);
    cluster.propose(1, "a");
    cluster.settle();
    cluster.compact(1, 2);
    cluster.heal();
    beat(&mut cluster, 1);
    cluster.run(T / 2);
    let status = cluster.nodes[&3].raft.status();
    assert_eq!(status.floor.index, 2);
    assert_eq!(status.configuration, configuration);
    cluster.node(1).down = true;
    campaign(&mut cluster, 3);
    assert_eq!(super::role(&cluster, 3), Role::Follower, "not promotable");
}

/// A snapshot may hold a joint configuration, and a node may be in its outgoing half only.
#[test]
fn restore_with_voters_outgoing() {
    let mut configuration = Configuration::initial([2, 3].map(NodeId));
    configuration.outgoing = [1, 2, 3].map(replica).into();
    let mut cluster = Cluster::of(&configuration, plain);
    isolate(&mut cluster, 1);
    cluster.elect(2);
    cluster.settle();
    cluster.compact(2, 1);
    cluster.heal();
    beat(&mut cluster, 2);
    cluster.run(T / 2);
    let status = cluster.nodes[&1].raft.status();
    assert_eq!(status.floor.index, 1);
    assert_eq!(status.configuration, configuration);
}

/// A voter may find in a snapshot that it is a learner now, and a learner that it votes.
fn restore_in_another_role(was_voter: bool) {
    let (voter, mut learner) = (
        Configuration::initial([1, 2, 3].map(NodeId)),
        Configuration::initial([1, 2].map(NodeId)),
    );
    learner.learners.insert(replica(3));
    let (before, after) = match was_voter {
        true => (voter, learner),
        false => (learner, voter),
    };
    let mut cluster = Cluster::of(&before, plain);
    let last = coracle_proto::LogId { term: 1, index: 11 };
    let meta = coracle_proto::SnapshotMeta {
        last,
        configuration: after.clone(),
    };
    cluster.committed = (1..=11)
        .map(|index| (index, coracle_proto::LogId { term: 1, index }))
        .collect();
    cluster.deliver(super::envelope(1, 3, 1, Message::Snapshot { meta }));
    cluster.settle();
    let status = cluster.nodes[&3].raft.status();
    assert_eq!((status.last, status.commit), (last, 11));
    assert_eq!(status.configuration, after);
    super::campaign_only(&mut cluster, 3);
    let expected = match was_voter {
        true => Role::Follower,
        false => Role::Candidate,
    };
    assert_eq!(super::role(&cluster, 3), expected);
}

#[test]
fn restore_voter_to_learner() {
    restore_in_another_role(true);
}

#[test]
fn restore_learner_promotion() {
    restore_in_another_role(false);
}

/// A follower whose log ends below the leader's floor is offered a snapshot.
#[test]
fn provide_snap() {
    let mut cluster = Cluster::new(3, plain);
    isolate(&mut cluster, 2);
    cluster.elect(1);
    cluster.compact(1, 1);
    // Also after a restart, when the log is nothing but its floor.
    cluster.restart(1);
    cluster.elect(1);
    cluster.heal();
    cluster.trace.clear();
    beat(&mut cluster, 1);
    let offered = |line: &String| line.starts_with("n1 send-snapshot n2.0");
    assert!(cluster.trace.iter().any(offered), "{:?}", cluster.trace);
    assert_eq!(commit(&cluster, 2), commit(&cluster, 1));
}
