//! A witness: no state machine and no snapshot files. What it need not keep of its log it simply
//! forgets, and what it lacks it gets as a snapshot that has no file.

use coracle_proto::{Configuration, HardState, Index, Input, LogId, PersistId, SnapshotMeta};

use crate::{Floor, WriteKind};

use super::{Group, ReplicaKind, Turn};

/// Entries by which a witness's log may exceed what is to be retained before it is cut, so that
/// a floor is not written for every entry.
const SLACK_ENTRIES: u64 = 256;

impl Group {
    /// The floor of a witness rises to a leader's snapshot.
    pub(super) fn install_bare(
        &mut self,
        turn: &mut Turn<'_>,
        id: PersistId,
        hard_state: Option<HardState>,
        meta: &SnapshotMeta,
        truncate: bool,
    ) {
        self.set_kind(turn, ReplicaKind::Witness);
        self.raise(meta.last.index, truncate);
        let floor = bare(meta.last, meta.configuration.clone());
        let kind = WriteKind::Install {
            hard_state,
            floor,
            truncate,
        };
        self.write(turn, Some(id), kind);
        self.snapshots.installing_bare(id, meta.clone());
    }

    /// Cuts the log of a witness once it is long enough.
    pub(super) fn forget_as_witness(&mut self, turn: &mut Turn<'_>) {
        if self.kind != ReplicaKind::Witness {
            return;
        }
        self.applied = self.applied.max(self.commit);
        let retained = turn.config.retained_entries;
        let index = self.commit.saturating_sub(retained);
        if index < self.snapshots.floor().saturating_add(SLACK_ENTRIES) {
            return;
        }
        if let Some(floor) = self.floor_at(index) {
            self.compact(turn, floor);
        }
    }

    fn floor_at(&self, index: Index) -> Option<Floor> {
        let term = self.raft.term_at(index)?;
        let configuration = self.raft.configuration_at(index)?.clone();
        Some(bare(LogId { term, index }, configuration))
    }

    /// A floor row without a snapshot is durable: the core forgets what is below.
    pub(super) fn compacted_bare(&mut self, turn: &mut Turn<'_>, floor: LogId) {
        let configuration = self.raft.configuration_at(floor.index);
        let snapshot = SnapshotMeta {
            last: floor,
            configuration: configuration.cloned().unwrap_or_default(),
        };
        self.step(turn, Input::Compacted { floor, snapshot });
    }
}

fn bare(last: LogId, configuration: Configuration) -> Floor {
    Floor {
        last,
        configuration,
        snapshot: None,
    }
}
