//! Bugs about changes of the configuration.

use coracle_proto::{Change, Message, NodeId, Role, Transition};

use super::{isolate_all, term};
use crate::cluster::{Cluster, T, config};

fn voter(node: u64) -> Change {
    Change::Voter(NodeId(node))
}

fn remove(node: u64) -> Change {
    Change::Remove(NodeId(node))
}

fn leads(cluster: &Cluster, node: u64) -> bool {
    cluster.nodes[&node].raft.role() == Role::Leader
}

fn is_joint(cluster: &Cluster, node: u64) -> bool {
    let status = cluster.nodes[&node].raft.status();
    !status.configuration.outgoing.is_empty()
}

/// Without pre-vote and check-quorum, so that elections can be forced.
fn forced(node: u64) -> coracle_proto::Config {
    coracle_proto::Config {
        pre_vote: false,
        check_quorum: false,
        ..config(node)
    }
}

/// Bug 1 (Ongaro 2015, hydro#3192).
///
/// - *Symptom*: after two changes by one voter each, two leaders of different terms commit
///   different entries.
/// - *Cause*: a new leader changed the configuration before it knew whether its predecessor's
///   change was committed, so that the two majorities did not meet.
/// - *Cure*: no change before an entry of the own term is committed, and one uncommitted change
///   at a time.
#[test]
fn bug_01_two_changes_by_one_voter_each_cannot_make_two_majorities_that_do_not_meet() {
    // Given: the leader of four has appended the addition of a fifth, and reaches only that one.
    let mut cluster = Cluster::new(4, forced);
    cluster.elect(1);
    for node in 2..=4 {
        isolate_all(&mut cluster, &[(1, node)]);
    }
    cluster.change(1, &[voter(5)], Transition::Auto);
    cluster.run(T / 2);
    isolate_all(&mut cluster, &[(5, 2), (5, 3), (5, 4)]);

    // When: another leader, who knows nothing of it, is asked to remove the first.
    let jitter = cluster.next_jitter();
    cluster.step(2, coracle_proto::Input::Campaign { jitter });
    while !leads(&cluster, 2) {
        assert!((2..=4).any(|node| cluster.persist_one(node)) | cluster.deliver_one());
    }
    cluster.trace.clear();
    cluster.change(2, &[remove(1)], Transition::Auto);

    // Then: not before an entry of its own term is committed, by three of four.
    let refused = "the leader has not committed an entry of its term yet";
    let last = cluster.trace.last().cloned().unwrap_or_default();
    assert!(last.ends_with(refused), "{last}");
    cluster.settle();
    cluster.change(2, &[remove(1)], Transition::Auto);
    cluster.settle();
    let status = cluster.nodes[&2].raft.status();
    assert!(status.configuration_committed && status.configuration.voters.len() == 3);

    // And: whoever voted for that entry refuses the first leader and its fifth voter, so that
    // three of five are not to be had.
    cluster.heal();
    isolate_all(&mut cluster, &[(1, 2), (5, 2)]);
    cluster.run(T / 2);
    assert!(!leads(&cluster, 1), "it heard of the higher term");
    for _ in 0..3 {
        let jitter = cluster.next_jitter();
        cluster.step(1, coracle_proto::Input::Campaign { jitter });
        cluster.settle();
        assert!(!leads(&cluster, 1));
    }
    cluster.heal();
    cluster.run(T * 8);
    assert!(cluster.leader().is_some());
}

/// Bug 19 (openraft#1796).
///
/// - *Symptom*: after a partition during a change of the configuration nobody is ever elected.
/// - *Cause*: one half has the newer log, the other the higher term, and each refuses the other's
///   pre-vote.
/// - *Cure*: a refusal carries the term, and the pre-candidate takes it.
#[test]
fn bug_19_after_a_cut_during_a_change_there_is_a_leader_within_a_few_timeouts() {
    let changes: [(&[Change], Transition); 3] = [
        (&[voter(4)], Transition::Auto),
        (&[voter(4), remove(2)], Transition::Implicit),
        (&[voter(4), voter(5), remove(1)], Transition::Explicit),
    ];
    for (changes, transition) in changes {
        for steps in 0..24 {
            // Given: a change that has got some way, and a cut between two halves that each
            // campaign for a while, one with the newer log, the other with the higher term.
            let mut cluster = Cluster::new(3, config);
            cluster.elect(1);
            cluster.change(1, changes, transition);
            for _ in 0..steps {
                let all: Vec<_> = cluster.nodes.keys().copied().collect();
                all.into_iter().for_each(|node| {
                    cluster.persist_one(node);
                });
                cluster.deliver_one();
            }
            let halves = [(1, 2), (1, 3), (4, 2), (4, 3), (5, 2), (5, 3)];
            isolate_all(&mut cluster, &halves);
            cluster.run(T * 5);
            // When: it heals.
            cluster.heal();
            cluster.run(T * 8);
            // Then: somebody leads and commits.
            let leader = cluster.leader();
            let leader = leader.unwrap_or_else(|| panic!("nobody, {changes:?} cut at {steps}"));
            cluster.propose(leader, "x");
            cluster.run(T);
            let status = cluster.nodes[&leader].raft.status();
            assert_eq!(
                status.commit, status.last.index,
                "{changes:?} cut at {steps}"
            );
        }
    }
}

