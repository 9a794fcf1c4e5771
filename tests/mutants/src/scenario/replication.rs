//! The log from leader to follower, and what is committed.

use coracle_proto::{AppendOutcome, Config, Configuration, LogId, Message, NodeId, TimeoutKind};

use super::Outcome;
use crate::cluster::{Cluster, ELECTION, replica};

fn matched(index: u64) -> Message {
    Message::AppendReply(AppendOutcome::Matched { index })
}

fn id(term: u64, index: u64) -> LogId {
    LogId { term, index }
}

/// Node 1 has two entries of term 1 that nobody else has; node 2 leads term 2 with others in
/// their place, committed with node 3.
fn forked() -> Cluster {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.isolate(1);
    cluster.propose(1, "lost 2");
    cluster.propose(1, "lost 3");
    cluster.settle();
    cluster.elect(2);
    cluster.propose(2, "kept 3");
    cluster.settle();
    cluster
}

/// Figure 3.7 of the thesis: an old entry reaches a majority, and is overwritten all the same.
pub(super) fn commit_old_term_by_count() -> Outcome {
    let one_by_one = |config: &mut Config| config.max_append_entries = 1;
    let five = Configuration::initial([1, 2, 3, 4, 5].map(NodeId));
    let mut cluster = Cluster::with(five, one_by_one);
    cluster.elect(1);
    // (a) Entry 2 of term 1 is on nodes 1 and 2.
    [3, 4, 5].iter().for_each(|node| cluster.cut(1, *node));
    cluster.propose(1, "overwritten");
    cluster.settle();
    // (b) Node 5 leads with 3 and 4, and has an entry 2 of its own that nobody gets.
    cluster.isolate(1);
    cluster.isolate(2);
    cluster.pass(2 * ELECTION);
    cluster.campaign(5);
    cluster.settle_until(|cluster| cluster.leads(5));
    cluster.isolate(5);
    cluster.settle();
    cluster.crash(1);
    // (c) Node 1 leads again with 2 and 3, and brings entry 2 to node 3, but no later one.
    cluster.heal();
    cluster.isolate(5);
    cluster.isolate(4);
    for _ in 0..2 {
        cluster.pass(2 * ELECTION);
        cluster.campaign(1);
        cluster.settle_until(|cluster| cluster.durable(3) == 2);
    }
    cluster.cut_one_way(1, 3);
    cluster.settle();
    // (d) Node 5 leads again, and knows nothing of it.
    cluster.crash(5);
    cluster.heal();
    cluster.isolate(1);
    cluster.elect(5);
    cluster.elect(5);
    cluster.verdict()
}

/// One follower acknowledges while the leader's disk hangs.
pub(super) fn commit_unsynced_leader() -> Outcome {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.hang(1, true);
    cluster.cut(1, 3);
    cluster.propose(1, "a");
    cluster.settle();
    cluster.verdict()
}

/// An append that stops short of what is committed reaches a log that forks beyond it.
pub(super) fn commit_beyond_match() -> Outcome {
    let mut cluster = forked();
    let probe = Message::Append {
        prev: id(1, 1),
        entries: Vec::new(),
        commit: 3,
    };
    cluster.tell(replica(2), replica(1), 2, probe);
    cluster.settle();
    cluster.verdict()
}

/// Both followers acknowledge while the leader's disk hangs.
pub(super) fn apply_unsynced() -> Outcome {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.hang(1, true);
    cluster.propose(1, "a");
    cluster.settle();
    cluster.verdict()
}

/// A follower's disk hangs.
pub(super) fn ack_before_sync() -> Outcome {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.hang(2, true);
    cluster.propose(1, "a");
    cluster.settle();
    cluster.verdict()
}

/// An append that stops before the fork reaches a log that forks beyond it.
pub(super) fn ack_whole_log() -> Outcome {
    let mut cluster = forked();
    cluster.heal();
    let probe = Message::Append {
        prev: id(1, 1),
        entries: Vec::new(),
        commit: 0,
    };
    cluster.tell(replica(2), replica(1), 2, probe);
    cluster.settle();
    cluster.verdict()
}

