//! Replication and commitment.

use bytes::Bytes;
use coracle_proto::{Effect, Index, LogId, Message, Role, Term};

use super::{
    at_term, beat, campaign, commit, committed, cut, envelope, fill, ids, isolate, log, plain,
    role, term,
};
use crate::cluster::{Cluster, T};

#[test]
fn log_replication() {
    let mut cluster = Cluster::new(3, plain);
    cluster.elect(1);
    cluster.propose(1, "a");
    cluster.settle();
    campaign(&mut cluster, 2);
    cluster.propose(2, "b");
    cluster.settle();
    for node in 1..=3 {
        assert_eq!(commit(&cluster, node), 4, "n{node}");
        let payloads: Vec<_> = committed(&cluster, node).into_values().collect();
        assert_eq!(payloads, ["a", "b"], "n{node}");
    }
}

#[test]
fn single_node_commit() {
    let mut cluster = Cluster::new(1, plain);
    cluster.elect(1);
    cluster.propose(1, "a");
    cluster.propose(1, "b");
    cluster.settle();
    assert_eq!(commit(&cluster, 1), 3);
}

/// Nodes 1 and 2 hold two entries that the others never got; 1 led, 2 leads now.
fn uncommitted_entries_of_an_older_term() -> Cluster {
    let mut cluster = Cluster::new(5, plain);
    cluster.elect(1);
    cut(&mut cluster, &[(1, 3), (1, 4), (1, 5)]);
    cluster.propose(1, "a");
    cluster.propose(1, "b");
    cluster.settle();
    assert_eq!(commit(&cluster, 1), 1);
    cluster.heal();
    cluster
}

/// A new leader that cannot replicate an entry of its own term commits nothing, though a majority
/// holds the older ones.
#[test]
fn cannot_commit_without_new_term_entry() {
    let mut cluster = uncommitted_entries_of_an_older_term();
    super::campaign_only(&mut cluster, 2);
    for _ in 0..1000 {
        // The no-op of term 2 reaches nobody, what is before it does.
        for envelope in &mut cluster.network {
            if let Message::Append { entries, .. } = &mut envelope.message {
                entries.retain(|entry| entry.term < 2);
            }
        }
        let wrote = (1..=5).filter(|node| cluster.persist_one(*node)).count();
        if !cluster.deliver_one() && wrote == 0 {
            break;
        }
    }
    assert_eq!(role(&cluster, 2), Role::Leader);
    assert_eq!(log(&cluster, 5), ids(&[1, 1, 1]), "everybody has them");
    assert_eq!(commit(&cluster, 2), 1);

    cluster.propose(2, "after");
    beat(&mut cluster, 2);
    cluster.run(T / 2);
    assert_eq!(commit(&cluster, 2), 5);
}

/// With an entry of its own term all of them are committed.
#[test]
fn commit_without_new_term_entry() {
    let mut cluster = uncommitted_entries_of_an_older_term();
    campaign(&mut cluster, 2);
    assert_eq!(commit(&cluster, 2), 4);
}

/// What is proposed is committed where a majority can be reached, and refused where nobody leads.
#[test]
fn proposal() {
    let cases: [(u64, &[u64], bool); 5] = [
        (3, &[], true),
        (3, &[3], true),
        (3, &[2, 3], false),
        (4, &[2, 3], false),
        (5, &[2, 3], true),
    ];
    for (size, down, succeeds) in cases {
        let mut cluster = Cluster::new(size, plain);
        for node in down {
            cluster.node(*node).down = true;
        }
        campaign(&mut cluster, 1);
        cluster.propose(1, "somedata");
        cluster.settle();
        let expected = if succeeds { 2 } else { 0 };
        assert_eq!(commit(&cluster, 1), expected, "{size} without {down:?}");
        assert_eq!(term(&cluster, 1), 1);
    }
}

/// A follower names the leader, to whom the driver sends the proposal on.
#[test]
fn proposal_by_proxy() {
    let mut cluster = Cluster::new(3, plain);
    cluster.elect(1);
    cluster.propose(2, "somedata");
    let refused = cluster.node(2).events.pop();
    let Some(Effect::Refused {
        reason, payload, ..
    }) = refused
    else {
        panic!("{refused:?}");
    };
    assert_eq!(reason.to_string(), "not the leader, n1.0 is");
    assert_eq!(payload, Bytes::from("somedata"), "given back");
    cluster.propose(1, "somedata");
    cluster.settle();
    assert!((1..=3).all(|node| commit(&cluster, node) == 2));
}

/// Which index is committed: what a majority holds, if it is of the leader's term.
#[test]
fn commit_table() {
    let cases: [(&[Index], &[Term], Term, Index); 12] = [
        (&[1], &[1], 1, 1),
        (&[1], &[1], 2, 0),
        (&[2], &[1, 2], 2, 2),
        (&[1], &[2], 2, 1),
        (&[2, 1, 1], &[1, 2], 1, 1),
        (&[2, 1, 1], &[1, 1], 2, 0),
        (&[2, 1, 2], &[1, 2], 2, 2),
        (&[2, 1, 2], &[1, 1], 2, 0),
        (&[2, 1, 1, 1], &[1, 2], 1, 1),
        (&[2, 1, 1, 1], &[1, 1], 2, 0),
        (&[2, 1, 2, 2], &[1, 2], 2, 2),
        (&[2, 1, 2, 2], &[1, 1], 2, 0),
    ];
    for (matches, log, term, expected) in cases {
        let voters: std::collections::BTreeSet<_> = (0..matches.len()).collect();
        let index = coracle_proto::quorum::majority_committed(&voters, |at| Some(matches[*at]));
        let of_term = index.checked_sub(1).and_then(|at| usize::try_from(at).ok());
        let counts = of_term.and_then(|at| log.get(at)) == Some(&term);
        assert_eq!(
            if counts { index } else { 0 },
            expected,
            "{matches:?} {log:?}"
        );
    }
}

