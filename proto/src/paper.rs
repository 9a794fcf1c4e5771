//! The clauses of the Raft paper, each as a test under the name it has in etcd-raft's
//! `raft_paper_test`, so that the two lists can be laid side by side. Those that take a whole
//! cluster are in `tests/suite/paper.rs`.

mod elections;
mod replication;
mod terms;
mod votes;

use crate::testing::{config, initial, step};
use crate::{Configuration, Initial, Input, Instant, NodeId, Raft, Term, TimeoutKind};

/// Node 1 of a group of this size, with a log of entries of these terms.
fn of(size: u64, terms: &[Term]) -> Raft {
    let initial = Initial {
        configurations: vec![Configuration::initial((1..=size).map(NodeId))],
        ..initial(terms)
    };
    Raft::new(config(1), initial, Instant(0), 0)
}

fn timeout() -> Input {
    let kind = TimeoutKind::Election;
    Input::Timeout { kind, jitter: 0 }
}

fn beat() -> Input {
    let kind = TimeoutKind::Heartbeat;
    Input::Timeout { kind, jitter: 0 }
}

/// Completes every write under way; what that leads to, as lines.
fn durable(raft: &mut Raft) -> Vec<String> {
    let mut effects = Vec::new();
    while let Some(id) = raft.core.writes.oldest() {
        effects.extend(step(raft, Input::Persisted { id }));
    }
    effects
}

fn sends(effects: &[String]) -> Vec<&str> {
    let sends = effects.iter().filter_map(|e| e.strip_prefix("send n1.0->"));
    sends.collect()
}
