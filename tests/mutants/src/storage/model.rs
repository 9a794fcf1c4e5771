//! What should be in a log, in the plainest form.

use std::collections::BTreeMap;

use bytes::Bytes;
use coracle_driver::{
    Digest, Floor, LogReader, Recovered, RecoveredGroup, SnapshotRef, Write, WriteKind,
};
use coracle_log::Reader;
use coracle_proto::{
    Configuration, Entry, EntryKind, GroupId, HardState, Index, LogId, NodeId, ReplicaId, Term,
};

use super::{GROUPS, Random};

/// Entries that a group is given at once, at most.
const MAX_ENTRIES: u64 = 5;

/// One replica.
#[derive(Debug, Clone)]
struct Replica {
    born: Index,
    hard_state: HardState,
    floor: Floor,
    entries: Vec<Entry>,
    applied: Index,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Model {
    replicas: BTreeMap<GroupId, Replica>,
    removed: BTreeMap<GroupId, Index>,
    /// Something was written in this life that must never be forgotten.
    vital: bool,
}

/// A floor at an entry, below or at its snapshot.
pub(crate) fn floor(last: LogId, snapshot: LogId) -> Floor {
    let configuration = Configuration::initial([1, 2, 3].map(NodeId));
    Floor {
        last,
        configuration: configuration.clone(),
        snapshot: (snapshot.index > 0).then_some(SnapshotRef {
            last: snapshot,
            configuration,
            digest: Digest([snapshot.index as u8; 32]),
        }),
    }
}

pub(crate) fn write(group: GroupId, kind: WriteKind) -> Write {
    Write {
        group,
        id: None,
        kind,
    }
}

/// Begins a replica.
pub(crate) fn host(group: GroupId, born: Index) -> Write {
    let floor = floor(LogId::default(), LogId::default());
    write(group, WriteKind::Host { floor, born })
}

/// Entries `from` on, of one term, perhaps with a vote in it.
pub(crate) fn append(group: GroupId, term: Term, from: Index, count: u64, vote: bool) -> Write {
    let entry = |index| Entry {
        term,
        index,
        kind: EntryKind::Normal,
        payload: Bytes::from(format!("{group} {term}/{index} {}", "x".repeat(120))),
    };
    let vote = vote.then_some(ReplicaId {
        node: NodeId(term % 3 + 1),
        born: 0,
    });
    let kind = WriteKind::Append {
        hard_state: Some(HardState { term, vote }),
        entries: (from..from + count).map(entry).collect(),
    };
    write(group, kind)
}

impl Replica {
    fn last(&self) -> LogId {
        self.entries.last().map_or(self.floor.last, Entry::id)
    }

    fn id_at(&self, index: Index) -> LogId {
        let found = self.entries.iter().find(|entry| entry.index == index);
        found.map_or(self.floor.last, Entry::id)
    }
}

impl Model {
    /// Writes that are allowed now.
    pub(crate) fn draw(&self, random: &mut Random) -> Vec<Write> {
        let groups = GROUPS.iter().filter(|_| random.below(3) > 0);
        let groups: Vec<_> = groups.copied().collect();
        let writes = groups.into_iter().map(|group| self.draw_one(group, random));
        writes.collect()
    }

    fn draw_one(&self, group: GroupId, random: &mut Random) -> Write {
        let Some(replica) = self.replicas.get(&group) else {
            return host(group, self.removed.get(&group).map_or(0, |born| born + 1));
        };
        let (floor_at, last) = (replica.floor.last.index, replica.last().index);
        let snapshot = replica.floor.snapshot.as_ref();
        let covered = snapshot.map_or(floor_at, |snapshot| snapshot.last.index);
        let above = |index: Index, random: &mut Random| index + random.below(last - index + 1);
        match random.below(16) {
            0 | 1 => {
                let snapshot = above(covered.max(floor_at), random);
                let lower = floor_at + random.below(snapshot - floor_at + 1);
                let floor = floor(replica.id_at(lower), replica.id_at(snapshot));
                write(group, WriteKind::Compact { floor })
            }
            2 | 3 => {
                let index = above(covered, random);
                write(group, WriteKind::Applied { index })
            }
            4 if random.below(4) == 0 => host(group, replica.born + 1),
            4 if random.below(4) == 0 => write(group, WriteKind::Remove),
            _ => {
                let from = (last + 1 - random.below(4).min(last - covered)).max(covered + 1);
                let term = replica.hard_state.term + random.below(2) + u64::from(from <= last);
                let count = random.below(MAX_ENTRIES) + u64::from(from <= last);
                append(group, term.max(1), from, count, random.below(2) == 0)
            }
        }
    }

