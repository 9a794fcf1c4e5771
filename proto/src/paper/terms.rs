//! Section 5.1: terms.

use super::{durable, of, timeout};
use crate::testing::{append, from, heartbeat, id, initial, leader, step};
use crate::{HardState, Initial, Instant, Raft, Role};

/// A server whose term is smaller takes the larger one and, whatever it was, follows.
fn takes_a_larger_term(mut raft: Raft) {
    let term = raft.status().hard_state.term + 1;
    step(&mut raft, from(2, term, append(id(0, 0), &[], 0)));
    let status = raft.status();
    assert_eq!(status.hard_state, HardState { term, vote: None });
    assert_eq!(
        (status.role, status.leader),
        (Role::Follower, Some(crate::testing::replica(2)))
    );
}

#[test]
fn follower_update_term_from_message() {
    let mut raft = of(3, &[]);
    step(&mut raft, from(3, 1, heartbeat(0, 0)));
    takes_a_larger_term(raft);
}

#[test]
fn candidate_update_term_from_message() {
    let mut raft = of(3, &[]);
    step(&mut raft, timeout());
    assert_eq!(raft.role(), Role::Candidate);
    takes_a_larger_term(raft);
}

#[test]
fn leader_update_term_from_message() {
    let raft = leader(&[]);
    assert_eq!(raft.role(), Role::Leader);
    takes_a_larger_term(raft);
}

/// A request with a stale term is refused; here the answer tells the sender the newer term.
#[test]
fn reject_stale_term_message() {
    let newer = Initial {
        hard_state: HardState {
            term: 2,
            vote: None,
        },
        ..initial(&[])
    };
    let mut raft = Raft::new(crate::testing::config(1), newer, Instant(0), 0);
    let before = raft.clone();
    let effects = step(&mut raft, from(2, 1, append(id(0, 0), &[1], 1)));
    assert_eq!(effects, ["send n1.0->n2.0 t2 rejected 0 hint=0/0"]);
    assert_eq!(raft, before, "nothing of it is taken");
    assert_eq!(durable(&mut raft), Vec::<String>::new());
}
