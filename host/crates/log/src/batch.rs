//! What one commit will hold: writes, checked against what is live, as records.

use std::collections::BTreeMap;

use coracle_driver::{Floor, LogError, Write, WriteKind};
use coracle_proto::{Entry, GroupId, HardState, Index};

use crate::errors::refused;
use crate::index::LogIndex;
use crate::mutant::mutant;
use crate::record::{Cause, Record, ReplicaState};
use crate::row::Location;
use crate::store::Replacement;

/// A commit's stream must be addressed with 32 bits; this is far below, and far above any batch.
const MAX_COMMIT_BYTES: usize = 1024 * 1024 * 1024;

/// A commit being put together.
#[derive(Debug)]
pub(crate) struct Batch<'a> {
    index: &'a LogIndex,
    commit: u64,
    stream: Vec<u8>,
    records: Vec<(Record, Location)>,
    staged: BTreeMap<GroupId, Staged>,
    vital: bool,
}

/// A commit ready to be written.
#[derive(Debug)]
pub(crate) struct Commit {
    /// Its bytes.
    pub(crate) stream: Vec<u8>,
    /// What is in them, for the index.
    pub(crate) records: Vec<(Record, Location)>,
    /// Whether it holds what nobody may forget: a term or vote, a replica's birth or end.
    pub(crate) vital: bool,
}

/// A group as it will be after the writes so far.
#[derive(Debug, Clone, Copy)]
enum Staged {
    Absent { removed: Option<Index> },
    Hosted(Hosted),
}

#[derive(Debug, Clone, Copy)]
struct Hosted {
    born: Index,
    hard_state: HardState,
    applied: Index,
    floor: Index,
    /// Index of the last entry in the floor's snapshot.
    snapshot: Index,
    last: Index,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(index: &'a LogIndex, commit: u64) -> Self {
        Self {
            index,
            commit,
            stream: Vec::new(),
            records: Vec::new(),
            staged: BTreeMap::new(),
            vital: false,
        }
    }

    pub(crate) fn finish(self) -> Commit {
        Commit {
            stream: self.stream,
            records: self.records,
            vital: self.vital,
        }
    }

    /// Writes a group's whole live set anew. Before any write to that group.
    pub(crate) fn rebase(&mut self, group: GroupId, entries: Vec<Entry>) -> Result<(), LogError> {
        if let Some(tombstone) = self.index.tombstones.get(&group) {
            // First: it ends whatever came before it.
            let born = tombstone.born;
            self.add(Record::Removed { group, born })?;
        }
        if let Some(replica) = self.index.replicas.get(&group) {
            self.add(Record::State {
                group,
                cause: Cause::Rebase,
                state: Box::new(replica.state.clone()),
            })?;
        }
        for entry in entries {
            self.add(Record::Entry { group, entry })?;
        }
        Ok(())
    }

    /// Adds a write. An error is a mistake of the caller, and nothing was written.
    pub(crate) fn push(&mut self, write: &Write) -> Result<(), LogError> {
        let group = write.group;
        match &write.kind {
            WriteKind::Host { floor, born } => self.host(group, floor, *born),
            WriteKind::Append {
                hard_state,
                entries,
            } => self.append(group, *hard_state, entries),
            WriteKind::Compact { floor } => self.compact(group, floor),
            WriteKind::Install {
                hard_state,
                floor,
                truncate,
            } => self.install(group, *hard_state, floor, *truncate),
            // Among the hints already, which come first.
            WriteKind::Applied { .. } => Ok(()),
            WriteKind::Remove => self.remove(group),
        }
    }

    fn host(&mut self, group: GroupId, floor: &Floor, born: Index) -> Result<(), LogError> {
        let hard_state = match self.staged(group) {
            Staged::Hosted(hosted) if hosted.born == born => {
                return Err(mistake(
                    group,
                    format!("it is hosted already, born at {born}"),
                ));
            }
            Staged::Hosted(_)
                if self
                    .index
                    .tombstones
                    .get(&group)
                    .is_some_and(|gone| born <= gone.born) =>
            {
                let reason = format!("the replica born at {born} was removed here");
                return Err(mistake(group, reason));
            }
            // Another replica of this node takes its place, and votes no second time.
            Staged::Hosted(_) if mutant!(HeirForgetsVote) => HardState::default(),
            Staged::Hosted(hosted) => hosted.hard_state,
            Staged::Absent {
                removed: Some(removed),
            } if born <= removed => {
                let reason = format!(
                    "a replica born at {removed} was removed here; one born at {born} must not follow it"
                );
                return Err(mistake(group, reason));
            }
            Staged::Absent { .. } => HardState::default(),
        };
        let hosted = Hosted {
            born,
            hard_state,
            applied: 0,
            floor: 0,
            snapshot: 0,
            last: 0,
        };
        self.vital = true;
        self.set_state(group, hosted, Cause::Host, floor)
    }

    fn append(
        &mut self,
        group: GroupId,
        hard_state: Option<HardState>,
        entries: &[Entry],
    ) -> Result<(), LogError> {
        let mut hosted = self.hosted(group)?;
        if let Some(hard_state) = hard_state {
            hosted.hard_state = hard_state;
            self.vital = true;
            self.add(Record::HardState { group, hard_state })?;
        }
        if let Some(entry) = entries.first() {
            let (index, floor, last) = (entry.index, hosted.floor, hosted.last);
            if index <= floor || index > last + 1 {
                let reason = format!("entry {index} does not join a log from {floor} to {last}");
                return Err(mistake(group, reason));
            }
            hosted.last = index - 1;
        }
        for entry in entries {
            if entry.index != hosted.last + 1 {
                let reason = format!("entry {} follows entry {}", entry.index, hosted.last);
                return Err(mistake(group, reason));
            }
            hosted.last = entry.index;
            self.add(Record::Entry {
                group,
                entry: entry.clone(),
            })?;
        }
        self.staged.insert(group, Staged::Hosted(hosted));
        Ok(())
    }

