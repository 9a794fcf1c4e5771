//! Check-quorum and stickiness.

use coracle_proto::{Config, Input, Role, TimeoutKind};

use super::{beat, campaign, campaign_only, isolate, leader, role, roles, term, with_check_quorum};
use crate::cluster::{Cluster, T, config};

fn check(cluster: &mut Cluster, node: u64) {
    let kind = TimeoutKind::Election;
    cluster.step(node, Input::Timeout { kind, jitter: 0 });
    cluster.settle();
}

#[test]
fn leader_stepdown_when_quorum_active() {
    let mut cluster = Cluster::new(3, with_check_quorum);
    cluster.elect(1);
    for _ in 0..5 {
        beat(&mut cluster, 1);
        check(&mut cluster, 1);
        assert_eq!(role(&cluster, 1), Role::Leader);
    }
}

#[test]
fn leader_stepdown_when_quorum_lost() {
    let mut cluster = Cluster::new(3, with_check_quorum);
    cluster.elect(1);
    check(&mut cluster, 1);
    assert_eq!(role(&cluster, 1), Role::Leader, "heard at its election");
    isolate(&mut cluster, 1);
    beat(&mut cluster, 1);
    check(&mut cluster, 1);
    assert_eq!(role(&cluster, 1), Role::Follower);
}

/// Voters that hear a leader ignore a candidate; once they hear it no more, they elect another.
#[test]
fn leader_superseding_with_check_quorum() {
    let mut cluster = Cluster::new(3, with_check_quorum);
    cluster.elect(1);
    assert_eq!(role(&cluster, 3), Role::Follower);
    campaign(&mut cluster, 3);
    assert_eq!(role(&cluster, 3), Role::Candidate, "2 trusts its leader");

    cluster.now = cluster.now + T;
    campaign(&mut cluster, 3);
    assert_eq!(role(&cluster, 3), Role::Leader);
}

#[test]
fn leader_election_with_check_quorum() {
    let mut cluster = Cluster::new(3, with_check_quorum);
    campaign(&mut cluster, 1);
    assert_eq!(
        roles(&cluster),
        [Role::Leader, Role::Follower, Role::Follower]
    );
    // The leader's lease and everybody's trust in it end with time.
    cluster.now = cluster.now + T;
    check(&mut cluster, 1);
    check(&mut cluster, 1);
    cluster.now = cluster.now + T;
    campaign(&mut cluster, 3);
    assert_eq!(
        roles(&cluster),
        [Role::Follower, Role::Follower, Role::Leader]
    );
}

/// A candidate with a higher term that nobody votes for brings the leader to its term, and is a
/// follower again.
#[test]
fn free_stuck_candidate_with_check_quorum() {
    let mut cluster = Cluster::new(3, with_check_quorum);
    cluster.elect(1);
    isolate(&mut cluster, 1);
    campaign(&mut cluster, 3);
    campaign(&mut cluster, 3);
    assert_eq!((role(&cluster, 3), term(&cluster, 3)), (Role::Candidate, 3));
    assert_eq!(term(&cluster, 2), 1);

    cluster.heal();
    // Its heartbeat is answered with the higher term.
    beat(&mut cluster, 1);
    assert_eq!((role(&cluster, 1), term(&cluster, 1)), (Role::Follower, 3));
    cluster.now = cluster.now + T;
    campaign(&mut cluster, 1);
    assert_eq!(role(&cluster, 1), Role::Leader);
    assert_eq!(
        (role(&cluster, 3), leader(&cluster, 3)),
        (Role::Follower, Some(1))
    );
}

/// A node that is no voter learns of the leader like everybody else.
#[test]
fn non_promotable_voter_with_check_quorum() {
    let mut configuration = coracle_proto::Configuration::initial([coracle_proto::NodeId(1)]);
    configuration.learners.insert(crate::cluster::replica(2));
    let mut cluster = Cluster::of(&configuration, with_check_quorum);
    cluster.now = cluster.now + T * 2;
    check(&mut cluster, 2);
    assert_eq!(role(&cluster, 2), Role::Follower, "it cannot campaign");
    campaign(&mut cluster, 1);
    beat(&mut cluster, 1);
    assert_eq!(roles(&cluster), [Role::Leader, Role::Follower]);
    assert_eq!(leader(&cluster, 2), Some(1));
}

/// Without pre-vote a follower that was cut off disturbs the leader with its higher term, and
/// is heard in the end.
#[test]
fn disruptive_follower() {
    let mut cluster = Cluster::new(3, with_check_quorum);
    cluster.elect(1);
    cluster.now = cluster.now + T * 2;
    campaign_only(&mut cluster, 3);
    while cluster.persist_one(3) {}
    cluster.network.clear();
    assert_eq!((role(&cluster, 3), term(&cluster, 3)), (Role::Candidate, 2));
    // The leader's next heartbeat is answered with the higher term.
    beat(&mut cluster, 1);
    assert_eq!((role(&cluster, 1), term(&cluster, 1)), (Role::Follower, 2));
}

/// With pre-vote it disturbs nobody.
#[test]
fn disruptive_follower_pre_vote() {
    let mut cluster = Cluster::new(3, |node| Config {
        check_quorum: true,
        pre_vote: true,
        ..config(node)
    });
    cluster.elect(1);
    isolate(&mut cluster, 3);
    for payload in ["a", "b", "c"] {
        cluster.propose(1, payload);
    }
    cluster.settle();
    cluster.now = cluster.now + T;
    campaign(&mut cluster, 3);
    cluster.heal();
    campaign(&mut cluster, 3);
    beat(&mut cluster, 1);
    assert_eq!(role(&cluster, 1), Role::Leader);
    assert_eq!(super::terms(&cluster), [1, 1, 1]);
}
