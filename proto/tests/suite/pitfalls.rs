//! Bugs of other implementations that take several replicas to show; see `src/pitfalls.rs`.

use std::collections::BTreeSet;

use coracle_proto::{Input, NodeId, Role};

use crate::cluster::{Cluster, T, config};

fn cut(cluster: &mut Cluster, pairs: impl IntoIterator<Item = (u64, u64)>) {
    let both = |(a, b): (u64, u64)| [(a, b), (b, a)];
    cluster.cut = pairs.into_iter().flat_map(both).collect();
}

/// etcd#8243: a replica that was cut off, without pre-vote, comes back with a higher term.
#[test]
fn bug_18_a_replica_that_comes_back_with_a_higher_term_is_not_stuck() {
    for pre_vote in [false, true] {
        let mut cluster = Cluster::new(3, move |node| coracle_proto::Config {
            pre_vote: pre_vote && node != 3,
            ..config(node)
        });
        cluster.elect(1);
        cluster.isolate(3);
        cluster.run(T * 10);
        cluster.heal();
        cluster.run(T * 6);
        let leader = cluster.leader().expect("somebody leads");
        cluster.propose(leader, "x");
        cluster.run(T);
        let last = cluster.nodes[&leader].raft.status().last;
        let all = cluster.nodes.values();
        let applied: BTreeSet<_> = all.map(|node| node.applied.last().copied()).collect();
        assert_eq!(applied, BTreeSet::from([Some(last)]), "pre-vote {pre_vote}");
    }
}

/// openraft#2080: the heartbeats of a leader that has lost its quorum reach a bridge, which then
/// refuses the election of a quorum that could work.
#[test]
fn bug_20_a_leader_without_a_quorum_does_not_hold_up_one_that_is_connected() {
    let mut cluster = Cluster::new(5, config);
    cluster.elect(1);
    // Node 1 reaches only the bridge 2, which reaches everybody.
    cut(&mut cluster, [(1, 3), (1, 4), (1, 5)]);
    cluster.run(T * 8);
    let leader = cluster
        .leader()
        .expect("a quorum of 2, 3, 4 and 5 is connected");
    assert_ne!(leader, 1);
    cluster.propose(leader, "x");
    cluster.run(T);
    let status = cluster.nodes[&leader].raft.status();
    assert_eq!(status.commit, status.last.index);
}

/// Cloudflare 2020: with a partial partition, a leader that one follower cannot hear is deposed
/// again and again.
#[test]
fn bug_20_a_follower_that_cannot_hear_the_leader_does_not_depose_it() {
    let mut cluster = Cluster::new(3, config);
    cluster.elect(1);
    cut(&mut cluster, [(1, 3)]);
    cluster.run(T * 20);
    assert_eq!(cluster.leader(), Some(1));
    assert_eq!(cluster.nodes[&1].raft.status().hard_state.term, 1);
}

/// etcd#11038, #8501: messages in one direction only must not leave two leaders at work.
#[test]
fn bug_20_a_leader_that_hears_nobody_steps_down_though_it_is_heard() {
    let mut cluster = Cluster::new(3, config);
    cluster.elect(1);
    cluster.cut = [(2, 1), (3, 1)].into();
    cluster.run(T * 8);
    let leader = cluster.leader().expect("2 and 3 are a quorum");
    assert_ne!(leader, 1);
    assert_ne!(cluster.nodes[&1].raft.role(), Role::Leader);
}

/// hashicorp#503: the leader's disk hangs, its heartbeats do not.
#[test]
fn bug_27_a_leader_with_a_hung_disk_gives_way() {
    let mut cluster = Cluster::new(3, config);
    cluster.elect(1);
    cluster.hung.insert(1);
    cluster.propose(1, "x");
    cluster.run(T * 8);
    let leader = cluster.leader().expect("2 and 3 have working disks");
    assert_ne!(leader, 1);
    let status = cluster.nodes[&leader].raft.status();
    assert_eq!(status.commit, status.last.index);
}

/// A lost connection loses what was sent on it; nothing of it may be waited for.
#[test]
fn bug_25_what_a_lost_connection_swallowed_is_sent_again() {
    let mut cluster = Cluster::new(3, config);
    cluster.elect(1);
    for payload in ["a", "b", "c"] {
        cluster.propose(1, payload);
    }
    cluster.network.clear();
    for node in [2, 3] {
        cluster.step(1, Input::PeerDown(NodeId(node)));
    }
    cluster.run(T / 2);
    let status = cluster.nodes[&1].raft.status();
    assert_eq!(status.commit, status.last.index);
}

/// etcd#105, #14370: everybody crashes at once, at any moment: what was applied stays applied.
#[test]
fn bug_03_nothing_applied_is_lost_when_all_crash_at_once() {
    for crash_after in 0..12 {
        let mut cluster = Cluster::new(3, config);
        cluster.elect(1);
        cluster.propose(1, "a");
        for _ in 0..crash_after {
            for node in 1..=3 {
                cluster.persist_one(node);
            }
            cluster.deliver_one();
        }
        let applied = cluster.committed.clone();
        cluster.network.clear();
        for node in 1..=3 {
            cluster.restart(node);
        }
        cluster.run(T * 6);
        let leader = cluster.leader().expect("somebody leads");
        for (index, id) in applied {
            let term = cluster.nodes[&leader].raft.term_at(index);
            assert_eq!(term, Some(id.term), "after {crash_after} rounds");
        }
    }
}
