//! Cases of etcd-raft's `raft_test` and its neighbours that take a single node, under the names
//! they have there, so that the two lists can be laid side by side. Those of several nodes are in
//! `tests/suite/cases`.

mod flow;
mod messages;
mod reads;
mod snapshots;

use crate::testing::step;
use crate::{Input, PeerStatus, Raft, TimeoutKind};

const NOTHING: [&str; 0] = [];

/// Completes every write under way.
fn durable(raft: &mut Raft) -> Vec<String> {
    let mut effects = Vec::new();
    while let Some(id) = raft.core.writes.oldest() {
        effects.extend(step(raft, Input::Persisted { id }));
    }
    effects
}

fn beat(raft: &mut Raft) -> Vec<String> {
    let kind = TimeoutKind::Heartbeat;
    step(raft, Input::Timeout { kind, jitter: 0 })
}

/// What goes to a node, without the address.
fn sent(effects: &[String], node: u64) -> Vec<&str> {
    let prefix = format!("send n1.0->n{node}.0 ");
    let of = |effect: &'_ String| effect.starts_with(&prefix);
    let found = effects.iter().filter(|effect| of(effect));
    found.map(|effect| &effect[prefix.len()..]).collect()
}

fn peer(raft: &Raft, node: u64) -> PeerStatus {
    let peers = raft.status().peers;
    let found = peers.into_iter().find(|peer| peer.id.node.0 == node);
    found.expect("a peer of the leader")
}
