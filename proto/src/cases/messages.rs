//! How one node answers what it receives.

use super::{NOTHING, beat, durable, sent};
use crate::testing::{
    append, config, follower, from, heartbeat, heartbeat_reply, id, initial, leader, matched,
    propose, replica, step, vote,
};
use crate::{
    Config, HardState, Initial, Input, Instant, LogId, Message, Raft, Role, Term, TimeoutKind,
    VoteKind,
};

/// A vote of a newer term is given by a node in any role.
fn votes_from_any_state(kind: VoteKind, pre_vote: bool) {
    let config = || Config {
        pre_vote,
        ..config(1)
    };
    let fresh = || Raft::new(config(), initial(&[]), Instant(0), 0);
    let mut candidate = fresh();
    step(&mut candidate, Input::Campaign { jitter: 0 });
    durable(&mut candidate);
    for mut raft in [fresh(), candidate, leader(&[])] {
        durable(&mut raft);
        let (role, term) = (raft.role(), raft.status().hard_state.term);
        let mut effects = step(&mut raft, from(2, term + 1, vote(kind, id(term, 100))));
        effects.extend(durable(&mut raft));
        let expected = format!("t{} {kind} granted", term + 1);
        assert!(
            sent(&effects, 2).contains(&expected.as_str()),
            "{effects:?}"
        );
        let now = raft.status();
        match kind {
            VoteKind::Pre => assert_eq!((now.role, now.hard_state.term), (role, term)),
            VoteKind::Real | VoteKind::Transfer => {
                assert_eq!((now.role, now.hard_state.term), (Role::Follower, term + 1));
                assert_eq!(now.hard_state.vote, Some(replica(2)));
            }
        }
    }
}

#[test]
fn vote_from_any_state() {
    votes_from_any_state(VoteKind::Real, false);
}

#[test]
fn pre_vote_from_any_state() {
    votes_from_any_state(VoteKind::Pre, true);
}

/// Whose vote is free, and whose log is new enough.
#[test]
fn recv_msg_vote() {
    let cases: [(LogId, Option<u64>, bool); 16] = [
        (id(0, 0), None, false),
        (id(0, 1), None, false),
        (id(0, 2), None, false),
        (id(0, 3), None, false),
        (id(1, 0), None, false),
        (id(1, 1), None, false),
        (id(1, 2), None, false),
        (id(1, 3), None, false),
        (id(2, 0), None, false),
        (id(2, 1), None, false),
        (id(2, 2), None, true),
        (id(2, 3), None, true),
        (id(3, 0), None, true),
        (id(3, 1), Some(2), true),
        (id(3, 2), Some(2), true),
        (id(3, 3), Some(3), false),
    ];
    for kind in [VoteKind::Real, VoteKind::Pre] {
        for (last, given, granted) in cases {
            let voted = Initial {
                hard_state: HardState {
                    term: 3,
                    vote: given.map(replica),
                },
                ..initial(&[2, 2])
            };
            let mut raft = Raft::new(config(1), voted, Instant(0), 0);
            let mut effects = step(&mut raft, from(2, 3, vote(kind, last)));
            effects.extend(durable(&mut raft));
            let answer = if granted { "granted" } else { "refused" };
            let expected = [format!("t3 {kind} {answer}")];
            assert_eq!(sent(&effects, 2), expected, "{last}, voted {given:?}");
        }
    }
}

/// Messages of an older term change nothing.
#[test]
fn step_ignore_old_term_msg() {
    let mut raft = leader(&[1, 1]);
    durable(&mut raft);
    let before = raft.clone();
    for message in [append(id(1, 2), &[1], 3), heartbeat(2, 0), matched(2)] {
        step(&mut raft, from(2, 1, message));
    }
    assert_eq!(raft, before);
}

