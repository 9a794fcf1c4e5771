//! A leader with a peer that needs a snapshot.

use super::{NOTHING, durable, peer, sent};
use crate::testing::{
    config, elect, from, heartbeat_reply, id, initial, matched, propose, rejected, replica, step,
};
use crate::{Initial, Input, Instant, ProgressState, Raft, SnapshotMeta};

/// A leader whose log begins after entry 11, and whose peer 2 needs what is before it.
fn sending() -> Raft {
    let base = initial(&[]);
    let configuration = base.configurations[0].clone();
    let last = id(1, 11);
    let compacted = Initial {
        hard_state: crate::HardState {
            term: 1,
            vote: None,
        },
        floor: last,
        snapshot: Some(SnapshotMeta {
            last,
            configuration,
        }),
        last: 11,
        ..base
    };
    let mut raft = elect(Raft::new(config(1), compacted, Instant(0), 0));
    durable(&mut raft);
    let effects = step(&mut raft, from(2, 2, rejected(11, id(0, 0))));
    assert_eq!(effects, ["send-snapshot n2.0"]);
    assert_eq!(peer(&raft, 2).state, ProgressState::Snapshot);
    raft
}

/// As long as it is on its way nothing else is sent.
#[test]
fn pending_snapshot_pause_replication() {
    let mut raft = sending();
    assert_eq!(sent(&step(&mut raft, propose("somedata")), 2), NOTHING);
    let effects = step(&mut raft, from(2, 2, heartbeat_reply(0)));
    assert_eq!(sent(&effects, 2), NOTHING);
}

/// After a failure the peer is asked, at the next sign of life, where it stands.
#[test]
fn snapshot_failure() {
    let mut raft = sending();
    let (to, delivered) = (replica(2), false);
    step(&mut raft, Input::SnapshotSent { to, delivered });
    let now = peer(&raft, 2);
    assert_eq!((now.state, now.matched), (ProgressState::Probe, 0));
    assert_eq!(sent(&step(&mut raft, propose("x")), 2), NOTHING, "paused");
    let effects = step(&mut raft, from(2, 2, heartbeat_reply(0)));
    assert_eq!(sent(&effects, 2).len(), 1);
}

/// After a success it is probed behind the snapshot.
#[test]
fn snapshot_succeed() {
    let mut raft = sending();
    let (to, delivered) = (replica(2), true);
    step(&mut raft, Input::SnapshotSent { to, delivered });
    let now = peer(&raft, 2);
    assert_eq!((now.state, now.next), (ProgressState::Probe, 12));
}

/// An answer that reaches the log ends the snapshot, whatever became of its transfer.
#[test]
fn snapshot_abort() {
    let mut raft = sending();
    let effects = step(&mut raft, from(2, 2, matched(11)));
    assert_eq!(sent(&effects, 2).len(), 1, "the entries behind it");
    let now = peer(&raft, 2);
    assert_eq!(now.state, ProgressState::Replicate);
    assert_eq!((now.matched, now.next), (11, 13));
}