    /// A floor only rises; one that comes late, say after a snapshot was installed, is passed over.
    fn compact(&mut self, group: GroupId, floor: &Floor) -> Result<(), LogError> {
        let hosted = self.hosted(group)?;
        let index = floor.last.index;
        if (index, snapshot_index(floor)) < (hosted.floor, hosted.snapshot) {
            return Ok(());
        }
        if index > hosted.last {
            let reason = format!("floor {index} is above the last entry {}", hosted.last);
            return Err(mistake(group, reason));
        }
        self.set_state(group, hosted, Cause::Compact, floor)
    }

    fn install(
        &mut self,
        group: GroupId,
        hard_state: Option<HardState>,
        floor: &Floor,
        truncate: bool,
    ) -> Result<(), LogError> {
        let mut hosted = self.hosted(group)?;
        let index = floor.last.index;
        if index < hosted.floor {
            let reason = format!("snapshot at {index} is below the floor {}", hosted.floor);
            return Err(mistake(group, reason));
        }
        hosted.hard_state = hard_state.unwrap_or(hosted.hard_state);
        let cause = match truncate {
            true => Cause::InstallTruncate,
            false => Cause::Install,
        };
        if truncate || hosted.last < index {
            hosted.last = index;
        }
        self.vital = true;
        self.set_state(group, hosted, cause, floor)
    }

    /// A hint. Not vital, and nothing to a group that is gone.
    pub(crate) fn applied(&mut self, group: GroupId, index: Index) -> Result<(), LogError> {
        // A worker may report once more after its replica was removed.
        if let Staged::Hosted(mut hosted) = self.staged(group)
            && index > hosted.applied
        {
            let index = match mutant!(AppliedHintAhead) {
                true => hosted.last,
                false => index,
            };
            hosted.applied = index;
            self.staged.insert(group, Staged::Hosted(hosted));
            self.add(Record::Applied { group, index })?;
        }
        Ok(())
    }

    /// What is not here is removed already.
    fn remove(&mut self, group: GroupId) -> Result<(), LogError> {
        if let Staged::Hosted(hosted) = self.staged(group) {
            let born = hosted.born;
            self.vital = true;
            self.add(Record::Removed { group, born })?;
            let removed = Some(born);
            self.staged.insert(group, Staged::Absent { removed });
        }
        Ok(())
    }

    /// Puts a replica without entries in the place of whatever is here.
    pub(crate) fn replace(
        &mut self,
        group: GroupId,
        replacement: &Replacement,
    ) -> Result<(), LogError> {
        let hosted = Hosted {
            born: replacement.born,
            hard_state: replacement.hard_state,
            applied: 0,
            floor: 0,
            snapshot: 0,
            last: 0,
        };
        self.vital = true;
        self.set_state(group, hosted, Cause::Rebase, &replacement.floor)
    }

    fn set_state(
        &mut self,
        group: GroupId,
        mut hosted: Hosted,
        cause: Cause,
        floor: &Floor,
    ) -> Result<(), LogError> {
        hosted.floor = floor.last.index;
        hosted.snapshot = snapshot_index(floor);
        hosted.last = hosted.last.max(hosted.floor);
        if mutant!(HardStateLostOnCompaction) && cause == Cause::Compact {
            hosted.hard_state = HardState::default();
        }
        self.staged.insert(group, Staged::Hosted(hosted));
        let state = Box::new(ReplicaState {
            born: hosted.born,
            hard_state: hosted.hard_state,
            applied: hosted.applied,
            floor: floor.clone(),
        });
        self.add(Record::State {
            group,
            cause,
            state,
        })
    }

    fn add(&mut self, record: Record) -> Result<(), LogError> {
        let offset = self.stream.len();
        let len = record.encode(&mut self.stream);
        if self.stream.len() > MAX_COMMIT_BYTES {
            let reason = format!("a commit of more than {MAX_COMMIT_BYTES} bytes");
            return Err(refused("writing the log", reason));
        }
        let location = Location {
            commit: self.commit,
            offset: offset as u32,
            len: len as u32,
        };
        self.records.push((record, location));
        Ok(())
    }

    fn hosted(&self, group: GroupId) -> Result<Hosted, LogError> {
        match self.staged(group) {
            Staged::Hosted(hosted) => Ok(hosted),
            Staged::Absent { .. } => Err(mistake(group, "it is not hosted here".to_owned())),
        }
    }

    fn staged(&self, group: GroupId) -> Staged {
        if let Some(staged) = self.staged.get(&group) {
            return *staged;
        }
        let Some(replica) = self.index.replicas.get(&group) else {
            let tombstone = self.index.tombstones.get(&group);
            let removed = tombstone.map(|tombstone| tombstone.born);
            return Staged::Absent { removed };
        };
        Staged::Hosted(Hosted {
            born: replica.state.born,
            hard_state: replica.state.hard_state,
            applied: replica.state.applied,
            floor: replica.state.floor.last.index,
            snapshot: snapshot_index(&replica.state.floor),
            last: replica.last(),
        })
    }
}

fn snapshot_index(floor: &Floor) -> Index {
    floor
        .snapshot
        .as_ref()
        .map_or(0, |snapshot| snapshot.last.index)
}

fn mistake(group: GroupId, reason: String) -> LogError {
    refused("writing the log", format!("{group}: {reason}"))
}
