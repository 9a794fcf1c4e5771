//! Elections without check-quorum.

use coracle_proto::{Config, HardState, Input, LogId, Message, Role, Term, VoteKind};

use super::{
    at_term, campaign, campaign_only, cut, envelope, fill, ids, isolate, log, plain, role, roles,
    term, terms, with_pre_vote,
};
use crate::cluster::{Cluster, T, replica};

/// Who wins depends on how many can be reached, and on whose log is the newest.
fn election(configure: fn(u64) -> Config, waiting: Role, won_term: Term) {
    let cases: [(u64, &[u64], Role, Term); 5] = [
        (3, &[], Role::Leader, 1),
        (3, &[3], Role::Leader, 1),
        (3, &[2, 3], waiting, won_term),
        (4, &[2, 3], waiting, won_term),
        (5, &[2, 3], Role::Leader, 1),
    ];
    for (size, down, expected, in_term) in cases {
        let mut cluster = Cluster::new(size, configure);
        for node in down {
            cluster.node(*node).down = true;
        }
        campaign(&mut cluster, 1);
        assert_eq!(role(&cluster, 1), expected, "{size} nodes without {down:?}");
        assert_eq!(term(&cluster, 1), in_term);
    }
}

#[test]
fn leader_election() {
    election(plain, Role::Candidate, 1);
}

/// A candidate that cannot win its pre-vote does not even increment its term.
#[test]
fn leader_election_pre_vote() {
    election(with_pre_vote, Role::PreCandidate, 0);
}

/// Everybody can be elected, one after the other, whoever led before.
fn cycle(configure: fn(u64) -> Config) {
    let mut cluster = Cluster::new(3, configure);
    for node in 1..=3 {
        campaign(&mut cluster, node);
        let expected: Vec<_> = (1..=3)
            .map(|n| match n == node {
                true => Role::Leader,
                false => Role::Follower,
            })
            .collect();
        assert_eq!(roles(&cluster), expected);
    }
}

#[test]
fn leader_cycle() {
    cycle(plain);
}

#[test]
fn leader_cycle_pre_vote() {
    cycle(with_pre_vote);
}

/// Entries that were never committed are overwritten, even if their term is newer than all that
/// the winner has: figure 7 of the paper with a leader that crashed.
fn overwrites_newer_logs(configure: fn(u64) -> Config) {
    let mut cluster = Cluster::new(5, configure);
    let voted = HardState {
        term: 2,
        vote: Some(replica(3)),
    };
    fill(&mut cluster, 1, &[1], at_term(1));
    fill(&mut cluster, 2, &[1], at_term(1));
    fill(&mut cluster, 3, &[2], voted);
    fill(&mut cluster, 4, &[], voted);
    fill(&mut cluster, 5, &[], voted);

    // The first attempt fails: a quorum knows of the election that 3 has won.
    campaign(&mut cluster, 1);
    assert_eq!((role(&cluster, 1), term(&cluster, 1)), (Role::Follower, 2));
    // The second one has 1, 2, 4 and 5.
    campaign(&mut cluster, 1);
    assert_eq!((role(&cluster, 1), term(&cluster, 1)), (Role::Leader, 3));
    for node in 1..=5 {
        assert_eq!(log(&cluster, node), ids(&[1, 3]), "n{node}");
    }
}

#[test]
fn leader_election_overwrite_newer_logs() {
    overwrites_newer_logs(plain);
}

#[test]
fn leader_election_overwrite_newer_logs_pre_vote() {
    overwrites_newer_logs(with_pre_vote);
}

/// Two candidates that cannot reach each other: one wins; the other's next attempt fails, since
/// its log is behind, but moves the term.
#[test]
fn dueling_candidates() {
    let mut cluster = Cluster::new(3, plain);
    cut(&mut cluster, &[(1, 3)]);
    campaign(&mut cluster, 1);
    campaign(&mut cluster, 3);
    assert_eq!(role(&cluster, 1), Role::Leader);
    assert_eq!(role(&cluster, 3), Role::Candidate, "2 has voted for 1");

    cluster.heal();
    campaign(&mut cluster, 3);
    assert_eq!(roles(&cluster), [Role::Follower; 3]);
    assert_eq!(terms(&cluster), [2, 2, 2]);
    assert_eq!(log(&cluster, 2), ids(&[1]));
    assert_eq!(log(&cluster, 3), []);
}

/// With pre-vote the loser disturbs nobody.
#[test]
fn dueling_pre_candidates() {
    let mut cluster = Cluster::new(3, with_pre_vote);
    cut(&mut cluster, &[(1, 3)]);
    campaign(&mut cluster, 1);
    campaign(&mut cluster, 3);
    assert_eq!(role(&cluster, 1), Role::Leader);
    assert_eq!(role(&cluster, 3), Role::Follower, "2 has voted for 1");

    cluster.heal();
    campaign(&mut cluster, 3);
    assert_eq!(role(&cluster, 1), Role::Leader);
    assert_eq!(terms(&cluster), [1, 1, 1]);
}