/// What an append does to log and commit index.
#[test]
fn handle_msg_app() {
    type Case = (LogId, &'static [Term], u64, u64, u64, bool);
    let cases: [Case; 11] = [
        // The entry before does not match, or does not exist.
        (id(3, 2), &[], 3, 2, 0, false),
        (id(3, 3), &[], 3, 2, 0, false),
        // Known entries and new ones.
        (id(1, 1), &[], 1, 2, 1, true),
        (id(0, 0), &[2], 1, 1, 1, true),
        (id(2, 2), &[2, 2], 3, 4, 3, true),
        (id(2, 2), &[2], 4, 3, 3, true),
        (id(1, 1), &[2], 4, 2, 2, true),
        // No further than what is known to match.
        (id(1, 1), &[], 3, 2, 1, true),
        (id(1, 1), &[2], 3, 2, 2, true),
        (id(2, 2), &[], 3, 2, 2, true),
        (id(2, 2), &[], 4, 2, 2, true),
    ];
    for (prev, entries, told, last, commit, taken) in cases {
        let mut raft = follower(&[1, 2]);
        let term = prev.term.max(2);
        let mut effects = step(&mut raft, from(2, term, append(prev, entries, told)));
        effects.extend(durable(&mut raft));
        let status = raft.status();
        assert_eq!(
            (status.last.index, status.commit),
            (last, commit),
            "{entries:?} after {prev}"
        );
        let rejected = effects.iter().any(|e| e.contains("rejected"));
        assert_eq!(rejected, !taken, "{effects:?}");
    }
}

/// A heartbeat moves the commit index, never back.
#[test]
fn handle_heartbeat() {
    for (told, commit) in [(3, 3), (1, 2)] {
        let mut raft = follower(&[1, 2, 3]);
        step(&mut raft, from(2, 3, heartbeat(2, 0)));
        assert_eq!(raft.status().commit, 2);
        let effects = step(&mut raft, from(2, 3, heartbeat(told, 1)));
        assert_eq!(raft.status().commit, commit);
        assert_eq!(sent(&effects, 2), ["t3 heartbeat-reply round=1"]);
    }
}

/// A heartbeat's answer from a peer that is behind is answered with an append, until it is not.
#[test]
fn handle_heartbeat_resp() {
    let mut raft = leader(&[1, 1]);
    durable(&mut raft);
    for _ in 0..2 {
        let effects = step(&mut raft, from(2, 2, heartbeat_reply(0)));
        assert_eq!(sent(&effects, 2).len(), 1, "{effects:?}");
    }
    step(&mut raft, from(2, 2, matched(3)));
    let effects = step(&mut raft, from(2, 2, heartbeat_reply(0)));
    assert_eq!(sent(&effects, 2), NOTHING);
}

/// A heartbeat tells each peer no more than what it is known to hold.
#[test]
fn bcast_beat() {
    let mut raft = leader(&[1, 1]);
    for _ in 0..10 {
        step(&mut raft, propose("x"));
    }
    durable(&mut raft);
    step(&mut raft, from(2, 2, matched(8)));
    step(&mut raft, from(3, 2, matched(13)));
    assert_eq!(raft.status().commit, 13);
    let effects = beat(&mut raft);
    assert!(sent(&effects, 2)[0].starts_with("t2 heartbeat commit=8 "));
    assert!(sent(&effects, 3)[0].starts_with("t2 heartbeat commit=13 "));
}

/// Only a leader sends heartbeats.
#[test]
fn recv_msg_beat() {
    let mut candidate = follower(&[1]);
    step(&mut candidate, Input::Campaign { jitter: 0 });
    for (mut raft, messages) in [(leader(&[1]), 2), (candidate, 0), (follower(&[1]), 0)] {
        durable(&mut raft);
        let effects = beat(&mut raft);
        let sends = effects.iter().filter(|e| e.starts_with("send")).count();
        assert_eq!(sends, messages);
    }
}

/// Nobody campaigns before the timeout, and everybody does at twice the timeout.
#[test]
fn past_election_timeout() {
    for jitter in (0..1_000_000_000).step_by(99_999_999) {
        let raft = Raft::new(config(1), initial(&[]), Instant(0), jitter);
        let (at, kind) = raft.deadline().expect("a timer runs");
        let wait = at.since(Instant(0)).as_millis();
        assert!((1000..2000).contains(&wait), "{wait}");
        assert_eq!(kind, TimeoutKind::Election);
    }
}

/// A node campaigns if the configuration gives it a vote.
#[test]
fn promotable() {
    let cases: [(&[u64], bool); 4] = [
        (&[1], true),
        (&[1, 2, 3], true),
        (&[], false),
        (&[2, 3], false),
    ];
    for (voters, promotable) in cases {
        let nodes = voters.iter().copied().map(crate::NodeId);
        let of = Initial {
            configurations: vec![crate::Configuration::initial(nodes)],
            ..initial(&[])
        };
        let mut raft = Raft::new(config(1), of, Instant(0), 0);
        step(&mut raft, Input::Campaign { jitter: 0 });
        assert_eq!(raft.role() != Role::Follower, promotable, "{voters:?}");
    }
}

/// A message that only makes sense to a leader changes nothing elsewhere.
#[test]
fn answers_to_nobody_are_ignored() {
    for message in [matched(1), heartbeat_reply(0)] {
        let mut raft = follower(&[1, 1]);
        let before = raft.clone();
        assert_eq!(step(&mut raft, from(2, 1, message)), NOTHING);
        assert_eq!(raft, before);
    }
    let mut raft = follower(&[1]);
    let reply = Message::VoteReply {
        kind: VoteKind::Real,
        granted: true,
    };
    assert_eq!(step(&mut raft, from(2, 1, reply)), NOTHING);
}
