//! What is durable at one replica, and what is on its way there.

use coracle_proto::{
    Configuration, Entry, EntryKind, HardState, Index, Initial, LogId, PersistId, SnapshotMeta,
    Term,
};

/// What a replica would find after a crash.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Disk {
    pub(crate) hard_state: HardState,
    pub(crate) floor: LogId,
    /// The configuration in force at the floor.
    pub(crate) base: Configuration,
    pub(crate) snapshot: Option<SnapshotMeta>,
    pub(crate) entries: Vec<Entry>,
}

/// A write on its way to the disk.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Write {
    pub(crate) id: PersistId,
    pub(crate) hard_state: Option<HardState>,
    pub(crate) what: What,
}

/// What else a write does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum What {
    Append(Vec<Entry>),
    Install(SnapshotMeta),
}

impl Disk {
    /// The disk of a member of a new group.
    pub(crate) fn new(base: Configuration) -> Self {
        Self {
            base,
            ..Self::default()
        }
    }

    pub(crate) fn last(&self) -> LogId {
        self.entries.last().map_or(self.floor, Entry::id)
    }

    pub(crate) fn entry(&self, index: Index) -> Option<&Entry> {
        let at = index.checked_sub(self.floor.index + 1)?;
        self.entries.get(usize::try_from(at).ok()?)
    }

    pub(crate) fn term_at(&self, index: Index) -> Option<Term> {
        match index == self.floor.index {
            true => Some(self.floor.term),
            false => self.entry(index).map(|entry| entry.term),
        }
    }

    /// Whether this entry is here or covered by the snapshot.
    pub(crate) fn holds(&self, id: LogId) -> bool {
        id.index < self.floor.index || self.term_at(id.index) == Some(id.term)
    }

    pub(crate) fn write(&mut self, write: Write) {
        self.hard_state = write.hard_state.unwrap_or(self.hard_state);
        match write.what {
            What::Append(entries) => {
                for entry in entries {
                    let at = entry.index - self.floor.index - 1;
                    self.entries.truncate(at as usize);
                    self.entries.push(entry);
                }
            }
            What::Install(meta) => {
                self.floor = meta.last;
                self.base = meta.configuration.clone();
                self.snapshot = Some(meta);
                self.entries.clear();
            }
        }
    }

    /// A snapshot of everything up to `index` takes the place of the entries.
    pub(crate) fn compact(&mut self, index: Index) -> Option<SnapshotMeta> {
        let term = self.term_at(index)?;
        let configuration = self.configurations(index).pop()?;
        let last = LogId { term, index };
        let meta = SnapshotMeta {
            last,
            configuration: configuration.clone(),
        };
        self.entries.drain(..(index - self.floor.index) as usize);
        self.floor = last;
        self.base = configuration;
        self.snapshot = Some(meta.clone());
        Some(meta)
    }

    pub(crate) fn initial(&self) -> Initial {
        let mut terms: Vec<LogId> = Vec::new();
        for entry in &self.entries {
            if terms.last().is_none_or(|run| run.term != entry.term) {
                terms.push(entry.id());
            }
        }
        Initial {
            hard_state: self.hard_state,
            floor: self.floor,
            snapshot: self.snapshot.clone(),
            terms,
            last: self.last().index,
            configurations: self.configurations(Index::MAX),
        }
    }

    /// The configuration at the floor and those set above it, up to `through`.
    fn configurations(&self, through: Index) -> Vec<Configuration> {
        let set = self
            .entries
            .iter()
            .filter(|entry| entry.kind == EntryKind::Configuration && entry.index <= through);
        let set = set.filter_map(|entry| {
            let mut configuration = Configuration::decode(&entry.payload).ok()?;
            configuration.index = entry.index;
            Some(configuration)
        });
        std::iter::once(self.base.clone()).chain(set).collect()
    }
}
