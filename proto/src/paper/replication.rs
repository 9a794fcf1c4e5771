//! Section 5.3: log replication.

use super::{durable, of, sends};
use crate::testing::{append, elect, follower, from, id, leader, matched, propose, step};
use crate::{Index, LogId, Raft, Term};

/// A leader of term 1 whose no-op is committed.
fn settled_leader(size: u64) -> Raft {
    let mut raft = match size {
        1 => {
            let mut raft = of(1, &[]);
            step(&mut raft, crate::Input::Campaign { jitter: 0 });
            raft
        }
        3 => elect(of(3, &[])),
        _ => {
            let mut raft = elect(of(size, &[]));
            step(
                &mut raft,
                from(
                    3,
                    1,
                    crate::testing::vote_reply(crate::VoteKind::Real, true),
                ),
            );
            raft
        }
    };
    durable(&mut raft);
    for node in 2..=size {
        step(&mut raft, from(node, 1, matched(1)));
    }
    assert_eq!(raft.status().commit, 1);
    raft
}

/// A command is appended, and sent to everybody with the entry before it, beside the own disk.
#[test]
fn leader_start_replication() {
    let mut raft = settled_leader(3);
    assert_eq!(
        step(&mut raft, propose("some data")),
        [
            "persist w1.3 [1/2 \"some data\"]",
            "send n1.0->n2.0 t1 append prev=1/1 [1/2 \"some data\"] commit=1",
            "send n1.0->n3.0 t1 append prev=1/1 [1/2 \"some data\"] commit=1",
            "accepted p1 1/2"
        ]
    );
    assert_eq!(raft.status().commit, 1);
}

/// An entry is given out for applying once it is safely replicated, and later appends say so.
#[test]
fn leader_commit_entry() {
    let mut raft = settled_leader(3);
    step(&mut raft, propose("some data"));
    durable(&mut raft);
    let effects = step(&mut raft, from(2, 1, matched(2)));
    assert_eq!(effects.last().map(String::as_str), Some("commit 2"));
    let told = sends(&effects);
    assert_eq!(told.len(), 2);
    assert!(told.iter().all(|e| e.ends_with(" commit=2")), "{told:?}");
}

/// Committed is what a majority of the servers holds, the leader among them.
#[test]
fn leader_acknowledge_commit() {
    let cases: [(u64, &[u64], bool); 9] = [
        (1, &[], true),
        (3, &[], false),
        (3, &[2], true),
        (3, &[2, 3], true),
        (5, &[], false),
        (5, &[2], false),
        (5, &[2, 3], true),
        (5, &[2, 3, 4], true),
        (5, &[2, 3, 4, 5], true),
    ];
    for (size, acceptors, committed) in cases {
        let mut raft = settled_leader(size);
        step(&mut raft, propose("some data"));
        durable(&mut raft);
        for node in acceptors {
            step(&mut raft, from(*node, 1, matched(2)));
        }
        let found = raft.status().commit == 2;
        assert_eq!(found, committed, "{size} voters, {acceptors:?}");
    }
}

/// With an entry all before it are committed, those of earlier leaders included.
#[test]
fn leader_commit_preceding_entries() {
    let logs: [&[Term]; 4] = [&[], &[2], &[1, 2], &[1]];
    for log in logs {
        let mut raft = leader(log);
        step(&mut raft, propose("some data"));
        durable(&mut raft);
        let (term, last) = (raft.status().hard_state.term, raft.status().last);
        let effects = step(&mut raft, from(2, term, matched(last.index)));
        let expected = format!("commit {}", log.len() + 2);
        assert_eq!(effects.last(), Some(&expected), "log {log:?}");
    }
}

/// A follower applies what it learns to be committed, in log order.
#[test]
fn follower_commit_entry() {
    let cases: [(&[Term], Index); 4] = [(&[1], 1), (&[1, 1], 2), (&[1, 1], 2), (&[1, 1], 1)];
    for (entries, commit) in cases {
        let mut raft = of(3, &[]);
        step(&mut raft, from(2, 1, append(id(0, 0), entries, commit)));
        let effects = durable(&mut raft);
        let expected = format!("commit {commit}");
        assert_eq!(effects.last(), Some(&expected), "{entries:?}");
    }
}

/// Without the entry before the new ones a follower refuses them, and says where to look.
#[test]
fn follower_check_msg_app() {
    let cases = [
        (id(0, 0), "n2.0 t2 matched 0"),
        (id(1, 1), "n2.0 t2 matched 1"),
        (id(2, 2), "n2.0 t2 matched 2"),
        // The term is another: the entry at index 1 may be the one.
        (id(1, 2), "n2.0 t2 rejected 2 hint=1/1"),
        // There is no entry 3.
        (id(2, 3), "n2.0 t2 rejected 3 hint=2/2"),
    ];
    for (prev, answer) in cases {
        let mut raft = follower(&[1, 2]);
        let effects = step(&mut raft, from(2, 2, append(prev, &[], 0)));
        assert_eq!(sends(&effects), [answer], "after {prev}");
    }
}

/// What conflicts is deleted with all that follows it, what is new is appended, what is known
/// stays.
#[test]
fn follower_append_entries() {
    let cases: [(LogId, &[Term], &[Term], &str); 4] = [
        (id(2, 2), &[3], &[1, 2, 3], "[3/3 \"e3\"]"),
        (id(1, 1), &[3, 4], &[1, 3, 4], "[3/2 \"e2\", 4/3 \"e3\"]"),
        (id(0, 0), &[1], &[1, 2], ""),
        (id(0, 0), &[3], &[3], "[3/1 \"e1\"]"),
    ];
    for (prev, terms, log, written) in cases {
        let mut raft = follower(&[1, 2]);
        let leader_term = terms.iter().copied().fold(2, Term::max);
        let effects = step(&mut raft, from(2, leader_term, append(prev, terms, 0)));
        let persisted = effects.iter().find(|e| e.starts_with("persist"));
        assert!(
            persisted.map_or(written.is_empty(), |e| e.ends_with(written)),
            "{effects:?}"
        );
        let last = raft.status().last.index;
        let found: Vec<_> = (1..=last).filter_map(|at| raft.term_at(at)).collect();
        assert_eq!(found, log, "{terms:?} after {prev}");
    }
}
