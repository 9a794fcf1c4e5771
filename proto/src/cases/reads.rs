//! ReadIndex on a leader.

use super::{NOTHING, beat, durable};
use crate::testing::{
    from, heartbeat_reply, leader, lease_read, matched, promise, propose, read, step,
};

fn reads(effects: &[String]) -> Vec<&str> {
    let of = effects.iter().filter(|e| e.starts_with("read-"));
    of.map(String::as_str).collect()
}

/// A read is ready at the commit index of its beginning, once a majority has answered a round
/// that began after it.
#[test]
fn read_only_option_safe() {
    let mut raft = leader(&[]);
    durable(&mut raft);
    step(&mut raft, from(2, 1, matched(1)));
    let mut index = 1;
    for round in 1..=5 {
        for _ in 0..10 {
            step(&mut raft, propose("x"));
            index += 1;
        }
        durable(&mut raft);
        step(&mut raft, from(2, 1, matched(index)));
        assert_eq!(reads(&step(&mut raft, read(round))), NOTHING);
        let effects = step(&mut raft, from(2, 1, heartbeat_reply(round)));
        assert_eq!(
            reads(&effects),
            [format!("read-ready r{round} index={index}")]
        );
    }
}

/// The answer of a learner confirms nothing.
#[test]
fn read_only_with_learner() {
    let mut initial = crate::testing::initial(&[]);
    let configuration = &mut initial.configurations[0];
    configuration.voters.remove(&crate::testing::replica(3));
    configuration.learners.insert(crate::testing::replica(3));
    let raft = crate::Raft::new(crate::testing::config(1), initial, crate::Instant(0), 0);
    let mut raft = crate::testing::elect(raft);
    durable(&mut raft);
    step(&mut raft, from(2, 1, matched(1)));
    assert_eq!(reads(&step(&mut raft, read(1))), NOTHING);
    let effects = step(&mut raft, from(3, 1, heartbeat_reply(1)));
    assert_eq!(reads(&effects), NOTHING);
    let effects = step(&mut raft, from(2, 1, heartbeat_reply(1)));
    assert_eq!(reads(&effects), ["read-ready r1 index=1"]);
}

/// A new leader does not know what is committed before an entry of its own term is: reads wait.
#[test]
fn read_only_for_new_leader() {
    let mut raft = leader(&[1, 1, 1]);
    assert_eq!(step(&mut raft, read(1)), NOTHING);
    durable(&mut raft);
    beat(&mut raft);
    let effects = step(&mut raft, from(2, 2, heartbeat_reply(0)));
    assert_eq!(reads(&effects), NOTHING);
    step(&mut raft, from(2, 2, matched(4)));
    assert_eq!(raft.status().commit, 4);
    let effects = step(&mut raft, from(2, 2, heartbeat_reply(1)));
    assert_eq!(reads(&effects), ["read-ready r1 index=4"]);
}

/// A request that was sent twice is two reads: each has a round of its own, and the late answer
/// to the first does not confirm the second.
#[test]
fn read_only_duplicate_request() {
    let mut raft = leader(&[]);
    durable(&mut raft);
    step(&mut raft, from(2, 1, matched(1)));
    step(&mut raft, read(7));
    let effects = step(&mut raft, from(2, 1, heartbeat_reply(1)));
    assert_eq!(reads(&effects), ["read-ready r7 index=1"]);
    step(&mut raft, propose("x"));
    durable(&mut raft);
    step(&mut raft, from(2, 1, matched(2)));
    step(&mut raft, read(7));
    let effects = step(&mut raft, from(3, 1, heartbeat_reply(1)));
    assert_eq!(reads(&effects), NOTHING);
    let effects = step(&mut raft, from(3, 1, heartbeat_reply(2)));
    assert_eq!(reads(&effects), ["read-ready r7 index=2"]);
}

/// With a lease a read is ready at once.
#[test]
fn read_only_option_lease() {
    let mut raft = leader_with(true);
    assert_eq!(reads(&step(&mut raft, lease_read(1))), NOTHING, "none yet");
    let effects = step(&mut raft, from(2, 1, promise(1, 1000)));
    assert_eq!(reads(&effects), ["read-ready r1 index=1"]);
    for id in 2..7 {
        let effects = step(&mut raft, lease_read(id));
        assert_eq!(reads(&effects), [format!("read-ready r{id} index=1")]);
    }
}

/// Without check-quorum there is no lease, and each read takes a round.
#[test]
fn read_only_option_lease_without_check_quorum() {
    let mut raft = leader_with(false);
    for id in 1..4 {
        assert_eq!(reads(&step(&mut raft, lease_read(id))), NOTHING);
        let effects = step(&mut raft, from(2, 1, promise(id, 1000)));
        assert_eq!(reads(&effects), [format!("read-ready r{id} index=1")]);
    }
}

fn leader_with(check_quorum: bool) -> crate::Raft {
    let config = crate::Config {
        check_quorum,
        ..crate::testing::config(1)
    };
    let initial = crate::testing::initial(&[]);
    let raft = crate::Raft::new(config, initial, crate::Instant(0), 0);
    let mut raft = crate::testing::elect(raft);
    durable(&mut raft);
    step(&mut raft, from(2, 1, matched(1)));
    raft
}
