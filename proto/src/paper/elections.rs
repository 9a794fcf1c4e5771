//! Section 5.2: leader election.

use std::collections::BTreeSet;

use super::{beat, durable, of, sends, timeout};
use crate::testing::{
    append, config, from, heartbeat, id, initial, leader, propose, replica, step, step_at, vote,
    vote_reply,
};
use crate::{HardState, Initial, Input, Instant, Raft, Role, Term, TimeoutKind, VoteKind};

/// When servers start up, they begin as followers.
#[test]
fn start_as_follower() {
    let raft = of(3, &[]);
    assert_eq!((raft.role(), raft.leader()), (Role::Follower, None));
}

/// A leader sends heartbeats without entries to everybody, however much it has to replicate.
#[test]
fn leader_bcast_beat() {
    let mut raft = leader(&[]);
    for _ in 0..10 {
        step(&mut raft, propose("x"));
    }
    let effects = step_at(&mut raft, 100, beat());
    assert_eq!(
        sends(&effects),
        [
            "n2.0 t1 heartbeat commit=0 round=0",
            "n3.0 t1 heartbeat commit=0 round=0"
        ]
    );
}

/// Without word from a leader, or without a majority, a server increments its term, votes for
/// itself and asks all the others at once.
fn starts_an_election(mut raft: Raft, term: Term) {
    let (at, kind) = raft.deadline().expect("a timer runs");
    assert_eq!(kind, TimeoutKind::Election);
    let mut effects = Vec::new();
    raft.step(at, timeout(), &mut effects);
    let status = raft.status();
    let vote = Some(replica(1));
    assert_eq!(status.role, Role::Candidate);
    assert_eq!(status.hard_state, HardState { term, vote });
    let asked = [
        format!("n2.0 t{term} vote last=0/0"),
        format!("n3.0 t{term} vote last=0/0"),
    ];
    assert_eq!(sends(&durable(&mut raft)), asked);
}

#[test]
fn follower_start_election() {
    let mut raft = of(3, &[]);
    step(&mut raft, from(2, 1, heartbeat(0, 0)));
    durable(&mut raft);
    starts_an_election(raft, 2);
}

#[test]
fn candidate_start_new_election() {
    let mut raft = of(3, &[]);
    step(&mut raft, timeout());
    durable(&mut raft);
    starts_an_election(raft, 2);
}

/// One round of votes is won, lost, or not decided.
#[test]
fn leader_election_in_one_round_rpc() {
    use Role::{Candidate, Follower, Leader};
    type Case = (u64, &'static [(u64, bool)], Role);
    let cases: [Case; 13] = [
        (1, &[], Leader),
        (3, &[(2, true), (3, true)], Leader),
        (3, &[(2, true)], Leader),
        (5, &[(2, true), (3, true), (4, true), (5, true)], Leader),
        (5, &[(2, true), (3, true), (4, true)], Leader),
        (5, &[(2, true), (3, true)], Leader),
        (3, &[(2, false), (3, false)], Follower),
        (
            5,
            &[(2, false), (3, false), (4, false), (5, false)],
            Follower,
        ),
        (
            5,
            &[(2, true), (3, false), (4, false), (5, false)],
            Follower,
        ),
        (3, &[], Candidate),
        (5, &[(2, true)], Candidate),
        (5, &[(2, false), (3, false)], Candidate),
        (5, &[], Candidate),
    ];
    for (size, votes, role) in cases {
        let mut raft = of(size, &[]);
        step(&mut raft, Input::Campaign { jitter: 0 });
        durable(&mut raft);
        for (node, granted) in votes {
            let reply = vote_reply(VoteKind::Real, *granted);
            step(&mut raft, from(*node, 1, reply));
        }
        assert_eq!(raft.role(), role, "{size} voters, {votes:?}");
        assert_eq!(raft.status().hard_state.term, 1);
    }
}

/// A follower votes for at most one candidate in a term: whoever comes first.
#[test]
fn follower_vote() {
    let cases = [
        (None, 2, true),
        (None, 3, true),
        (Some(2), 2, true),
        (Some(3), 3, true),
        (Some(2), 3, false),
        (Some(3), 2, false),
    ];
    for (given, asks, granted) in cases {
        let voted = Initial {
            hard_state: HardState {
                term: 1,
                vote: given.map(replica),
            },
            ..initial(&[])
        };
        let mut raft = Raft::new(config(1), voted, Instant(0), 0);
        let mut effects = step(&mut raft, from(asks, 1, vote(VoteKind::Real, id(0, 0))));
        effects.extend(durable(&mut raft));
        let answer = if granted { "granted" } else { "refused" };
        let expected = [format!("n{asks}.0 t1 vote {answer}")];
        assert_eq!(sends(&effects), expected, "voted for {given:?}");
    }
}

/// A candidate that hears of a leader of its term, or of a later one, follows it.
#[test]
fn candidate_fallback() {
    for term in [1, 2] {
        let mut raft = of(3, &[]);
        step(&mut raft, timeout());
        assert_eq!(raft.role(), Role::Candidate);
        step(&mut raft, from(2, term, append(id(0, 0), &[], 0)));
        assert_eq!(raft.role(), Role::Follower);
        assert_eq!(raft.status().hard_state.term, term);
        assert_eq!(raft.leader(), Some(replica(2)));
    }
}

/// How long a server waits is drawn anew each time, from all of one to two timeouts.
fn waits_are_randomised(mut raft: Raft, role: Role) {
    const DRAWS: u64 = 500;
    let mut waits = BTreeSet::new();
    for draw in 0..DRAWS {
        let now = Instant(1_000_000_000_000 * (draw + 1));
        let jitter = draw.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let kind = TimeoutKind::Election;
        raft.step(now, Input::Timeout { kind, jitter }, &mut Vec::new());
        if role == Role::Follower {
            let term = raft.status().hard_state.term;
            raft.step(now, from(2, term, heartbeat(0, 0)), &mut Vec::new());
        }
        assert_eq!(raft.role(), role);
        let (at, _) = raft.deadline().expect("a timer runs");
        waits.insert(at.since(now).as_millis() / 100);
    }
    assert_eq!(waits, (10..20).collect(), "in tenths of the timeout");
}

#[test]
fn follower_election_timeout_randomized() {
    waits_are_randomised(of(3, &[]), Role::Follower);
}

#[test]
fn candidate_election_timeout_randomized() {
    waits_are_randomised(of(3, &[]), Role::Candidate);
}