/// The next entry reaches a log that forks before it.
pub(super) fn prev_not_checked() -> Outcome {
    let mut cluster = forked();
    cluster.propose(2, "kept 4");
    cluster.settle();
    let next = Message::Append {
        prev: id(2, 3),
        entries: cluster.entry(2, 4).into_iter().collect(),
        commit: 4,
    };
    cluster.tell(replica(2), replica(1), 2, next);
    cluster.settle();
    cluster.verdict()
}

/// An old append arrives once more, after all that came later was committed.
pub(super) fn truncate_always() -> Outcome {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    for text in ["a", "b", "c"] {
        cluster.propose(1, text);
    }
    cluster.settle();
    let again = Message::Append {
        prev: id(1, 1),
        entries: cluster.entry(1, 2).into_iter().collect(),
        commit: 1,
    };
    cluster.tell(replica(1), replica(2), 1, again);
    cluster.settle();
    cluster.verdict()
}

/// A follower acknowledged entry 4 to an earlier leader; it has been overwritten since.
pub(super) fn stale_append_reply() -> Outcome {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.elect(2);
    cluster.elect(1);
    cluster.isolate(1);
    cluster.propose(1, "alone with 1");
    cluster.settle();
    let last = cluster.status(1).last.index;
    cluster.tell(replica(3), replica(1), 1, matched(last));
    cluster.verdict()
}

/// A peer with an empty log refuses an append.
pub(super) fn next_at_match() -> Outcome {
    let mut cluster = Cluster::of(3);
    cluster.isolate(3);
    for _ in 0..2 {
        cluster.elect(1);
        cluster.crash(1);
    }
    cluster.elect(1);
    cluster.heal();
    cluster.timeout(1, TimeoutKind::Heartbeat);
    cluster.settle();
    cluster.verdict()
}

/// Two logs of several terms, in which the first guess at where they meet is wrong.
pub(super) fn probe_as_match() -> Outcome {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.isolate(1);
    cluster.propose(1, "entry 2 of term 1");
    cluster.settle();
    // Node 3 leads twice, and nobody gets its entries 2 and 3.
    for _ in 0..2 {
        cluster.heal();
        cluster.isolate(1);
        cluster.pass(2 * ELECTION);
        cluster.campaign(3);
        cluster.settle_until(|cluster| cluster.leads(3));
        cluster.isolate(3);
        cluster.settle();
        cluster.crash(3);
    }
    // Node 1 leads with node 2 until its log is longer, and then meets node 3.
    cluster.heal();
    cluster.isolate(3);
    for _ in 0..6 {
        cluster.crash(1);
        cluster.elect(1);
    }
    cluster.heal();
    cluster.timeout(1, TimeoutKind::Heartbeat);
    cluster.settle();
    cluster.verdict()
}

/// Of two full voters and a witness, only the witness hears the leader, whose disk hangs.
pub(super) fn witness_first() -> Outcome {
    let mut configuration = Configuration::initial([1, 2, 3].map(NodeId));
    configuration.witnesses = [replica(3)].into();
    let mut cluster = Cluster::with(configuration, |_| {});
    cluster.elect(1);
    cluster.hang(1, true);
    cluster.cut(1, 2);
    let before = cluster.durable(3);
    cluster.propose(1, "a");
    cluster.settle();
    let after = cluster.durable(3);
    cluster.expect(
        after == before,
        "witnesses: n3 has an entry that no full voter has on its disk",
    );
    cluster.verdict()
}

/// The answer to the one append that a window admits is lost.
pub(super) fn full_window_unasked() -> Outcome {
    let configuration = Configuration::initial([1, 2, 3].map(NodeId));
    let mut cluster = Cluster::with(configuration, |config| config.max_inflight_appends = 1);
    cluster.elect(1);
    cluster.cut_one_way(2, 1);
    cluster.propose(1, "a");
    cluster.settle();
    cluster.heal();
    cluster.propose(1, "b");
    cluster.settle();
    cluster.timeout(1, TimeoutKind::Heartbeat);
    cluster.settle();
    let whole = cluster.durable(2) == cluster.durable(1);
    cluster.expect(whole, "replication: n2 never gets another entry");
    cluster.verdict()
}
