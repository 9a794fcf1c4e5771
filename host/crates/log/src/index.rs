//! The index in memory: what is live, and where.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use coracle_driver::Floor;
use coracle_proto::{Entry, EntryKind, GroupId, HardState, Index, LogId};

use crate::mutant::mutant;
use crate::record::{Cause, Record, ReplicaState};
use crate::row::Location;

/// One entry of a group's log.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) location: Location,
    pub(crate) kind: EntryKind,
    /// The payload, while it is among the recent ones.
    pub(crate) recent: Option<Bytes>,
}

/// One replica's live set.
#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) state: ReplicaState,
    /// False only while replaying: the rows with its state have not been reached yet, what stands
    /// in `state` is a guess.
    pub(crate) known: bool,
    /// The entries above the floor, consecutive from `first`.
    slots: VecDeque<Slot>,
    first: Index,
    /// First entry of each run of equal terms.
    terms: VecDeque<LogId>,
    /// Commits that hold the state, the hard state, the applied hint.
    state_at: Location,
    hard_state_at: Location,
    applied_at: Location,
    /// Bytes of the records of its entries.
    entry_bytes: u64,
}

/// A replica that was removed here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tombstone {
    pub(crate) born: Index,
    at: Location,
}

/// A record does not follow from those before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inconsistent {
    pub(crate) group: GroupId,
    pub(crate) index: Index,
    pub(crate) reason: String,
}

/// All groups.
#[derive(Debug)]
pub(crate) struct LogIndex {
    pub(crate) replicas: BTreeMap<GroupId, Replica>,
    pub(crate) tombstones: BTreeMap<GroupId, Tombstone>,
    recent: RecentEntries,
}

/// Which payloads are in memory, oldest first.
#[derive(Debug)]
struct RecentEntries {
    order: VecDeque<(GroupId, Index, u64, usize)>,
    bytes: usize,
    limit: usize,
}

impl LogIndex {
    /// Keeps up to `recent_bytes` of payloads in memory.
    pub(crate) fn new(recent_bytes: usize) -> Self {
        Self {
            replicas: BTreeMap::new(),
            tombstones: BTreeMap::new(),
            recent: RecentEntries {
                order: VecDeque::new(),
                bytes: 0,
                limit: recent_bytes,
            },
        }
    }

    /// Takes over a record that is durable. `fresh`: it was written just now, and its payload is
    /// worth keeping.
    pub(crate) fn apply(
        &mut self,
        record: Record,
        at: Location,
        fresh: bool,
    ) -> Result<(), Inconsistent> {
        match record {
            Record::State {
                group,
                cause,
                state,
            } => {
                // That of a replica born before stands as long as the group has anything here.
                let obsolete = |tombstone: &Tombstone| tombstone.born >= state.born;
                if self.tombstones.get(&group).is_some_and(obsolete) {
                    self.tombstones.remove(&group);
                }
                let replica = self.replica(group, at);
                replica.set_state(cause, *state, at);
            }
            Record::HardState { group, hard_state } => {
                let replica = self.replica(group, at);
                replica.state.hard_state = hard_state;
                replica.hard_state_at = at;
            }
            Record::Entry { group, entry } => {
                let payload = entry.payload.clone();
                let index = entry.index;
                self.replica(group, at).append(group, &entry, at)?;
                if fresh {
                    self.remember(group, index, at.commit, payload);
                }
            }
            Record::Applied { group, index } => {
                let replica = self.replica(group, at);
                replica.state.applied = index;
                replica.applied_at = at;
            }
            Record::Removed { group, born } => {
                self.replicas.remove(&group);
                self.tombstones.insert(group, Tombstone { born, at });
            }
        }
        Ok(())
    }

    fn replica(&mut self, group: GroupId, at: Location) -> &mut Replica {
        self.replicas
            .entry(group)
            .or_insert_with(|| Replica::unknown(at))
    }

    fn remember(&mut self, group: GroupId, index: Index, commit: u64, payload: Bytes) {
        let size = payload.len() + size_of::<Slot>();
        if size > self.recent.limit {
            return;
        }
        self.recent.order.push_back((group, index, commit, size));
        self.recent.bytes += size;
        self.set_recent(group, index, commit, Some(payload));
        while self.recent.bytes > self.recent.limit {
            let Some((group, index, commit, size)) = self.recent.order.pop_front() else {
                break;
            };
            self.recent.bytes -= size;
            self.set_recent(group, index, commit, None);
        }
    }

    fn set_recent(&mut self, group: GroupId, index: Index, commit: u64, payload: Option<Bytes>) {
        let slot = self
            .replicas
            .get_mut(&group)
            .and_then(|replica| replica.slot_mut(index))
            .filter(|slot| slot.location.commit == commit);
        if let Some(slot) = slot {
            slot.recent = payload;
        }
    }

    /// Per group the oldest commit that holds a part of its live set.
    pub(crate) fn oldest_commits(&self) -> impl Iterator<Item = (u64, GroupId)> {
        let replicas = self
            .replicas
            .iter()
            .map(|(group, replica)| (replica.oldest_commit(), *group));
        let tombstones = self
            .tombstones
            .iter()
            .map(|(group, tombstone)| (tombstone.at.commit, *group));
        replicas.chain(tombstones)
    }

