//! Bugs that other implementations had, each as a test whose header tells symptom, cause and cure.
//! The numbers are those of the list in the project's research on Raft; the ones that take several
//! replicas are in `tests/suite/pitfalls.rs`.

mod liveness;
mod reads;
mod safety;

use crate::testing::{
    append, config, elect, entry, follower, from, heartbeat, heartbeat_reply, id, initial, leader,
    matched, persisted, propose, read, rejected, replica, step, step_at, vote, vote_reply,
};
use crate::{
    Config, Configuration, Entry, EntryKind, Envelope, GroupId, HardState, Initial, Input, Instant,
    Message, NodeId, ProgressState, Raft, ReplicaId, Role, SnapshotMeta, TimeoutKind, VoteKind,
};

const NOTHING: [&str; 0] = [];

fn timeout(kind: TimeoutKind) -> Input {
    Input::Timeout { kind, jitter: 0 }
}

/// Node 1 of three with pre-vote and check-quorum.
fn careful(initial: Initial) -> Raft {
    let config = Config {
        pre_vote: true,
        check_quorum: true,
        ..config(1)
    };
    Raft::new(config, initial, Instant(0), 0)
}

fn alone() -> Initial {
    let mut initial = initial(&[]);
    initial.configurations = vec![Configuration::initial([NodeId(1)])];
    initial
}

fn snapshot(term: u64, index: u64, configuration: Configuration) -> Message {
    let last = id(term, index);
    Message::Snapshot {
        meta: SnapshotMeta {
            last,
            configuration,
        },
    }
}

fn sends(effects: &[String]) -> Vec<&String> {
    effects.iter().filter(|e| e.starts_with("send ")).collect()
}

/// Check-quorum, but no pre-vote, so that it can be elected in one round.
fn careful_leader() -> Raft {
    let config = Config {
        check_quorum: true,
        ..config(1)
    };
    Raft::new(config, initial(&[1]), Instant(0), 0)
}
