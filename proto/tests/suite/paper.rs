//! The clauses of the Raft paper that take a whole cluster; the others are in `src/paper.rs`.

use std::time::Duration;

use bytes::Bytes;
use coracle_proto::{
    Config, Configuration, Entry, EntryKind, Envelope, GroupId, HardState, Index, Input, Instant,
    Message, NodeId, Raft, Role, Term, TimeoutKind,
};

use crate::cluster::{Cluster, T, config, replica};

/// One tick of the originals, which count ten of them to a timeout.
const TICK: Duration = Duration::from_millis(100);

/// In how many of `ROUNDS` elections several of five servers time out within the same tick.
fn conflicts(role: Role) -> usize {
    const ROUNDS: u64 = 1000;
    let mut random = 7_u64;
    let mut draw = move || {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        random >> 16
    };
    let mut nodes: Vec<_> = (1..=5).map(server).collect();
    let mut conflicts = 0;
    for round in 1..=ROUNDS {
        let now = Instant(0) + T * 100 * u32::try_from(round).expect("small");
        for raft in &mut nodes {
            let kind = TimeoutKind::Election;
            let jitter = draw();
            raft.step(now, Input::Timeout { kind, jitter }, &mut Vec::new());
            if role == Role::Follower {
                raft.step(now, heartbeat(raft), &mut Vec::new());
            }
            assert_eq!(raft.role(), role);
        }
        let ticks = nodes.iter().map(|raft| {
            let (at, _) = raft.deadline().expect("a timer runs");
            at.since(now).as_nanos() / TICK.as_nanos()
        });
        let ticks: Vec<_> = ticks.collect();
        let first = ticks.iter().min();
        conflicts += usize::from(ticks.iter().filter(|tick| Some(*tick) == first).count() > 1);
    }
    conflicts
}

fn server(node: u64) -> Raft {
    let config = Config {
        pre_vote: false,
        ..config(node)
    };
    let initial = coracle_proto::Initial {
        configurations: vec![Configuration::initial((1..=5).map(NodeId))],
        ..coracle_proto::Initial::default()
    };
    Raft::new(config, initial, Instant(0), node)
}

/// From somebody who leads the term that this server is in.
fn heartbeat(raft: &Raft) -> Input {
    let status = raft.status();
    Input::Received(Envelope {
        group: GroupId(1),
        from: replica(9),
        to: status.id,
        term: status.hard_state.term,
        message: Message::Heartbeat {
            commit: 0,
            round: 0,
            lease: false,
        },
    })
}

/// In most cases a single server times out, which makes split votes rare.
#[test]
fn followers_election_timeout_nonconflict() {
    assert!(conflicts(Role::Follower) <= 300);
}

#[test]
fn candidates_election_timeout_nonconflict() {
    assert!(conflicts(Role::Candidate) <= 300);
}

/// Figure 7: whatever a follower's log is, the leader brings it to its own.
#[test]
fn leader_sync_follower_log() {
    let leads: &[Term] = &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
    let followers: [&[Term]; 6] = [
        &[1, 1, 1, 4, 4, 5, 5, 6, 6],
        &[1, 1, 1, 4],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
        &[1, 1, 1, 4, 4, 4, 4],
        &[1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
    ];
    for follows in followers {
        let mut cluster = Cluster::new(3, |node| Config {
            pre_vote: false,
            check_quorum: false,
            ..config(node)
        });
        // Node 3 has nothing, and votes for everybody.
        fill(&mut cluster, 1, leads, 8);
        fill(&mut cluster, 2, follows, 7);
        cluster.elect(1);
        cluster.propose(1, "x");
        cluster.run(T / 2);
        let log = |node: u64| cluster.nodes[&node].disk.entries.clone();
        assert_eq!(log(1).len(), leads.len() + 2);
        assert_eq!(log(2), log(1), "{follows:?}");
        assert_eq!(log(3), log(1));
    }
}

/// Restarts a node with entries of these terms on its disk.
fn fill(cluster: &mut Cluster, node: u64, terms: &[Term], term: Term) {
    let entries = (1..).zip(terms).map(|(index, term): (Index, _)| Entry {
        term: *term,
        index,
        kind: EntryKind::Normal,
        payload: Bytes::from(format!("e{term}.{index}")),
    });
    let disk = &mut cluster.node(node).disk;
    disk.entries = entries.collect();
    disk.hard_state = HardState { term, vote: None };
    cluster.restart(node);
}
