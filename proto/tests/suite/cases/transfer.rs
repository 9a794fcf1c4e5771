//! Handing leadership over.

use coracle_proto::{Change, Effect, NodeId, Role, TransferOutcome, Transition};

use super::{beat, campaign, commit, isolate, leader, plain, role, term, with_check_quorum};
use crate::cluster::{Cluster, T, replica};

/// How the transfers that were asked of a node ended.
fn outcomes(cluster: &mut Cluster, node: u64) -> Vec<TransferOutcome> {
    let events = &mut cluster.node(node).events;
    let ended = events.iter().filter_map(|effect| match effect {
        Effect::TransferEnded { outcome, .. } => Some(*outcome),
        _ => None,
    });
    let ended = ended.collect();
    events.clear();
    ended
}

fn done(node: u64) -> TransferOutcome {
    let leader = replica(node);
    TransferOutcome::Done { leader }
}

fn elected() -> Cluster {
    let mut cluster = Cluster::new(3, plain);
    cluster.elect(1);
    cluster
}

/// There and back.
#[test]
fn leader_transfer_to_up_to_date_node() {
    let mut cluster = elected();
    cluster.transfer(1, 2);
    cluster.settle();
    assert_eq!(
        (role(&cluster, 1), role(&cluster, 2)),
        (Role::Follower, Role::Leader)
    );
    assert_eq!(outcomes(&mut cluster, 1), [done(2)]);
    cluster.propose(2, "x");
    cluster.settle();
    cluster.transfer(2, 1);
    cluster.settle();
    assert_eq!(role(&cluster, 1), Role::Leader);
}

/// A follower that is asked does not hand over what it does not have: the driver asks the leader.
#[test]
fn leader_transfer_to_up_to_date_node_from_follower() {
    let mut cluster = elected();
    cluster.transfer(2, 2);
    cluster.settle();
    let leader = Some(replica(1));
    assert_eq!(
        outcomes(&mut cluster, 2),
        [TransferOutcome::NotLeader { leader }]
    );
    assert_eq!(role(&cluster, 1), Role::Leader);
}

/// Though everybody trusts the old leader.
#[test]
fn leader_transfer_with_check_quorum() {
    let mut cluster = Cluster::new(3, with_check_quorum);
    cluster.elect(1);
    beat(&mut cluster, 1);
    cluster.transfer(1, 2);
    cluster.settle();
    assert_eq!(role(&cluster, 2), Role::Leader);
    cluster.propose(2, "x");
    cluster.settle();
    cluster.transfer(2, 1);
    cluster.settle();
    assert_eq!(role(&cluster, 1), Role::Leader);
}

/// The target gets what it lacks first.
#[test]
fn leader_transfer_to_slow_follower() {
    let mut cluster = elected();
    isolate(&mut cluster, 3);
    cluster.propose(1, "x");
    cluster.settle();
    cluster.heal();
    cluster.transfer(1, 3);
    beat(&mut cluster, 1);
    assert_eq!(role(&cluster, 3), Role::Leader);
}

/// Also if that takes a snapshot.
#[test]
fn leader_transfer_after_snapshot() {
    let mut cluster = elected();
    isolate(&mut cluster, 3);
    cluster.propose(1, "x");
    cluster.settle();
    cluster.compact(1, commit(&cluster, 1));
    cluster.heal();
    cluster.transfer(1, 3);
    assert_eq!(role(&cluster, 1), Role::Leader);
    beat(&mut cluster, 1);
    beat(&mut cluster, 1);
    assert_eq!(role(&cluster, 3), Role::Leader);
}

#[test]
fn leader_transfer_to_self() {
    let mut cluster = elected();
    cluster.transfer(1, 1);
    cluster.settle();
    assert_eq!(outcomes(&mut cluster, 1), [done(1)]);
    assert_eq!((role(&cluster, 1), term(&cluster, 1)), (Role::Leader, 1));
}

#[test]
fn leader_transfer_to_non_existing_node() {
    let mut cluster = elected();
    cluster.transfer(1, 4);
    cluster.settle();
    assert_eq!(outcomes(&mut cluster, 1), [TransferOutcome::NoTarget]);
    assert_eq!(role(&cluster, 1), Role::Leader);
}