/// A candidate gives in to the leader of its own term.
#[test]
fn candidate_concede() {
    let mut cluster = Cluster::new(3, plain);
    isolate(&mut cluster, 1);
    campaign(&mut cluster, 1);
    campaign(&mut cluster, 3);
    assert_eq!(role(&cluster, 1), Role::Candidate);

    cluster.heal();
    cluster.propose(3, "force follower");
    cluster.run(T / 2);
    assert_eq!((role(&cluster, 1), term(&cluster, 1)), (Role::Follower, 1));
    for node in 1..=3 {
        assert_eq!(log(&cluster, node), ids(&[1, 1]), "n{node}");
    }
}

#[test]
fn single_node_candidate() {
    let mut cluster = Cluster::new(1, plain);
    campaign(&mut cluster, 1);
    assert_eq!(role(&cluster, 1), Role::Leader);
}

#[test]
fn single_node_pre_candidate() {
    let mut cluster = Cluster::new(1, with_pre_vote);
    campaign(&mut cluster, 1);
    assert_eq!(role(&cluster, 1), Role::Leader);
}

/// The own vote becomes durable after the election was lost: it counts for nothing.
fn self_vote_after_lost_election(configure: fn(u64) -> Config) {
    let mut cluster = Cluster::new(3, configure);
    campaign_only(&mut cluster, 1);
    // 2 was elected in the meantime.
    let append = Message::Append {
        prev: LogId::default(),
        entries: Vec::new(),
        commit: 0,
    };
    cluster.deliver(envelope(2, 1, 1, append));
    assert_eq!(role(&cluster, 1), Role::Follower);
    while cluster.persist_one(1) {}
    assert_eq!(role(&cluster, 1), Role::Follower);
    let granted = Message::VoteReply {
        kind: VoteKind::Real,
        granted: true,
    };
    cluster.deliver(envelope(3, 1, 1, granted));
    assert_eq!(role(&cluster, 1), Role::Follower);
}

#[test]
fn candidate_self_vote_after_lost_election() {
    self_vote_after_lost_election(plain);
}

#[test]
fn candidate_self_vote_after_lost_election_pre_vote() {
    self_vote_after_lost_election(with_pre_vote);
}

/// A grant of the pre-vote that comes late is no vote in the election that followed it.
#[test]
fn candidate_delivers_pre_candidate_self_vote_after_becoming_candidate() {
    let mut cluster = Cluster::new(5, with_pre_vote);
    campaign_only(&mut cluster, 1);
    let granted = |kind| Message::VoteReply {
        kind,
        granted: true,
    };
    for node in [2, 3] {
        cluster.deliver(envelope(node, 1, 1, granted(VoteKind::Pre)));
    }
    assert_eq!(role(&cluster, 1), Role::Candidate);
    for node in [4, 5] {
        cluster.deliver(envelope(node, 1, 1, granted(VoteKind::Pre)));
    }
    cluster.persist_one(1);
    assert_eq!(role(&cluster, 1), Role::Candidate, "its own vote alone");
    for node in [2, 3] {
        cluster.deliver(envelope(node, 1, 1, granted(VoteKind::Real)));
    }
    assert_eq!(role(&cluster, 1), Role::Leader);
}

/// What an old leader wrote before its term was over counts for nothing in the new one: neither
/// its own disk nor an answer of then commits anything of now.
#[test]
fn leader_msg_app_self_ack_after_term_change() {
    let mut cluster = Cluster::new(3, plain);
    cluster.elect(1);
    cluster.propose(1, "never durable in this term");
    let heartbeat = Message::Heartbeat {
        commit: 0,
        round: 0,
        lease: false,
    };
    cluster.deliver(envelope(2, 1, 2, heartbeat));
    assert_eq!((role(&cluster, 1), term(&cluster, 1)), (Role::Follower, 2));
    let before = super::commit(&cluster, 1);
    while cluster.persist_one(1) {}
    assert_eq!(super::commit(&cluster, 1), before);
}

/// A leader that is asked to campaign goes on leading.
#[test]
fn campaign_while_leader() {
    for configure in [plain as fn(u64) -> Config, with_pre_vote] {
        let mut cluster = Cluster::new(3, configure);
        cluster.elect(1);
        let before = term(&cluster, 1);
        cluster.step(1, Input::Campaign { jitter: 0 });
        cluster.settle();
        assert_eq!(
            (role(&cluster, 1), term(&cluster, 1)),
            (Role::Leader, before)
        );
    }
}
