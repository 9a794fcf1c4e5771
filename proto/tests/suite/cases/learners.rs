//! Learners: they receive and do not count, but vote when they are asked.

use coracle_proto::{Configuration, Input, NodeId, Role, TimeoutKind, VoteKind};

use super::{beat, commit, committed, envelope, plain, role};
use crate::cluster::{Cluster, T, replica};

/// A voter 1 and a learner 2.
fn with_learner() -> Cluster {
    let mut configuration = Configuration::initial([NodeId(1)]);
    configuration.learners.insert(replica(2));
    Cluster::of(&configuration, plain)
}

#[test]
fn learner_election_timeout() {
    let mut cluster = with_learner();
    cluster.node(1).down = true;
    cluster.run(T * 10);
    assert_eq!(role(&cluster, 2), Role::Follower);
    assert_eq!(super::term(&cluster, 2), 0);
}

#[test]
fn learner_campaign() {
    let mut cluster = with_learner();
    cluster.elect(1);
    super::campaign(&mut cluster, 2);
    assert_eq!(role(&cluster, 2), Role::Follower);
    let kind = TimeoutKind::Election;
    cluster.step(2, Input::Timeout { kind, jitter: 0 });
    assert_eq!(role(&cluster, 2), Role::Follower);
    assert_eq!(super::term(&cluster, 2), 1);
}

/// It may have been promoted without knowing it.
#[test]
fn learner_can_vote() {
    let mut cluster = with_learner();
    let last = coracle_proto::LogId {
        term: 11,
        index: 11,
    };
    let kind = VoteKind::Real;
    let vote = coracle_proto::Message::Vote { kind, last };
    cluster.deliver(envelope(1, 2, 2, vote));
    cluster.persist_one(2);
    assert!(
        cluster
            .trace
            .iter()
            .any(|line| line.ends_with("t2 vote granted")),
        "{:?}",
        cluster.trace
    );
}

/// A learner has all entries, and the leader commits without it.
#[test]
fn learner_log_replication() {
    let mut cluster = with_learner();
    cluster.elect(1);
    beat(&mut cluster, 1);
    assert_eq!(role(&cluster, 2), Role::Follower);
    cluster.propose(1, "somedata");
    cluster.settle();
    assert_eq!(committed(&cluster, 2), committed(&cluster, 1));
    let peers = cluster.nodes[&1].raft.status().peers;
    assert_eq!(peers[0].matched, commit(&cluster, 1));

    cluster.node(2).down = true;
    let before = commit(&cluster, 1);
    cluster.propose(1, "alone");
    cluster.settle();
    assert_eq!(commit(&cluster, 1), before + 1);
}
