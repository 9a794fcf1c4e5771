//! Snapshots of one group: sending, installing, and the floor that rises below them.

use std::collections::{BTreeMap, VecDeque};

use coracle_proto::{
    Envelope, HardState, Index, Input, LogId, Message, PersistId, ReplicaId, SnapshotMeta, Term,
};

use crate::task::Task;
use crate::{Floor, SnapshotRef, WriteKind};

use super::super::SendSnapshot;
use super::super::turn::is_own;
use super::{Group, ReplicaKind, Turn};

/// Which snapshots a group has and what is being done with them.
#[derive(Debug, Default)]
pub(super) struct Snapshotting {
    /// The newest one of this replica's state.
    newest: Option<SnapshotRef>,
    /// The one the durable floor names.
    durable: Option<SnapshotRef>,
    /// The floor that was last asked for.
    floor: Index,
    /// Received, and not yet wanted by the core.
    arrived: Option<SnapshotRef>,
    /// Floor rows on their way to the disk.
    installing: BTreeMap<PersistId, SnapshotRef>,
    compacting: VecDeque<(PersistId, LogId, Option<SnapshotRef>)>,
    /// Asked for, but there was none or the peer is down.
    unsent: Vec<ReplicaId>,
    /// Floor rows of a witness on their way to the disk.
    installing_bare: BTreeMap<PersistId, SnapshotMeta>,
}

impl Snapshotting {
    pub(super) fn recovered(floor: Floor) -> Self {
        Self {
            newest: floor.snapshot.clone(),
            durable: floor.snapshot,
            floor: floor.last.index,
            ..Self::default()
        }
    }

    pub(super) fn newest(&self) -> Option<&SnapshotRef> {
        self.newest.as_ref()
    }

    /// The floor that was last asked for.
    pub(super) fn floor(&self) -> Index {
        self.floor
    }

    pub(super) fn installing_bare(&mut self, id: PersistId, meta: SnapshotMeta) {
        self.installing_bare.insert(id, meta);
    }

    /// Every snapshot whose file is still needed: a floor row on its way to the disk may be the last
    /// that gets there.
    fn needed(&self) -> Vec<SnapshotRef> {
        let mut needed: Vec<SnapshotRef> = Vec::new();
        let all = self.durable.iter().chain(&self.newest).chain(&self.arrived);
        let named = self.compacting.iter().flat_map(|(_, _, named)| named);
        for snapshot in all.chain(self.installing.values()).chain(named) {
            if !needed.contains(snapshot) {
                needed.push(snapshot.clone());
            }
        }
        needed
    }
}

impl Group {
    /// Whether a snapshot of a peer would be of use.
    pub(in super::super) fn wants_snapshot(&self, to: ReplicaId, term: Term, last: LogId) -> bool {
        self.stopped.is_none() && to == self.replica && self.raft.wants_snapshot(term, last)
    }

    /// A leader's snapshot is durable here: the core decides what it is good for.
    pub(in super::super) fn snapshot_arrived(
        &mut self,
        turn: &mut Turn<'_>,
        from: ReplicaId,
        to: ReplicaId,
        term: Term,
        snapshot: SnapshotRef,
    ) {
        let meta = meta(&snapshot);
        self.snapshots.arrived = Some(snapshot);
        let envelope = Envelope {
            group: self.id,
            from,
            to,
            term,
            message: Message::Snapshot { meta },
        };
        self.step(turn, Input::Received(envelope));
        if self.snapshots.arrived.take().is_some() {
            self.retain(turn);
        }
    }

    pub(super) fn send_snapshot(&mut self, turn: &mut Turn<'_>, to: ReplicaId) {
        let newest = self.snapshots.newest.clone();
        match newest.filter(|_| !turn.shared.down.contains(&to.node)) {
            Some(snapshot) => turn.out.snapshots.push(SendSnapshot {
                group: self.id,
                from: self.replica,
                to,
                term: self.term,
                snapshot,
            }),
            None => self.snapshots.unsent.push(to),
        }
    }

    /// Tells the core of snapshots that could not be sent. Done when a timer fires, so that
    /// the next attempt is a heartbeat away.
    pub(super) fn give_up_snapshots(&mut self, turn: &mut Turn<'_>) {
        for to in std::mem::take(&mut self.snapshots.unsent) {
            let delivered = false;
            self.step(turn, Input::SnapshotSent { to, delivered });
        }
    }

    pub(super) fn install(
        &mut self,
        turn: &mut Turn<'_>,
        id: PersistId,
        hard_state: Option<HardState>,
        meta: &SnapshotMeta,
        truncate: bool,
    ) {
        let arrived = self.snapshots.arrived.take();
        if arrived.is_none() && self.kind != ReplicaKind::Full {
            self.install_bare(turn, id, hard_state, meta, truncate);
            return;
        }
        let Some(snapshot) = arrived.filter(|snapshot| snapshot.last == meta.last) else {
            let last = meta.last;
            self.stop(
                turn,
                format!("the core installs snapshot {last}, which is not here"),
            );
            return;
        };
        self.set_kind(turn, ReplicaKind::Full);
        self.snapshots.installing.insert(id, snapshot.clone());
        self.raise(meta.last.index, truncate);
        let floor = Floor {
            last: meta.last,
            configuration: meta.configuration.clone(),
            snapshot: Some(snapshot),
        };
        let kind = WriteKind::Install {
            hard_state,
            floor,
            truncate,
        };
        self.write(turn, Some(id), kind);
    }

    /// The log begins above a snapshot.
    pub(super) fn raise(&mut self, index: Index, truncate: bool) {
        self.snapshots.floor = index;
        self.last = match truncate {
            true => index,
            false => self.last.max(index),
        };
    }