/// Messages of an older term are not taken.
#[test]
fn old_messages() {
    let mut cluster = Cluster::new(3, plain);
    for node in [1, 2, 1] {
        campaign(&mut cluster, node);
    }
    assert_eq!(term(&cluster, 1), 3);
    // An append that node 2 sent as the leader of term 2.
    let entries = cluster.nodes[&2].disk.entries[1..].to_vec();
    let late = Message::Append {
        prev: LogId { term: 1, index: 1 },
        entries,
        commit: 2,
    };
    cluster.deliver(envelope(2, 1, 2, late));
    cluster.settle();
    cluster.propose(1, "somedata");
    cluster.settle();
    for node in 1..=3 {
        assert_eq!(log(&cluster, node), ids(&[1, 2, 3, 3]), "n{node}");
        assert_eq!(commit(&cluster, node), 4);
    }
}

/// Log Matching by hand: the leader finds where the logs meet in one round trip per term, not per
/// entry.
#[test]
fn fast_log_rejection() {
    let cases: [(&[Term], &[Term], usize); 5] = [
        // The follower has a long tail of an older term.
        (
            &[1, 2, 2, 4, 4, 4, 4],
            &[1, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3],
            1,
        ),
        // The leader has.
        (&[1, 3, 3, 3, 5, 5, 5, 5, 5], &[1, 3, 3, 3, 4, 4], 1),
        // The follower is simply short.
        (&[1, 1, 1, 1, 1, 1, 1, 1, 1], &[1, 1], 1),
        // Nothing in common.
        (&[4, 4, 4, 4, 4, 4], &[1, 1, 1, 2, 2, 3, 3], 1),
        // Terms in turn.
        (&[1, 3, 5, 7, 9], &[1, 2, 4, 6, 8], 4),
    ];
    for (leads, follows, rejections) in cases {
        let mut cluster = Cluster::new(3, plain);
        fill(&mut cluster, 1, leads, at_term(10));
        fill(&mut cluster, 2, follows, at_term(10));
        fill(&mut cluster, 3, &[], at_term(10));
        super::campaign_only(&mut cluster, 1);
        cluster.settle();
        assert_eq!(role(&cluster, 1), Role::Leader);
        let rejected = |line: &&String| line.starts_with("n2.0->n1.0") && line.contains("rejected");
        let found = cluster.trace.iter().filter(rejected).count();
        assert!(
            found <= rejections,
            "{found} rejections: {leads:?} {follows:?}"
        );
        assert_eq!(log(&cluster, 2), log(&cluster, 1));
    }
}

/// Appends that overtake each other are sorted out without going back to probing for good.
#[test]
fn log_replication_with_reordered_message() {
    let mut cluster = Cluster::new(3, plain);
    cluster.elect(1);
    for payload in ["a", "b", "c", "d"] {
        cluster.propose(1, payload);
    }
    while cluster.persist_one(1) {}
    let mut reversed: Vec<_> = cluster.network.drain(..).collect();
    reversed.reverse();
    cluster.network = reversed.into();
    cluster.settle();
    beat(&mut cluster, 1);
    for node in 1..=3 {
        assert_eq!(log(&cluster, node), ids(&[1; 5]), "n{node}");
        assert_eq!(commit(&cluster, node), 5);
    }
    let peers = cluster.nodes[&1].raft.status().peers;
    let pipelined = |p: &coracle_proto::PeerStatus| {
        (p.matched, p.state) == (5, coracle_proto::ProgressState::Replicate)
    };
    assert!(peers.iter().all(pipelined), "{peers:?}");
}

/// Everybody steps down for a higher term in any message.
#[test]
fn all_server_stepdown() {
    let last = LogId::default();
    let vote = Message::Vote {
        kind: coracle_proto::VoteKind::Real,
        last,
    };
    let append = Message::Append {
        prev: last,
        entries: Vec::new(),
        commit: 0,
    };
    for (message, follows) in [(vote, None), (append, Some(2))] {
        for leads in [false, true] {
            let mut cluster = Cluster::new(3, plain);
            if leads {
                cluster.elect(1);
            } else {
                isolate(&mut cluster, 1);
                campaign(&mut cluster, 1);
                cluster.heal();
            }
            cluster.deliver(envelope(2, 1, 3, message.clone()));
            assert_eq!((role(&cluster, 1), term(&cluster, 1)), (Role::Follower, 3));
            assert_eq!(super::leader(&cluster, 1), follows);
        }
    }
}

/// A candidate whose term is behind takes that of the leader it hears.
#[test]
fn candidate_reset_term_msg_heartbeat() {
    let mut cluster = Cluster::new(3, plain);
    cluster.elect(1);
    isolate(&mut cluster, 3);
    campaign(&mut cluster, 2);
    campaign(&mut cluster, 1);
    // Node 3 times out once, and is behind by one term.
    campaign(&mut cluster, 3);
    assert_eq!((role(&cluster, 3), term(&cluster, 3)), (Role::Candidate, 2));
    assert_eq!(term(&cluster, 1), 3);
    cluster.heal();
    beat(&mut cluster, 1);
    assert_eq!((role(&cluster, 3), term(&cluster, 3)), (Role::Follower, 3));
}
