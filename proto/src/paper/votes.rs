//! Section 5.4.1: who may be elected. Section 5.4.2: what a leader may commit.

use super::{durable, of, sends};
use crate::testing::{append, from, id, leader, matched, propose, step, vote};
use crate::{Input, LogId, Term, VoteKind};

/// A request for a vote names the candidate's last entry and goes to everybody else.
#[test]
fn vote_request() {
    let cases: [(&[Term], Term); 2] = [(&[1], 2), (&[1, 2], 3)];
    for (log, term) in cases {
        let mut raft = of(3, &[]);
        let leads = append(id(0, 0), log, 0);
        step(&mut raft, from(2, term - 1, leads));
        durable(&mut raft);
        step(&mut raft, Input::Campaign { jitter: 0 });
        let asked = durable(&mut raft);
        let last = raft.status().last;
        let expected = [2, 3].map(|node| format!("n{node}.0 t{term} vote last={last}"));
        assert_eq!(sends(&asked), expected);
    }
}

/// A voter refuses a candidate whose log is less up to date than its own: later last term first,
/// then length.
#[test]
fn voter() {
    let cases: [(&[Term], LogId, bool); 9] = [
        (&[1], id(1, 1), true),
        (&[1], id(1, 2), true),
        (&[1, 1], id(1, 1), false),
        (&[1], id(2, 1), true),
        (&[1], id(2, 2), true),
        (&[1, 1], id(2, 1), true),
        (&[2], id(1, 1), false),
        (&[2], id(1, 2), false),
        (&[2, 2], id(1, 1), false),
    ];
    for (log, last, granted) in cases {
        let mut raft = of(2, log);
        let mut effects = step(&mut raft, from(2, 3, vote(VoteKind::Real, last)));
        effects.extend(durable(&mut raft));
        let answer = if granted { "granted" } else { "refused" };
        let expected = [format!("n2.0 t3 vote {answer}")];
        assert_eq!(sends(&effects), expected, "log {log:?}, candidate {last}");
    }
}

/// Entries of earlier terms are not committed by counting replicas.
#[test]
fn leader_only_commits_log_from_current_term() {
    // The log is [1, 2], the leader's term 3, its no-op entry 3, a command entry 4.
    let cases = [(1, 0), (2, 0), (3, 3), (4, 4)];
    for (replicated, commit) in cases {
        let mut raft = leader(&[1, 2]);
        step(&mut raft, propose("x"));
        durable(&mut raft);
        step(&mut raft, from(2, 3, matched(replicated)));
        assert_eq!(raft.status().commit, commit, "{replicated} replicated");
    }
}
