//! Snapshots that a leader sends.

use std::path::Path;
use std::sync::Arc;

use coracle_driver::{Section, SnapshotError, Snapshots};
use coracle_log::{MemoryDisk, SnapshotFiles};
use coracle_proto::{Change, GroupId, Index, LogId, Message, NodeId, TimeoutKind, Transition};

use super::Outcome;
use crate::cluster::{Cluster, born};

/// A change of members reaches a follower in a snapshot only.
pub(super) fn snapshot_keeps_configuration() -> Outcome {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.isolate(3);
    cluster.change(1, &[Change::Learner(NodeId(4))], Transition::Auto);
    cluster.propose(1, "a");
    cluster.settle();
    catch_up(&mut cluster, 3);
    let (ours, theirs) = (cluster.status(3), cluster.status(1));
    let same = ours.configuration.index == theirs.configuration.index;
    cluster.expect(
        same,
        "configurations: n3 has missed the one in the snapshot",
    );
    cluster.verdict()
}

/// A follower with a long fork gets a snapshot that ends below the fork's end, and restarts.
pub(super) fn snapshot_keeps_tail() -> Outcome {
    let mut cluster = Cluster::of(3);
    cluster.elect(3);
    cluster.isolate(3);
    for text in ["a", "b", "c", "d", "e", "f"] {
        cluster.propose(3, text);
    }
    cluster.settle();
    cluster.elect(1);
    cluster.propose(1, "x");
    cluster.settle();
    catch_up(&mut cluster, 3);
    cluster.crash(3);
    cluster.timeout(3, TimeoutKind::Election);
    cluster.settle();
    cluster.verdict()
}

/// Node 1 leads and has compacted its log; `node` comes back.
fn catch_up(cluster: &mut Cluster, node: u64) {
    let last = cluster.status(1).commit;
    cluster.compact(1, last);
    cluster.heal();
    reach(cluster, node, last);
}

/// Node 1 leads, and feeds `node` until it has everything up to `last`.
fn reach(cluster: &mut Cluster, node: u64, last: Index) {
    for _ in 0..3 {
        cluster.timeout(1, TimeoutKind::Heartbeat);
        cluster.settle();
    }
    let there = cluster.status(node).commit >= last;
    cluster.expect(there, "catching up: the snapshot never arrives");
}

/// A node is added that the leader's snapshot does not know of.
pub(super) fn snapshot_for_members_only() -> Outcome {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.propose(1, "a");
    cluster.settle();
    let last = cluster.status(1).commit;
    cluster.compact(1, last);
    cluster.host(born(4, last + 1));
    cluster.change(1, &[Change::Learner(NodeId(4))], Transition::Auto);
    cluster.settle();
    reach(&mut cluster, 4, last);
    cluster.verdict()
}

/// A snapshot is lost on its way.
pub(super) fn snapshot_offered_once() -> Outcome {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.isolate(3);
    cluster.propose(1, "a");
    cluster.settle();
    let last = cluster.status(1).commit;
    cluster.compact(1, last);
    cluster.heal();
    cluster.timeout(1, TimeoutKind::Heartbeat);
    let is_snapshot = |message: &Message| matches!(message, Message::Snapshot { .. });
    cluster.settle_until(|cluster| cluster.carries(is_snapshot));
    cluster.isolate(3);
    cluster.settle();
    cluster.heal();
    reach(&mut cluster, 3, last);
    cluster.verdict()
}

/// A byte of a snapshot file changes on its way.
pub(super) fn snapshot_not_verified() -> Outcome {
    let broken = |error: SnapshotError| format!("harness: {error}");
    let disk = Arc::new(MemoryDisk::new());
    let files = SnapshotFiles::open(disk, Path::new("snapshots")).map_err(broken)?;
    let (group, last) = (GroupId(1), LogId { term: 1, index: 9 });
    let mut writer = files.create(group, last, b"header").map_err(broken)?;
    writer.write(Section::State, &[7; 5000]).map_err(broken)?;
    let digest = writer.finish().map_err(broken)?;
    let mut reader = files.open(group, last, &digest).map_err(broken)?;
    let mut bytes = vec![0; reader.file_len() as usize];
    reader.read_raw(0, &mut bytes).map_err(broken)?;
    bytes[2000] ^= 1;
    let mut receiver = files.receive(group).map_err(broken)?;
    receiver.write(&bytes).map_err(broken)?;
    match receiver.finish(None) {
        Err(SnapshotError::Damaged { .. }) => Ok(()),
        other => Err(format!("snapshot files: a damaged one is taken: {other:?}")),
    }
}
