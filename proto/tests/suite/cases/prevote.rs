//! Pre-vote, alone, with check-quorum, and half rolled out.

use coracle_proto::{Config, Role};

use super::{campaign, commit, isolate, plain, role, roles, term, terms, with_pre_vote};
use crate::cluster::{Cluster, T, config};

/// Two candidates split the votes of the real election, after both won the pre-vote; a later
/// attempt wins.
#[test]
fn pre_vote_with_split_vote() {
    let mut cluster = Cluster::new(3, with_pre_vote);
    cluster.elect(1);
    cluster.node(1).down = true;
    super::campaign_only(&mut cluster, 2);
    super::campaign_only(&mut cluster, 3);
    // Each grants the other's pre-vote before either asks for a vote.
    cluster.settle();
    assert_eq!(terms(&cluster)[1..], [2, 2]);
    assert_eq!(roles(&cluster)[1..], [Role::Candidate; 2], "split");

    campaign(&mut cluster, 2);
    assert_eq!(terms(&cluster)[1..], [3, 3]);
    assert_eq!(roles(&cluster)[1..], [Role::Leader, Role::Follower]);
}

/// With both, a follower whose leader is gone is elected by one that has noticed as well.
#[test]
fn pre_vote_with_check_quorum() {
    let mut cluster = Cluster::new(3, config);
    cluster.elect(1);
    isolate(&mut cluster, 1);
    assert_eq!(super::leader(&cluster, 2), Some(1));
    // 3 trusts its leader still, 2 has no reason not to ask.
    campaign(&mut cluster, 3);
    assert_eq!(role(&cluster, 3), Role::PreCandidate);
    campaign(&mut cluster, 2);
    assert_eq!(
        roles(&cluster)[1..],
        [Role::Leader, Role::Follower],
        "a pre-candidate trusts nobody"
    );
}

/// A node without the newest entries, and with a smaller term, is no obstacle.
#[test]
fn node_with_smaller_term_can_complete_election() {
    let mut cluster = Cluster::new(3, with_pre_vote);
    isolate(&mut cluster, 3);
    campaign(&mut cluster, 1);
    campaign(&mut cluster, 2);
    assert_eq!(terms(&cluster), [2, 2, 0]);
    assert_eq!(role(&cluster, 2), Role::Leader);
    campaign(&mut cluster, 3);
    assert_eq!(role(&cluster, 3), Role::PreCandidate);

    cluster.heal();
    cluster.node(2).down = true;
    // 1 has the newer log; 3 learns the term from the refusals.
    campaign(&mut cluster, 3);
    campaign(&mut cluster, 1);
    assert!(
        [1, 3]
            .iter()
            .any(|node| role(&cluster, *node) == Role::Leader)
    );
}

/// Nodes 1 and 2 ask for pre-votes, node 3 does not yet and is ahead by one term.
fn migration() -> Cluster {
    let mut cluster = Cluster::new(3, |node| Config {
        pre_vote: node != 3,
        ..plain(node)
    });
    cluster.elect(1);
    isolate(&mut cluster, 3);
    cluster.propose(1, "some data");
    cluster.settle();
    campaign(&mut cluster, 3);
    campaign(&mut cluster, 3);
    assert_eq!((role(&cluster, 3), term(&cluster, 3)), (Role::Candidate, 3));
    assert_eq!(roles(&cluster)[..2], [Role::Leader, Role::Follower]);
    // Rolled out everywhere now: its next campaign begins with a pre-vote.
    cluster.restart_as(3, with_pre_vote(3));
    cluster
}

/// Half of the nodes ask for pre-votes, one of the others has a higher term and an older log: the
/// leader is lost, and there is an election all the same.
#[test]
fn pre_vote_migration_can_complete_election() {
    let mut cluster = migration();
    cluster.node(1).down = true;
    cluster.heal();
    for _ in 0..2 {
        campaign(&mut cluster, 3);
        campaign(&mut cluster, 2);
    }
    assert!(
        [2, 3]
            .iter()
            .any(|node| role(&cluster, *node) == Role::Leader)
    );
}

/// The stuck one is freed by its leader, which learns of the higher term from it.
#[test]
fn pre_vote_migration_with_free_stuck_pre_candidate() {
    let mut cluster = migration();
    cluster.heal();
    campaign(&mut cluster, 3);
    cluster.run(T * 6);
    let leads: Vec<_> = (1..=3)
        .filter(|n| role(&cluster, *n) == Role::Leader)
        .collect();
    assert_eq!(leads.len(), 1, "{:?}", roles(&cluster));
    let all = terms(&cluster);
    assert!(all.iter().all(|term| *term == all[0]), "{all:?}");
    cluster.propose(leads[0], "more data");
    cluster.run(T);
    assert!((1..=3).all(|node| commit(&cluster, node) == commit(&cluster, leads[0])));
}
