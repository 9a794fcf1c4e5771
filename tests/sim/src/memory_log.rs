//! A log in memory with the meaning of the production log, for runs that need no redb. A commit
//! happens as a whole or not at all.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use coracle_driver::{
    Floor, Log, LogError, LogReader, Recovered, RecoveredGroup, Write, WriteKind,
};
use coracle_proto::{
    Configuration, Entry, EntryKind, GroupId, HardState, Index, Initial, LogId, SnapshotMeta,
};

/// The log. Clones share it; it outlives the process that writes it.
#[derive(Debug, Clone, Default)]
pub(crate) struct MemoryLog(Arc<Mutex<Groups>>);

#[derive(Debug, Default)]
struct Groups {
    replicas: BTreeMap<GroupId, Replica>,
    removed: BTreeMap<GroupId, Index>,
}

#[derive(Debug)]
struct Replica {
    born: Index,
    hard_state: HardState,
    floor: Floor,
    entries: VecDeque<Entry>,
    applied: Index,
}

impl MemoryLog {
    fn groups(&self) -> MutexGuard<'_, Groups> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a start finds.
    pub(crate) fn recovered(&self) -> Recovered {
        let all = self.groups();
        let groups = all.replicas.iter();
        let groups = groups.map(|(id, replica)| (*id, replica.recovered()));
        let recovered = Recovered {
            groups: groups.collect(),
            removed: all.removed.clone(),
        };
        #[cfg(test)]
        let recovered = planted::spoil(recovered);
        recovered
    }
}

impl Replica {
    fn last(&self) -> Index {
        self.floor.last.index + self.entries.len() as Index
    }

    fn write(&mut self, kind: &WriteKind) {
        match kind {
            WriteKind::Append {
                hard_state,
                entries,
            } => {
                self.hard_state = hard_state.unwrap_or(self.hard_state);
                for entry in entries {
                    let at = entry.index.saturating_sub(self.floor.last.index + 1);
                    self.entries.truncate(at as usize);
                    self.entries.push_back(entry.clone());
                }
            }
            WriteKind::Compact { floor } => self.rise(floor),
            WriteKind::Install {
                hard_state,
                floor,
                truncate,
            } => {
                self.hard_state = hard_state.unwrap_or(self.hard_state);
                self.rise(floor);
                if *truncate {
                    self.entries.clear();
                }
            }
            WriteKind::Applied { index } => self.applied = *index,
            WriteKind::Host { .. } | WriteKind::Remove => {}
        }
    }

    fn rise(&mut self, floor: &Floor) {
        let gone = floor.last.index.saturating_sub(self.floor.last.index) as usize;
        self.entries.drain(..gone.min(self.entries.len()));
        self.floor = floor.clone();
    }

    /// That of the floor, and those that entries above it set.
    fn configurations(&self) -> Vec<Configuration> {
        let entries = self.entries.iter();
        let entries = entries.filter(|entry| entry.kind == EntryKind::Configuration);
        let set = entries.filter_map(|entry| {
            let configuration = Configuration::decode(&entry.payload).ok()?;
            Some(Configuration {
                index: entry.index,
                ..configuration
            })
        });
        std::iter::once(self.floor.configuration.clone())
            .chain(set)
            .collect()
    }

    fn recovered(&self) -> RecoveredGroup {
        let mut terms: Vec<LogId> = Vec::new();
        for entry in &self.entries {
            if terms.last().is_none_or(|run| run.term != entry.term) {
                terms.push(entry.id());
            }
        }
        let snapshot = self.floor.snapshot.as_ref();
        let snapshot = snapshot.map(|snapshot| SnapshotMeta {
            last: snapshot.last,
            configuration: snapshot.configuration.clone(),
        });
        RecoveredGroup {
            initial: Initial {
                hard_state: self.hard_state,
                floor: self.floor.last,
                snapshot,
                terms,
                last: self.last(),
                configurations: self.configurations(),
            },
            born: self.born,
            floor: self.floor.clone(),
            applied: self.applied,
        }
    }
}

impl Log for MemoryLog {
    fn commit(&mut self, writes: &[Write]) -> Result<(), LogError> {
        let mut groups = self.groups();
        for write in writes {
            match &write.kind {
                WriteKind::Host { floor, born } => {
                    let former = groups.replicas.get(&write.group);
                    let replica = Replica {
                        born: *born,
                        hard_state: former.map_or(HardState::default(), |it| it.hard_state),
                        floor: floor.clone(),
                        entries: VecDeque::new(),
                        applied: 0,
                    };
                    groups.replicas.insert(write.group, replica);
                }
                WriteKind::Remove => {
                    if let Some(gone) = groups.replicas.remove(&write.group) {
                        groups.removed.insert(write.group, gone.born);
                    }
                }
                kind => {
                    if let Some(replica) = groups.replicas.get_mut(&write.group) {
                        replica.write(kind);
                    }
                }
            }
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), LogError> {
        Ok(())
    }
}

impl LogReader for MemoryLog {
    fn entries(
        &self,
        group: GroupId,
        from: Index,
        through: Index,
        max_bytes: usize,
    ) -> Result<Vec<Entry>, LogError> {
        let groups = self.groups();
        let gone = LogError::Compacted { group, index: from };
        let Some(replica) = groups.replicas.get(&group) else {
            return Err(gone);
        };
        if from <= replica.floor.last.index || from > replica.last() {
            return Err(gone);
        }
        let mut bytes = 0;
        let all = replica.entries.iter();
        let wanted = all.skip((from - replica.floor.last.index - 1) as usize);
        let wanted = wanted.take_while(|entry| {
            let first = entry.index == from;
            bytes += entry.payload.len();
            entry.index <= through && (first || bytes <= max_bytes)
        });
        Ok(wanted.cloned().collect())
    }
}

/// A bug that can be put in, for the tests of the search and the minimiser.
#[cfg(test)]
pub(crate) mod planted {
    use std::cell::Cell;

    use super::Recovered;

    thread_local! {
        static VOTES_ARE_FORGOTTEN: Cell<bool> = const { Cell::new(false) };
    }

    /// From now on, in this thread, a vote does not survive a restart.
    pub(crate) fn forget_votes(forget: bool) {
        VOTES_ARE_FORGOTTEN.set(forget);
    }

    pub(super) fn spoil(mut recovered: Recovered) -> Recovered {
        if VOTES_ARE_FORGOTTEN.get() {
            for group in recovered.groups.values_mut() {
                group.initial.hard_state.vote = None;
            }
        }
        recovered
    }
}