/// Bug 23 (etcd#11038, etcd-io/raft#77, #79).
///
/// - *Symptom*: a group without writes: its removed leader goes on sending heartbeats; or a
///   leader that left too early leaves a joint configuration behind.
/// - *Cause*: nothing made it step down; the first cure did when the change was applied, joint or
///   not.
/// - *Cure*: it steps down when the final configuration is committed, and hands over.
#[test]
fn bug_23_a_removed_leader_leads_until_its_removal_is_committed_and_no_longer() {
    for (changes, transition) in [
        (&[remove(1)][..], Transition::Auto),
        (&[remove(1), voter(4)][..], Transition::Implicit),
    ] {
        let mut cluster = Cluster::new(3, config);
        cluster.elect(1);
        // Given: its removal is appended, and nobody has it: somebody has to send it.
        isolate_all(&mut cluster, &[(1, 2), (1, 3), (1, 4)]);
        cluster.change(1, changes, transition);
        cluster.settle();
        assert!(leads(&cluster, 1));
        // When: it is committed.
        cluster.heal();
        cluster.run(T / 2);
        // Then: it has led through the joint configuration to the last, and falls silent.
        assert!(!leads(&cluster, 1));
        assert!((1..=3).all(|node| !is_joint(&cluster, node)));
        cluster.run(T);
        cluster.trace.clear();
        cluster.run(T * 4);
        let speaks = |line: &String| line.starts_with("n1.0->") && line.contains(" heartbeat ");
        assert!(!cluster.trace.iter().any(speaks));
        let leader = cluster.leader().expect("somebody else leads");
        cluster.propose(leader, "x");
        cluster.run(T);
        let status = cluster.nodes[&leader].raft.status();
        assert_eq!(status.commit, status.last.index);
    }
}

/// Bug 32 (etcd#14538, #14545, raft-rs src/raft.rs).
///
/// - *Symptom*: a joint configuration is never left.
/// - *Cause*: the leader that entered it was to leave it when it applied the entry, and was
///   deposed before.
/// - *Cure*: whoever leads leaves a committed joint configuration that says so.
#[test]
fn bug_32_a_joint_configuration_is_left_by_whoever_leads() {
    for steps in 0..30 {
        // Given: the leader that entered it is gone, at any moment.
        let mut cluster = Cluster::new(3, config);
        cluster.elect(1);
        cluster.change(1, &[voter(4), remove(3)], Transition::Implicit);
        for _ in 0..steps {
            let all: Vec<_> = cluster.nodes.keys().copied().collect();
            all.into_iter().for_each(|node| {
                cluster.persist_one(node);
            });
            cluster.deliver_one();
        }
        cluster.node(1).down = true;
        // When: another leads.
        cluster.run(T * 8);
        // Then: nobody is left in a joint configuration.
        let leader = cluster.leader();
        let leader = leader.unwrap_or_else(|| panic!("nobody leads after {steps} steps"));
        assert_ne!(leader, 1);
        cluster.propose(leader, "x");
        cluster.run(T);
        let status = cluster.nodes[&leader].raft.status();
        assert!(!is_joint(&cluster, leader), "after {steps} steps");
        assert!(status.configuration_committed);
        assert_eq!(status.commit, status.last.index, "after {steps} steps");
    }
}

/// Bug 24 (dragonboat#223, hashicorp#487, #581, openraft#1805).
///
/// - *Symptom*: a transfer has no effect, never ends, or ends in a leader that lacks entries.
/// - *Cause*: the target asked for pre-votes, which everybody refused; writes went on; the target
///   had not written the last of them.
/// - *Cure*: no pre-vote and no stickiness in a transfer; writes stop; the target is told once
///   its disk has all of the log.
#[test]
fn bug_24_a_transfer_skips_pre_votes_stops_writes_and_waits_for_the_disk_of_its_target() {
    let mut cluster = Cluster::new(3, config);
    cluster.elect(1);
    // Given: the target has not written the leader's last entry.
    cluster.hung.insert(2);
    cluster.propose(1, "last");
    cluster.settle();
    // When: leadership goes to it.
    cluster.transfer(1, 2);
    cluster.settle();
    // Then: it is not told yet, and no write is taken meanwhile.
    let told = |envelope: &coracle_proto::Envelope| matches!(envelope.message, Message::TimeoutNow);
    assert!(!cluster.network.iter().any(told) && leads(&cluster, 1));
    cluster.trace.clear();
    cluster.propose(1, "refused");
    assert!(cluster.trace[0].ends_with("leadership is being handed over"));
    // And: once it has, it wins at once, though everybody trusts the old leader.
    let before = term(&cluster, 1);
    cluster.hung.clear();
    cluster.settle();
    assert!(leads(&cluster, 2), "{:?}", cluster.trace);
    assert_eq!(term(&cluster, 2), before + 1);
    assert!(!cluster.trace.iter().any(|line| line.contains("pre-vote")));
    cluster.propose(2, "next");
    cluster.settle();
    let status = cluster.nodes[&2].raft.status();
    assert_eq!(status.commit, status.last.index);
}
