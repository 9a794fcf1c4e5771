//! Linearizable reads.

use coracle_proto::{ReadMode, TimeoutKind};

use super::Outcome;
use crate::cluster::{Cluster, ELECTION};

/// Node 1 led; now node 2 does, and has committed what node 1 knows nothing of.
fn deposed_unawares(cluster: &mut Cluster) {
    cluster.isolate(1);
    cluster.elect(2);
    cluster.propose(2, "unseen by 1");
    cluster.settle();
}

/// A deposed leader that does not know it is asked.
pub(super) fn read_without_round() -> Outcome {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    deposed_unawares(&mut cluster);
    cluster.read(1, ReadMode::Index);
    cluster.settle();
    cluster.verdict()
}

/// The answer to a heartbeat of long ago reaches a deposed leader after it was asked.
pub(super) fn read_stale_echo() -> Outcome {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.hold_up(2, 1);
    cluster.timeout(1, TimeoutKind::Heartbeat);
    cluster.settle();
    deposed_unawares(&mut cluster);
    cluster.read(1, ReadMode::Index);
    cluster.settle();
    cluster.heal();
    cluster.release();
    cluster.settle();
    cluster.verdict()
}

/// A new leader has all entries, but has not heard that the last is committed.
pub(super) fn read_before_own_commit() -> Outcome {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.propose(1, "a");
    cluster.settle_until(|cluster| cluster.status(1).commit == 2);
    cluster.isolate(1);
    cluster.pass(2 * ELECTION);
    cluster.campaign(2);
    cluster.settle_until(|cluster| cluster.leads(2));
    cluster.read(2, ReadMode::Index);
    cluster.settle();
    cluster.verdict()
}

/// A leader with a lease stands still until the lease is over and somebody else leads.
pub(super) fn lease_of_paused_clock() -> Outcome {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.read(1, ReadMode::Lease);
    cluster.settle();
    deposed_unawares(&mut cluster);
    cluster.read(1, ReadMode::Lease);
    cluster.verdict()
}

/// A leader with a lease hands over, and hears no more of it.
pub(super) fn lease_kept_on_transfer() -> Outcome {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.read(1, ReadMode::Lease);
    cluster.settle();
    cluster.transfer(1, 2);
    cluster.cut_one_way(2, 1);
    cluster.cut_one_way(3, 1);
    cluster.settle();
    cluster.propose(2, "unseen by 1");
    cluster.settle();
    cluster.read(1, ReadMode::Lease);
    cluster.verdict()
}

/// A leader that is asked and cannot make sure hears of the next one.
pub(super) fn read_refusal_dropped() -> Outcome {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.isolate(1);
    cluster.read(1, ReadMode::Index);
    cluster.elect(2);
    cluster.heal();
    cluster.timeout(2, TimeoutKind::Heartbeat);
    cluster.settle();
    let waits = cluster.read_waits();
    cluster.expect(!waits, "answers: whoever asked n1 waits for ever");
    cluster.verdict()
}