    /// A write was acknowledged.
    pub(crate) fn take(&mut self, written: &Write) {
        let group = written.group;
        let vital = matches!(
            &written.kind,
            WriteKind::Append {
                hard_state: Some(_),
                ..
            }
        );
        self.vital |= vital;
        if let WriteKind::Host { floor, born } = &written.kind {
            let former = self.replicas.get(&group);
            let replica = Replica {
                born: *born,
                hard_state: former.map_or_else(HardState::default, |former| former.hard_state),
                floor: floor.clone(),
                entries: Vec::new(),
                applied: 0,
            };
            self.replicas.insert(group, replica);
            return;
        }
        let Some(replica) = self.replicas.get_mut(&group) else {
            return;
        };
        match &written.kind {
            WriteKind::Append {
                hard_state,
                entries,
            } => {
                replica.hard_state = hard_state.unwrap_or(replica.hard_state);
                if let Some(first) = entries.first() {
                    replica.entries.retain(|entry| entry.index < first.index);
                }
                replica.entries.extend(entries.iter().cloned());
            }
            WriteKind::Compact { floor } | WriteKind::Install { floor, .. } => {
                replica
                    .entries
                    .retain(|entry| entry.index > floor.last.index);
                replica.floor = floor.clone();
            }
            WriteKind::Applied { index } => replica.applied = replica.applied.max(*index),
            WriteKind::Remove => {
                self.removed.insert(group, replica.born);
                self.replicas.remove(&group);
            }
            WriteKind::Host { .. } => {}
        }
    }

    /// Whether an older copy of the file would lack what the anchor knows of.
    pub(crate) fn is_anchored(&self) -> bool {
        self.vital
    }

    /// Hints need not have reached the disk; from now on only those that did count.
    pub(crate) fn settle_hints(&mut self, found: &Recovered) {
        self.vital = false;
        for (group, replica) in &mut self.replicas {
            replica.applied = found.groups.get(group).map_or(0, |found| found.applied);
        }
    }

    /// A start finds all of this and nothing else.
    pub(crate) fn check(&self, found: &Recovered, reader: &Reader) -> Result<(), String> {
        let hosted: Vec<_> = self.replicas.keys().collect();
        if found.groups.keys().collect::<Vec<_>>() != hosted {
            return Err(format!("recovery: {hosted:?} should be hosted: {found:?}"));
        }
        for (group, replica) in &self.replicas {
            check_replica(*group, replica, &found.groups[group])?;
        }
        self.check_entries(reader)
    }

    /// What a start finds of the logs that are there is true; entries may be in error.
    pub(crate) fn check_truth(&self, found: &Recovered, reader: &Reader) -> Result<(), String> {
        for (group, replica) in &self.replicas {
            let Some(found) = found.groups.get(group) else {
                return Err(format!("recovery: {group} is missing"));
            };
            check_replica(*group, replica, found)?;
            let (from, through) = (replica.floor.last.index + 1, replica.last().index);
            for index in from..=through {
                if let Ok(read) = reader.entries(*group, index, index, usize::MAX)
                    && read != [replica.entries[(index - from) as usize].clone()]
                {
                    return Err(format!(
                        "checksums: entry {index} of {group} is not what it was"
                    ));
                }
            }
        }
        Ok(())
    }

    pub(crate) fn check_entries(&self, reader: &Reader) -> Result<(), String> {
        for (group, replica) in &self.replicas {
            let (from, last) = (replica.floor.last.index + 1, replica.last().index);
            let mut read = Vec::new();
            while from + (read.len() as u64) <= last {
                let next = from + read.len() as u64;
                let some = reader.entries(*group, next, last, usize::MAX);
                let some = some.map_err(|error| format!("entries of {group}: {error}"))?;
                if some.is_empty() {
                    return Err(format!("entries of {group}: none at {next}"));
                }
                read.extend(some);
            }
            if read != replica.entries {
                return Err(format!(
                    "entries of {group}: {from}..={last} are not what was written"
                ));
            }
        }
        Ok(())
    }
}

fn check_replica(group: GroupId, ours: &Replica, found: &RecoveredGroup) -> Result<(), String> {
    let initial = &found.initial;
    let same = ours.born == found.born
        && ours.hard_state == initial.hard_state
        && ours.floor == found.floor
        && ours.floor.last == initial.floor
        && ours.last().index == initial.last
        && found.applied <= ours.applied;
    match same {
        true => Ok(()),
        false => Err(format!(
            "recovery: {group} is {found:?}, was acknowledged as {ours:?}"
        )),
    }
}
