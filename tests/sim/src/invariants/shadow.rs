//! What the disk of one replica holds, as far as the simulator was told.

use std::collections::VecDeque;

use coracle_driver::{Floor, WriteKind};
use coracle_proto::{Configuration, Entry, EntryKind, HardState, Index, LogId, Term};

/// The log of one replica.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) hosted: bool,
    /// Of the replica that is hosted.
    pub(super) born: Index,
    pub(super) hard_state: HardState,
    pub(super) floor: LogId,
    /// The configuration at the floor.
    configuration: Configuration,
    /// Last entry of the snapshot the floor names.
    pub(super) snapshot: LogId,
    pub(super) entries: VecDeque<Entry>,
    /// In which term of this replica each of them was written.
    sources: VecDeque<Term>,
    /// Those of them that are configurations.
    configurations: VecDeque<Configuration>,
}

/// Two images: what is durable, and what will be once everything asked for is done.
#[derive(Debug, Default)]
pub(super) struct Shadow {
    pub(super) durable: Image,
    pub(super) asked: Image,
    /// What was on its way to the disk when the node stopped.
    pub(super) uncertain: Vec<WriteKind>,
}

impl Shadow {
    pub(super) fn asked(&mut self, kind: &WriteKind) {
        self.asked.write(kind);
    }

    pub(super) fn durable(&mut self, kind: &WriteKind) {
        self.durable.write(kind);
    }

    pub(super) fn crashed(&mut self, uncertain: Vec<WriteKind>) {
        self.uncertain = uncertain;
    }
}

impl Image {
    pub(super) fn last(&self) -> LogId {
        self.entries.back().map_or(self.floor, Entry::id)
    }

    pub(super) fn entry(&self, index: Index) -> Option<&Entry> {
        let at = index.checked_sub(self.floor.index + 1)?;
        self.entries.get(usize::try_from(at).ok()?)
    }

    pub(super) fn term_at(&self, index: Index) -> Option<Term> {
        if index == self.floor.index {
            return Some(self.floor.term);
        }
        self.entry(index).map(|entry| entry.term)
    }

    /// Whether this entry is here, or covered by the floor or a snapshot.
    pub(super) fn holds(&self, id: LogId) -> bool {
        id.index < self.floor.index.max(self.snapshot.index)
            || self.snapshot == id
            || self.term_at(id.index) == Some(id.term)
    }

    /// Whether this entry is here since its own term, or covered by the floor or a snapshot: then it was
    /// acknowledged, if at all, to the leader that made it.
    pub(super) fn holds_since_its_term(&self, id: LogId) -> bool {
        let at = id.index.checked_sub(self.floor.index + 1);
        let source = at.and_then(|at| self.sources.get(usize::try_from(at).ok()?));
        self.holds(id) && source.is_none_or(|source| *source <= id.term)
    }

    /// The configurations in the log above the floor.
    pub(super) fn configurations(&self) -> impl DoubleEndedIterator<Item = &Configuration> {
        self.configurations.iter()
    }

    /// The configuration in force, committed or not.
    pub(super) fn configuration(&self) -> &Configuration {
        self.configurations.back().unwrap_or(&self.configuration)
    }

    pub(super) fn write(&mut self, kind: &WriteKind) {
        match kind {
            WriteKind::Host { floor, born } => {
                *self = Self {
                    hosted: true,
                    born: *born,
                    floor: floor.last,
                    configuration: floor.configuration.clone(),
                    hard_state: self.hard_state,
                    ..Self::default()
                };
            }
            WriteKind::Append {
                hard_state,
                entries,
            } => {
                self.hard_state = hard_state.unwrap_or(self.hard_state);
                for entry in entries {
                    self.truncate(entry.index);
                    self.entries.push_back(entry.clone());
                    self.sources.push_back(self.hard_state.term);
                    self.configurations.extend(configuration(entry));
                }
            }
            WriteKind::Compact { floor } => {
                self.rise(floor);
            }
            WriteKind::Install {
                hard_state,
                floor,
                truncate,
            } => {
                self.hard_state = hard_state.unwrap_or(self.hard_state);
                self.rise(floor);
                if *truncate {
                    self.truncate(0);
                }
            }
            WriteKind::Applied { .. } => {}
            WriteKind::Remove => *self = Self::default(),
        }
    }

    /// Drops `from` and everything after it.
    fn truncate(&mut self, from: Index) {
        let at = from.saturating_sub(self.floor.index + 1) as usize;
        self.entries.truncate(at);
        self.sources.truncate(at);
        let keep = self.configurations.partition_point(|it| it.index < from);
        self.configurations.truncate(keep);
    }

    fn rise(&mut self, floor: &Floor) {
        let gone = floor.last.index.saturating_sub(self.floor.index) as usize;
        let gone = gone.min(self.entries.len());
        self.entries.drain(..gone);
        self.sources.drain(..gone);
        let covered = self
            .configurations
            .partition_point(|it| it.index <= floor.last.index);
        self.configurations.drain(..covered);
        self.floor = floor.last;
        self.configuration = floor.configuration.clone();
        self.snapshot = floor.snapshot.as_ref().map_or(self.snapshot, |s| s.last);
    }
}

/// The configuration in an entry, if it is one.
pub(super) fn configuration(entry: &Entry) -> Option<Configuration> {
    if entry.kind != EntryKind::Configuration {
        return None;
    }
    let configuration = Configuration::decode(&entry.payload).ok()?;
    let index = entry.index;
    Some(Configuration {
        index,
        ..configuration
    })
}
