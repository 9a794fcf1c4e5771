//! Cases of etcd-raft's `raft_test` that take several nodes, under the names they have there, so
//! that the two lists can be laid side by side. Those of a single node are in `src/cases.rs`.

mod elections;
mod learners;
mod membership;
mod prevote;
mod quorum;
mod replication;
mod snapshots;
mod transfer;

use std::collections::BTreeMap;

use bytes::Bytes;
use coracle_proto::{
    Config, Entry, EntryKind, Envelope, HardState, Index, Input, LogId, Role, Term, TimeoutKind,
};

use crate::cluster::{Cluster, config, replica};

/// Neither pre-vote nor check-quorum.
fn plain(node: u64) -> Config {
    Config {
        pre_vote: false,
        check_quorum: false,
        ..config(node)
    }
}

fn with_pre_vote(node: u64) -> Config {
    Config {
        pre_vote: true,
        ..plain(node)
    }
}

fn with_check_quorum(node: u64) -> Config {
    Config {
        check_quorum: true,
        ..plain(node)
    }
}

/// Restarts a node with a log of entries of these terms, in this term.
fn fill(cluster: &mut Cluster, node: u64, terms: &[Term], hard_state: HardState) {
    let entries = (1..).zip(terms).map(|(index, term): (Index, _)| Entry {
        term: *term,
        index,
        kind: EntryKind::Normal,
        payload: Bytes::from(format!("e{term}.{index}")),
    });
    let disk = &mut cluster.node(node).disk;
    disk.entries = entries.collect();
    disk.hard_state = hard_state;
    cluster.restart(node);
}

fn at_term(term: Term) -> HardState {
    HardState { term, vote: None }
}

/// Campaigns, and lets everything happen that follows.
fn campaign(cluster: &mut Cluster, node: u64) {
    campaign_only(cluster, node);
    cluster.settle();
}

fn campaign_only(cluster: &mut Cluster, node: u64) {
    let jitter = cluster.next_jitter();
    cluster.step(node, Input::Campaign { jitter });
}

fn beat(cluster: &mut Cluster, node: u64) {
    let kind = TimeoutKind::Heartbeat;
    cluster.step(node, Input::Timeout { kind, jitter: 0 });
    cluster.settle();
}

fn role(cluster: &Cluster, node: u64) -> Role {
    cluster.nodes[&node].raft.role()
}

fn term(cluster: &Cluster, node: u64) -> Term {
    cluster.nodes[&node].raft.status().hard_state.term
}

fn commit(cluster: &Cluster, node: u64) -> Index {
    cluster.nodes[&node].raft.status().commit
}

fn leader(cluster: &Cluster, node: u64) -> Option<u64> {
    cluster.nodes[&node].raft.leader().map(|id| id.node.0)
}

fn roles(cluster: &Cluster) -> Vec<Role> {
    let nodes = cluster.nodes.values();
    nodes.map(|node| node.raft.role()).collect()
}

fn terms(cluster: &Cluster) -> Vec<Term> {
    let nodes = cluster.nodes.values();
    nodes.map(|n| n.raft.status().hard_state.term).collect()
}

/// The entries of a node's disk, by identity.
fn log(cluster: &Cluster, node: u64) -> Vec<LogId> {
    let entries = cluster.nodes[&node].disk.entries.iter();
    entries.map(Entry::id).collect()
}

fn ids(terms: &[Term]) -> Vec<LogId> {
    let ids = (1..).zip(terms);
    ids.map(|(index, term)| LogId { term: *term, index })
        .collect()
}

/// Cuts the connections between these pairs.
fn cut(cluster: &mut Cluster, pairs: &[(u64, u64)]) {
    for (a, b) in pairs {
        cluster.cut.insert((*a, *b));
        cluster.cut.insert((*b, *a));
    }
}

fn isolate(cluster: &mut Cluster, node: u64) {
    cluster.isolate(node);
}

/// The committed payloads of a node.
fn committed(cluster: &Cluster, node: u64) -> BTreeMap<Index, Bytes> {
    let state = &cluster.nodes[&node];
    let commit = state.raft.status().commit;
    let entries = state.disk.entries.iter();
    let entries = entries.filter(|e| e.index <= commit && e.kind == EntryKind::Normal);
    entries.map(|e| (e.index, e.payload.clone())).collect()
}

fn envelope(from: u64, to: u64, term: Term, message: coracle_proto::Message) -> Envelope {
    Envelope {
        group: coracle_proto::GroupId(1),
        from: replica(from),
        to: replica(to),
        term,
        message,
    }
}
