//! Changes of members.

use coracle_proto::{Change, Configuration, Message, NodeId, TimeoutKind, Transition};

use super::Outcome;
use crate::cluster::{Cluster, ELECTION, born, replica};

const AUTO: Transition = Transition::Auto;

/// A leader that nobody hears removes both others, one after the other.
pub(super) fn two_changes_in_flight() -> Outcome {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.isolate(1);
    cluster.change(1, &[Change::Remove(NodeId(2))], AUTO);
    cluster.change(1, &[Change::Remove(NodeId(3))], AUTO);
    cluster.settle();
    cluster.elect(2);
    cluster.verdict()
}

/// Ongaro's correction of 2015: two leaders change one member each, and their majorities do not
/// meet.
pub(super) fn change_before_own_commit() -> Outcome {
    let mut cluster = Cluster::of(4);
    cluster.elect(1);
    cluster.isolate(1);
    cluster.change(1, &[Change::Voter(NodeId(5))], AUTO);
    cluster.settle();
    cluster.host(born(5, 2));
    cluster.pass(2 * ELECTION);
    cluster.campaign(2);
    cluster.settle_until(|cluster| cluster.leads(2));
    cluster.cut(2, 4);
    cluster.change(2, &[Change::Remove(NodeId(1))], AUTO);
    cluster.settle();
    cluster.crash(1);
    cluster.heal();
    cluster.isolate(2);
    cluster.isolate(3);
    cluster.elect(1);
    cluster.elect(1);
    cluster.verdict()
}

/// A leader changes two of three members, and hears only the new ones.
pub(super) fn joint_incoming_only() -> Outcome {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.isolate(1);
    cluster.host(born(4, 2));
    cluster.host(born(5, 2));
    let coming = [4, 5].map(|node| Change::Voter(NodeId(node)));
    let going = [2, 3].map(|node| Change::Remove(NodeId(node)));
    cluster.change(1, &[coming, going].concat(), AUTO);
    cluster.settle();
    cluster.verdict()
}

/// Of three voters and two learners, the leader hears only the learners.
pub(super) fn learner_counted() -> Outcome {
    let mut configuration = Configuration::initial([1, 2, 3].map(NodeId));
    configuration.learners = [replica(4), replica(5)].into();
    let mut cluster = Cluster::with(configuration, |_| {});
    cluster.elect(1);
    cluster.cut(1, 2);
    cluster.cut(1, 3);
    cluster.propose(1, "a");
    cluster.settle();
    cluster.verdict()
}

/// A member is removed and added again.
pub(super) fn born_reused() -> Outcome {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    for change in [Change::Remove(NodeId(3)), Change::Voter(NodeId(3))] {
        cluster.change(1, &[change], AUTO);
        cluster.settle();
    }
    let again = cluster.status(1).configuration.is_voter(replica(3));
    cluster.expect(
        !again,
        "incarnations: n3.0 votes again although it was removed",
    );
    cluster.verdict()
}

/// A message for the removed replica of a node reaches the one that the node has now.
pub(super) fn born_not_checked() -> Outcome {
    let mut cluster = Cluster::of(3);
    cluster.host(born(3, 9));
    let heartbeat = Message::Heartbeat {
        commit: 0,
        round: 1,
        lease: false,
    };
    cluster.tell(replica(1), replica(3), 4, heartbeat);
    let untouched = cluster.status(3).hard_state.term == 0;
    cluster.expect(untouched, "incarnations: n3.9 takes what was said to n3.0");
    cluster.verdict()
}

/// The entry that adds a member is overwritten by another leader.
pub(super) fn configuration_not_rolled_back() -> Outcome {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.isolate(1);
    cluster.change(1, &[Change::Voter(NodeId(4))], AUTO);
    cluster.settle();
    cluster.elect(2);
    cluster.heal();
    cluster.timeout(2, TimeoutKind::Heartbeat);
    cluster.settle();
    let now = cluster.status(1).configuration.index;
    cluster.expect(
        now == 0,
        "configurations: n1 counts by one whose entry is overwritten",
    );
    cluster.verdict()
}

/// A leader removes itself.
pub(super) fn removed_leader_stays() -> Outcome {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.change(1, &[Change::Remove(NodeId(1))], AUTO);
    cluster.settle();
    let leads = cluster.leads(1);
    cluster.expect(!leads, "removal: n1 is no member and leads on");
    cluster.verdict()
}

/// A leader enters a joint configuration, and is gone before it can leave it.
pub(super) fn joint_of_another_kept() -> Outcome {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    let next = cluster.status(1).last.index + 1;
    cluster.host(born(4, next));
    let changes = [Change::Voter(NodeId(4)), Change::Remove(NodeId(3))];
    cluster.change(1, &changes, AUTO);
    cluster.settle_until(|cluster| cluster.status(2).configuration.index == next);
    cluster.isolate(1);
    cluster.elect(2);
    cluster.timeout(2, TimeoutKind::Heartbeat);
    cluster.settle();
    let joint = cluster.status(2).configuration.is_joint();
    cluster.expect(!joint, "joint consensus: n2 leads and never leaves it");
    cluster.verdict()
}