    /// Bytes of a group's live records.
    pub(crate) fn live_bytes(&self, group: GroupId) -> u64 {
        let replica = self.replicas.get(&group).map_or(0, Replica::live_bytes);
        let tombstone = self.tombstones.get(&group);
        replica + tombstone.map_or(0, |tombstone| u64::from(tombstone.at.len))
    }
}

impl Replica {
    fn unknown(at: Location) -> Self {
        let floor = Floor {
            last: LogId::default(),
            configuration: Default::default(),
            snapshot: None,
        };
        Self {
            state: ReplicaState {
                born: 0,
                hard_state: HardState::default(),
                applied: 0,
                floor,
            },
            known: false,
            slots: VecDeque::new(),
            first: 1,
            terms: VecDeque::new(),
            state_at: at,
            hard_state_at: at,
            applied_at: at,
            entry_bytes: 0,
        }
    }

    fn set_state(&mut self, cause: Cause, state: ReplicaState, at: Location) {
        let floor = state.floor.last.index;
        self.state = state;
        self.known = true;
        (self.state_at, self.hard_state_at, self.applied_at) = (at, at, at);
        match cause {
            Cause::Host | Cause::InstallTruncate | Cause::Rebase => self.truncate(self.first),
            Cause::Compact | Cause::Install => self.drop_through(floor),
        }
        if self.slots.is_empty() {
            self.first = floor + 1;
        }
    }

    fn append(&mut self, group: GroupId, entry: &Entry, at: Location) -> Result<(), Inconsistent> {
        let index = entry.index;
        let refuse = |reason: String| Inconsistent {
            group,
            index,
            reason,
        };
        if index == 0 {
            return Err(refuse("an entry cannot have index 0".to_owned()));
        }
        if self.known && index <= self.state.floor.last.index {
            return Err(refuse("an entry below the floor".to_owned()));
        }
        // When replaying, the entries between floor and here may be gone with their rows: if so,
        // a later record cuts them off or lifts the floor over them, and the last check says so.
        if self.slots.is_empty() || index < self.first {
            self.truncate(self.first);
            self.first = index;
        }
        if index > self.last() + 1 {
            let (first, last) = (self.first, self.last());
            return Err(refuse(format!(
                "an entry that does not join {first}..={last}"
            )));
        }
        if let (true, Some(slot)) = (mutant!(OldTailKept), self.slot_mut(index)) {
            slot.location = at;
            return Ok(());
        }
        self.truncate(index);
        if self.terms.back().is_none_or(|run| run.term != entry.term) {
            self.terms.push_back(entry.id());
        }
        self.entry_bytes += u64::from(at.len);
        self.slots.push_back(Slot {
            location: at,
            kind: entry.kind,
            recent: None,
        });
        Ok(())
    }

    /// Drops the entries from `index` on.
    fn truncate(&mut self, index: Index) {
        while self.last() >= index && self.last() >= self.first {
            let slot = self.slots.pop_back();
            self.entry_bytes -= slot.map_or(0, |slot| u64::from(slot.location.len));
        }
        while self.terms.back().is_some_and(|run| run.index >= index) {
            self.terms.pop_back();
        }
    }

    /// Drops the entries up to `index`.
    fn drop_through(&mut self, index: Index) {
        while self.first <= index
            && let Some(slot) = self.slots.pop_front()
        {
            self.entry_bytes -= u64::from(slot.location.len);
            self.first += 1;
        }
        while self.terms.get(1).is_some_and(|run| run.index <= self.first) {
            self.terms.pop_front();
        }
        match self.slots.is_empty() {
            true => self.terms.clear(),
            false => {
                if let Some(run) = self.terms.front_mut() {
                    run.index = self.first;
                }
            }
        }
    }

    /// Index of the first entry above the floor, whether there is one or not.
    pub(crate) fn first(&self) -> Index {
        self.first
    }

    /// Index of the last entry; the floor's if there is none.
    pub(crate) fn last(&self) -> Index {
        self.first + self.slots.len() as u64 - 1
    }

    /// Term of an entry above the floor.
    pub(crate) fn term_at(&self, index: Index) -> Option<u64> {
        self.slot(index)?;
        let run = self.terms.iter().rev().find(|run| run.index <= index);
        run.map(|run| run.term)
    }

    pub(crate) fn terms(&self) -> impl Iterator<Item = LogId> {
        self.terms.iter().copied()
    }

    pub(crate) fn slot(&self, index: Index) -> Option<&Slot> {
        let at = usize::try_from(index.checked_sub(self.first)?).ok()?;
        self.slots.get(at)
    }

    fn slot_mut(&mut self, index: Index) -> Option<&mut Slot> {
        let at = usize::try_from(index.checked_sub(self.first)?).ok()?;
        self.slots.get_mut(at)
    }

    fn oldest_commit(&self) -> u64 {
        let entries = self
            .slots
            .front()
            .map_or(u64::MAX, |slot| slot.location.commit);
        self.state_at
            .commit
            .min(self.hard_state_at.commit)
            .min(self.applied_at.commit)
            .min(entries)
    }

    fn live_bytes(&self) -> u64 {
        let mut bytes = self.entry_bytes + u64::from(self.state_at.len);
        for at in [self.hard_state_at, self.applied_at] {
            if at != self.state_at {
                bytes += u64::from(at.len);
            }
        }
        bytes
    }
}