/// A target that does not answer costs no more than an election timeout.
#[test]
fn leader_transfer_timeout() {
    let mut cluster = elected();
    isolate(&mut cluster, 3);
    cluster.transfer(1, 3);
    cluster.run(T / 2);
    assert_eq!(outcomes(&mut cluster, 1), [], "still waiting");
    assert!(cluster.nodes[&1].raft.status().transferee.is_some());
    cluster.run(T);
    assert_eq!(outcomes(&mut cluster, 1), [TransferOutcome::TimedOut]);
    assert_eq!(role(&cluster, 1), Role::Leader);
    assert!(cluster.nodes[&1].raft.status().transferee.is_none());
}

/// Meanwhile nothing is appended, and the refusal says why.
#[test]
fn leader_transfer_ignore_proposal() {
    let mut cluster = elected();
    isolate(&mut cluster, 3);
    cluster.transfer(1, 3);
    let last = cluster.nodes[&1].raft.status().last;
    cluster.trace.clear();
    cluster.propose(1, "x");
    let refused = "leadership is being handed over";
    assert!(cluster.trace[0].ends_with(refused), "{:?}", cluster.trace);
    assert_eq!(cluster.nodes[&1].raft.status().last, last);
}

/// Somebody else was faster.
#[test]
fn leader_transfer_receive_higher_term_vote() {
    let mut cluster = elected();
    isolate(&mut cluster, 3);
    cluster.transfer(1, 3);
    campaign(&mut cluster, 2);
    assert_eq!((role(&cluster, 2), term(&cluster, 2)), (Role::Leader, 2));
    assert_eq!(outcomes(&mut cluster, 1), [done(2)]);
}

/// While it is being handed over the target cannot be removed: the change is refused.
#[test]
fn leader_transfer_remove_node() {
    target_stays(Change::Remove(NodeId(3)));
}

#[test]
fn leader_transfer_demote_node() {
    target_stays(Change::Learner(NodeId(3)));
}

fn target_stays(change: Change) {
    let mut cluster = elected();
    isolate(&mut cluster, 3);
    cluster.transfer(1, 3);
    cluster.trace.clear();
    cluster.change(1, &[change], Transition::Auto);
    let refused = "leadership is being handed over";
    assert!(cluster.trace[0].ends_with(refused), "{:?}", cluster.trace);
    cluster.heal();
    beat(&mut cluster, 1);
    beat(&mut cluster, 1);
    assert_eq!(role(&cluster, 3), Role::Leader);
}

/// A transfer to the leader itself calls off the one under way.
#[test]
fn leader_transfer_back() {
    let mut cluster = elected();
    isolate(&mut cluster, 3);
    cluster.transfer(1, 3);
    cluster.transfer(1, 1);
    assert_eq!(outcomes(&mut cluster, 1), [TransferOutcome::Busy, done(1)]);
    cluster.propose(1, "x");
    cluster.settle();
    assert_eq!((role(&cluster, 1), commit(&cluster, 1)), (Role::Leader, 2));
}

/// One to another target takes its place.
#[test]
fn leader_transfer_second_transfer_to_another_node() {
    let mut cluster = elected();
    isolate(&mut cluster, 3);
    cluster.transfer(1, 3);
    cluster.transfer(1, 2);
    cluster.settle();
    assert_eq!(outcomes(&mut cluster, 1), [TransferOutcome::Busy, done(2)]);
    assert_eq!(role(&cluster, 2), Role::Leader);
}

/// One to the same target does not last longer than the first.
#[test]
fn leader_transfer_second_transfer_to_same_node() {
    let mut cluster = elected();
    isolate(&mut cluster, 3);
    cluster.transfer(1, 3);
    cluster.run(T * 3 / 4);
    cluster.transfer(1, 3);
    assert_eq!(outcomes(&mut cluster, 1), [TransferOutcome::Busy]);
    cluster.run(T / 2);
    assert_eq!(outcomes(&mut cluster, 1), [TransferOutcome::TimedOut]);
    assert_eq!(role(&cluster, 1), Role::Leader);
}

/// Who is no member does not campaign, whoever tells it to.
#[test]
fn transfer_non_member() {
    let others = coracle_proto::Configuration::initial([2, 3, 4].map(NodeId));
    let mut cluster = Cluster::of(&others, plain);
    cluster.add(1, others);
    let now = coracle_proto::Message::TimeoutNow;
    cluster.deliver(super::envelope(2, 1, 1, now));
    cluster.settle();
    assert_eq!(role(&cluster, 1), Role::Follower);
    assert_eq!(leader(&cluster, 1), Some(2));
}