    /// What a snapshot covers is committed.
    fn installed(&mut self, turn: &mut Turn<'_>, meta: SnapshotMeta) {
        self.commit = self.commit.max(meta.last.index);
        if meta.configuration.index > self.committed.index {
            self.configuration_committed(turn, meta.configuration);
        }
        self.settle_changes(turn);
        self.forget_as_witness(turn);
    }

    /// A write is durable.
    pub(in super::super) fn persisted(&mut self, turn: &mut Turn<'_>, id: PersistId) {
        if is_own(id) {
            self.compacted(turn, id);
            return;
        }
        if let Some(snapshot) = self.snapshots.installing.remove(&id) {
            // Before anything above it is committed.
            let task = Task::Install {
                snapshot: snapshot.clone(),
            };
            self.task(turn, task);
            self.installed(turn, meta(&snapshot));
            self.snapshots.newest = Some(snapshot.clone());
            self.snapshots.durable = Some(snapshot);
            self.retain(turn);
        }
        if let Some(meta) = self.snapshots.installing_bare.remove(&id) {
            self.installed(turn, meta);
        }
        self.step(turn, Input::Persisted { id });
    }

    /// The worker has taken a checkpoint whose file is durable: the floor may rise below it.
    pub(in super::super) fn checkpointed(&mut self, turn: &mut Turn<'_>, snapshot: SnapshotRef) {
        self.checkpoint.taken(snapshot.last.index);
        self.suspended = None;
        let newest = self.snapshots.newest.as_ref();
        let newest = newest.map_or(0, |newest| newest.last.index);
        // One that is not committed here is that of an earlier replica.
        let foreign = snapshot.last.index > self.commit;
        if foreign || snapshot.last.index <= newest.max(self.snapshots.floor) {
            self.retain(turn);
            return;
        }
        self.snapshots.newest = Some(snapshot.clone());
        if let Some(floor) = self.floor_below(turn, snapshot) {
            self.compact(turn, floor);
        }
    }

    /// What was to be sent is damaged here. A follower that needs it would wait until enough was
    /// written for the next checkpoint, and in a group at rest for ever.
    pub(in super::super) fn snapshot_damaged(&mut self, last: LogId) {
        let newest = self.snapshots.newest.as_ref();
        if newest.is_some_and(|newest| newest.last == last) {
            self.checkpoint.report(false);
        }
    }

    /// A peer's snapshot is here in place of one that was lost: the very same, or a newer one that
    /// the log matches. The worker restores from it; anything else is of no use.
    pub(in super::super) fn snapshot_fetched(
        &mut self,
        turn: &mut Turn<'_>,
        snapshot: SnapshotRef,
    ) {
        let last = snapshot.last;
        let newest = self.snapshots.newest.clone();
        let same = newest
            .as_ref()
            .is_some_and(|newest| (newest.last, newest.digest) == (last, snapshot.digest));
        let newer = newest.is_none_or(|newest| newest.last.index < last.index);
        let fits = newer && self.raft.term_at(last.index) == Some(last.term);
        if !same && !fits {
            self.retain(turn);
            return;
        }
        if newer && last.index > self.snapshots.floor {
            self.snapshots.newest = Some(snapshot.clone());
            if let Some(floor) = self.floor_below(turn, snapshot.clone()) {
                self.compact(turn, floor);
            }
        }
        turn.task(self.id, Task::Install { snapshot });
    }

    fn floor_below(&self, turn: &Turn<'_>, snapshot: SnapshotRef) -> Option<Floor> {
        let covered = snapshot.last.index;
        let (entries, bytes) = (turn.config.retained_entries, turn.config.retained_bytes);
        let index = self.tail.floor(covered, entries, bytes);
        let index = index.clamp(self.snapshots.floor, covered);
        let term = self.raft.term_at(index)?;
        let configuration = self.raft.configuration_at(index)?.clone();
        Some(Floor {
            last: LogId { term, index },
            configuration,
            snapshot: Some(snapshot),
        })
    }

    pub(super) fn compact(&mut self, turn: &mut Turn<'_>, floor: Floor) {
        let id = turn.shared.own_id();
        let pending = (id, floor.last, floor.snapshot.clone());
        self.snapshots.compacting.push_back(pending);
        self.snapshots.floor = floor.last.index;
        self.tail.compact(floor.last.index);
        self.write(turn, Some(id), WriteKind::Compact { floor });
    }

    /// A floor row is durable: the core forgets what is below, and older files may go.
    fn compacted(&mut self, turn: &mut Turn<'_>, id: PersistId) {
        let at = self
            .snapshots
            .compacting
            .iter()
            .position(|(own, ..)| *own == id);
        let Some((_, floor, snapshot)) = at.and_then(|at| self.snapshots.compacting.remove(at))
        else {
            return;
        };
        let Some(snapshot) = snapshot else {
            self.compacted_bare(turn, floor);
            return;
        };
        let mut installed = self.snapshots.installing.values();
        let overtaken = installed.any(|installed| installed.last.index >= floor.index);
        self.snapshots.durable = Some(snapshot.clone());
        if !overtaken {
            let snapshot = meta(&snapshot);
            self.step(turn, Input::Compacted { floor, snapshot });
        }
        self.retain(turn);
    }

    /// What is newer than all that is needed stays anyhow. Where nothing is needed nothing is said:
    /// the next snapshot may be arriving.
    fn retain(&self, turn: &mut Turn<'_>) {
        let needed = self.snapshots.needed();
        if !needed.is_empty() {
            turn.out.retain.push((self.id, needed));
        }
    }
}

fn meta(snapshot: &SnapshotRef) -> SnapshotMeta {
    SnapshotMeta {
        last: snapshot.last,
        configuration: snapshot.configuration.clone(),
    }
}
