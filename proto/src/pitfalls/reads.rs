//! Reads that must not be stale.

use super::*;
use crate::testing::{lease_read, promise, transfer};

/// Bug 13 (etcd#7331, #12680, tikv#6340).
///
/// - *Symptom*: a new leader's first reads miss committed writes, or never end.
/// - *Cause*: reads before the first commit of the term were answered, in the next version
///   dropped.
/// - *Cure*: they wait for that commit.
#[test]
fn bug_13_reads_before_the_first_commit_of_the_term_wait_and_are_not_dropped() {
    let mut raft = leader(&[1, 1]);
    assert_eq!(step(&mut raft, read(1)), NOTHING);
    step(&mut raft, from(2, 2, heartbeat_reply(0)));
    step(&mut raft, from(2, 2, matched(3)));
    let effects = step(&mut raft, from(3, 2, matched(3)));
    assert!(effects.iter().any(|e| e.contains("round=1")), "{effects:?}");
    assert_eq!(
        step(&mut raft, from(2, 2, heartbeat_reply(1))),
        ["read-ready r1 index=3"]
    );
}

/// Bug 14 (etcd#20418).
///
/// - *Symptom*: a deposed leader answers a read.
/// - *Cause*: rounds of heartbeats were named by the client's request: the echo of the first try
///   confirmed the second.
/// - *Cure*: rounds are counted by the leader itself.
#[test]
fn bug_14_the_echo_of_an_earlier_round_does_not_confirm_a_retried_read() {
    let mut raft = leader(&[1]);
    step(&mut raft, persisted(2, 2));
    step(&mut raft, from(2, 2, matched(2)));
    step(&mut raft, read(1));
    step(&mut raft, from(2, 2, heartbeat_reply(1)));
    // The client tries again under the same name; node 3's echo of the first round is late.
    step(&mut raft, read(1));
    let late = step(&mut raft, from(3, 2, heartbeat_reply(1)));
    assert!(!late.iter().any(|e| e.starts_with("read-")), "{late:?}");
    assert_eq!(
        step(&mut raft, from(2, 2, heartbeat_reply(2))),
        ["read-ready r1 index=2"]
    );
}

/// Bug 16 (hashicorp#603).
///
/// - *Symptom*: a read that was verified misses a write that was acknowledged before it.
/// - *Cause*: leadership was verified first and the index taken later.
/// - *Cure*: the index is taken when the read begins, and then confirmed.
#[test]
fn bug_16_the_read_point_is_taken_before_leadership_is_confirmed() {
    let mut raft = leader(&[1]);
    step(&mut raft, persisted(2, 2));
    step(&mut raft, from(2, 2, matched(2)));
    step(&mut raft, propose("a"));
    step(&mut raft, read(1));
    step(&mut raft, from(2, 2, matched(3)));
    step(&mut raft, from(3, 2, matched(3)));
    assert_eq!(raft.status().commit, 3);
    assert_eq!(
        step(&mut raft, from(2, 2, heartbeat_reply(1))),
        ["read-ready r1 index=2"]
    );
}

/// Bug 17 (etcd-io/raft#105).
///
/// - *Symptom*: a restarted single node answers reads without what it had applied before.
/// - *Cause*: its commit index starts at the snapshot, and was used as the read point.
/// - *Cure*: reads wait for the no-op of the new term.
#[test]
fn bug_17_a_restarted_sole_voter_reads_at_its_new_no_op() {
    let restarted = Initial {
        hard_state: HardState {
            term: 1,
            vote: Some(replica(1)),
        },
        terms: vec![id(1, 1)],
        last: 5,
        ..alone()
    };
    let mut raft = Raft::new(config(1), restarted, Instant(0), 0);
    step(&mut raft, Input::Campaign { jitter: 0 });
    step(&mut raft, persisted(2, 1));
    assert_eq!(step(&mut raft, read(1)), NOTHING);
    assert_eq!(
        step(&mut raft, persisted(2, 2)),
        ["read-ready r1 index=6", "commit 6"]
    );
}

/// Bug 15 (etcd-io/raft#99, tikv#4680, raft-rs#141).
///
/// - *Symptom*: two leaders answer reads, one of them with old data.
/// - *Cause*: a leader kept its lease after it had told somebody to campaign past everybody's
///   trust in it; or leases were given without check-quorum, or counted from the answer.
/// - *Cure*: the lease ends when TimeoutNow is sent, needs check-quorum, and counts from when the
///   round was sent.
#[test]
fn bug_15_a_lease_ends_when_somebody_is_told_to_campaign() {
    let mut raft = leased();
    assert_eq!(
        step_at(&mut raft.clone(), 500, lease_read(2)),
        ["read-ready r2 index=2"]
    );
    // When: leadership is handed over.
    let effects = step_at(&mut raft, 500, transfer(1, Some(2)));
    assert_eq!(effects, ["send n1.0->n2.0 t2 timeout-now"]);
    // Then: the target may be elected at any time, and no read is granted without a round.
    let effects = step_at(&mut raft, 500, lease_read(2));
    assert!(!granted(&effects), "{effects:?}");
    // Also not when the transfer has failed: the message may be on its way still.
    let handover = TimeoutKind::Transfer;
    let effects = step_at(&mut raft, 1500, timeout(handover));
    assert_eq!(effects, ["transfer-ended x1: timed out"]);
    step_at(&mut raft, 1600, lease_read(3));
    for round in 1..10 {
        step_at(&mut raft, 1600, from(2, 2, promise(round, 1000)));
    }
    assert!(!granted(&step_at(&mut raft, 1601, lease_read(4))));
}

/// Bug 15 (etcd-io/raft#99, tikv#4680, raft-rs#141).
///
/// - *Symptom*: two leaders answer reads, one of them with old data.
/// - *Cause*: a leader kept its lease after it had told somebody to campaign past everybody's
///   trust in it; or leases were given without check-quorum, or counted from the answer.
/// - *Cure*: the lease ends when TimeoutNow is sent, needs check-quorum, and counts from when the
///   round was sent.
#[test]
fn bug_15_a_lease_needs_check_quorum_and_counts_from_the_sending() {
    let mut unchecked = elect(Raft::new(config(1), initial(&[1]), Instant(0), 0));
    step(&mut unchecked, persisted(2, 2));
    step(&mut unchecked, from(2, 2, matched(2)));
    step(&mut unchecked, lease_read(1));
    step(&mut unchecked, from(2, 2, promise(1, 1000)));
    assert!(!granted(&step(&mut unchecked, lease_read(2))));

    // The round began at 0 and was answered at 300, for 1000 ms of which 100 are drift.
    assert!(granted(&step_at(&mut leased(), 899, lease_read(2))));
    assert!(!granted(&step_at(&mut leased(), 900, lease_read(2))));
}

fn granted(effects: &[String]) -> bool {
    effects.iter().any(|e| e.starts_with("read-ready"))
}

/// A leader with a lease from time 0.
fn leased() -> Raft {
    let mut raft = elect(careful_leader());
    step(&mut raft, persisted(2, 2));
    step(&mut raft, from(2, 2, matched(2)));
    step(&mut raft, lease_read(1));
    step_at(&mut raft, 300, from(2, 2, promise(1, 1000)));
    raft
}
