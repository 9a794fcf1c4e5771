//! Bugs of other implementations that take several replicas to show; see `src/pitfalls.rs`.

mod membership;

use std::collections::BTreeSet;

use coracle_proto::{Input, NodeId, Role};

use crate::cluster::{Cluster, T, config};

/// Cuts these connections beside those that are cut already.
fn isolate_all(cluster: &mut Cluster, pairs: &[(u64, u64)]) {
    for (a, b) in pairs {
        cluster.cut.insert((*a, *b));
        cluster.cut.insert((*b, *a));
    }
}

fn term(cluster: &Cluster, node: u64) -> coracle_proto::Term {
    cluster.nodes[&node].raft.status().hard_state.term
}

fn cut(cluster: &mut Cluster, pairs: impl IntoIterator<Item = (u64, u64)>) {
    let both = |(a, b): (u64, u64)| [(a, b), (b, a)];
    cluster.cut = pairs.into_iter().flat_map(both).collect();
}

/// Bug 18 (etcd#8243, #8501, raft-rs#83).
///
/// - *Symptom*: a node with a higher term, or half a cluster in the middle of switching pre-vote
///   on, never gets a leader again.
/// - *Cause*: lower terms were ignored without an answer; a pre-candidate kept votes and leader
///   of its round before.
/// - *Cure*: every message of a lower term is answered with the higher one; a new round starts
///   with no votes and no leader.
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

/// Bug 20 (openraft#2080, Cloudflare 2020).
///
/// - *Symptom*: with a partial partition there is no leader, or another one every few seconds.
/// - *Cause*: heartbeats of a leader that has lost its quorum hold off the election of one that
///   works; a node that cannot hear the leader deposes it.
/// - *Cure*: a leader without a quorum steps down and falls silent; whoever hears a leader gives
///   no pre-vote.
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

/// Bug 20 (openraft#2080, Cloudflare 2020).
///
/// - *Symptom*: with a partial partition there is no leader, or another one every few seconds.
/// - *Cause*: heartbeats of a leader that has lost its quorum hold off the election of one that
///   works; a node that cannot hear the leader deposes it.
/// - *Cure*: a leader without a quorum steps down and falls silent; whoever hears a leader gives
///   no pre-vote.
#[test]
fn bug_20_a_follower_that_cannot_hear_the_leader_does_not_depose_it() {
    let mut cluster = Cluster::new(3, config);
    cluster.elect(1);
    cut(&mut cluster, [(1, 3)]);
    cluster.run(T * 20);
    assert_eq!(cluster.leader(), Some(1));
    assert_eq!(cluster.nodes[&1].raft.status().hard_state.term, 1);
}

/// Bug 20 (openraft#2080, Cloudflare 2020).
///
/// - *Symptom*: with a partial partition there is no leader, or another one every few seconds.
/// - *Cause*: heartbeats of a leader that has lost its quorum hold off the election of one that
///   works; a node that cannot hear the leader deposes it.
/// - *Cure*: a leader without a quorum steps down and falls silent; whoever hears a leader gives
///   no pre-vote.
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

/// Bug 27 (hashicorp#503, openraft#1810, #808).
///
/// - *Symptom*: a group makes no progress behind a leader with a hung disk, or behind one peer
///   that never answers.
/// - *Cause*: heartbeats need no disk; a call to the peer blocked the loop.
/// - *Cure*: a write that is under way for two checks ends leadership; each peer has its own
///   window.
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

/// Bug 25 (etcd#14633).
///
/// - *Symptom*: a follower never gets another entry.
/// - *Cause*: the window was full and the answers that would open it were lost.
/// - *Cure*: the answer to a heartbeat makes the leader ask with an empty append; a lost
///   connection goes back to probing.
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

/// Bug 3 (etcd#14370, #10508).
///
/// - *Symptom*: a single node that crashes has lost what it had applied and answered.
/// - *Cause*: with nobody to wait for, entries were committed at append, before the own disk had
///   them.
/// - *Cure*: a leader counts its own log only as far as it is durable, a candidate its own vote
///   likewise.
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
