//! One replica: its core, its disk, and what is on its way there.

use std::collections::VecDeque;

use coracle_proto::{
    Config, Configuration, Effect, Entry, EntryKind, HardState, Index, Initial, Input, Instant,
    LogId, PersistId, Raft, SnapshotMeta, Term,
};

/// A log, as it is on a disk or is going to be.
#[derive(Debug, Clone)]
pub(super) struct Image {
    pub(super) hard_state: HardState,
    /// The snapshot that the log stands on.
    pub(super) floor: SnapshotMeta,
    pub(super) entries: Vec<Entry>,
}

/// A write on its way.
#[derive(Debug, Clone)]
struct Write {
    id: PersistId,
    hard_state: Option<HardState>,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Entries(Vec<Entry>),
    Snapshot { meta: SnapshotMeta, truncate: bool },
}

/// A write that is done.
pub(super) struct Written {
    pub(super) id: PersistId,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) raft: Raft,
    /// The disk does not finish what it has begun.
    pub(super) hangs: bool,
    /// What a crash leaves.
    pub(super) durable: Image,
    /// What the core takes its log to be.
    pub(super) asked: Image,
    config: Config,
    writes: VecDeque<Write>,
}

impl Image {
    pub(super) fn last(&self) -> LogId {
        self.entries.last().map_or(self.floor.last, Entry::id)
    }

    pub(super) fn term_at(&self, index: Index) -> Option<Term> {
        match index.cmp(&self.floor.last.index) {
            std::cmp::Ordering::Less => None,
            std::cmp::Ordering::Equal => Some(self.floor.last.term),
            std::cmp::Ordering::Greater => self.entry(index).map(|entry| entry.term),
        }
    }

    pub(super) fn entry(&self, index: Index) -> Option<&Entry> {
        let at = index.checked_sub(self.floor.last.index + 1)?;
        self.entries.get(usize::try_from(at).ok()?)
    }

    /// Whether it holds this entry, or a snapshot that covers it.
    pub(super) fn holds(&self, id: LogId) -> bool {
        id.index < self.floor.last.index || self.term_at(id.index) == Some(id.term)
    }

    fn write(&mut self, write: &Write) {
        self.hard_state = write.hard_state.unwrap_or(self.hard_state);
        match &write.what {
            What::Entries(entries) => {
                if let Some(first) = entries.first() {
                    self.entries.retain(|entry| entry.index < first.index);
                }
                self.entries.extend(entries.iter().cloned());
            }
            What::Snapshot { meta, truncate } => {
                let kept = |entry: &Entry| !truncate && entry.index > meta.last.index;
                self.entries.retain(kept);
                self.floor = meta.clone();
            }
        }
    }

    fn initial(&self) -> Initial {
        let mut terms: Vec<LogId> = Vec::new();
        for entry in &self.entries {
            if terms.last().is_none_or(|run| run.term != entry.term) {
                terms.push(entry.id());
            }
        }
        let sets = self
            .entries
            .iter()
            .filter(|e| e.kind == EntryKind::Configuration);
        let later = sets.filter_map(|entry| {
            let decoded = Configuration::decode(&entry.payload).ok()?;
            let index = entry.index;
            Some(Configuration { index, ..decoded })
        });
        let configurations = [self.floor.configuration.clone()].into_iter().chain(later);
        Initial {
            hard_state: self.hard_state,
            floor: self.floor.last,
            snapshot: (self.floor.last.index > 0).then(|| self.floor.clone()),
            terms,
            last: self.last().index,
            configurations: configurations.collect(),
        }
    }
}

impl Member {
    pub(super) fn new(config: Config, configuration: Configuration, now: Instant) -> Self {
        let image = Image {
            hard_state: HardState::default(),
            floor: SnapshotMeta {
                last: LogId::default(),
                configuration,
            },
            entries: Vec::new(),
        };
        Self {
            raft: Raft::new(config.clone(), image.initial(), now, 0),
            hangs: false,
            durable: image.clone(),
            asked: image,
            config,
            writes: VecDeque::new(),
        }
    }

    pub(super) fn crash(&mut self, now: Instant) {
        self.writes.clear();
        self.asked = self.durable.clone();
        self.hangs = false;
        self.raft = Raft::new(self.config.clone(), self.durable.initial(), now, 0);
    }

    /// Takes the effects that write.
    pub(super) fn take(&mut self, effect: Effect) {
        let write = match effect {
            Effect::Persist {
                id,
                hard_state,
                entries,
            } => Write {
                id,
                hard_state,
                what: What::Entries(entries),
            },
            Effect::InstallSnapshot {
                id,
                hard_state,
                meta,
                truncate,
            } => Write {
                id,
                hard_state,
                what: What::Snapshot { meta, truncate },
            },
            _ => return,
        };
        self.asked.write(&write);
        self.writes.push_back(write);
    }

    pub(super) fn has_writes(&self) -> bool {
        !self.writes.is_empty()
    }

    /// The disk finishes its oldest write.
    pub(super) fn write(&mut self) -> Option<Written> {
        let write = self.writes.pop_front()?;
        self.durable.write(&write);
        Some(Written { id: write.id })
    }

    pub(super) fn entries(&self, from: Index, through: Index) -> Vec<Entry> {
        let wanted = (from..=through).map_while(|index| self.asked.entry(index));
        wanted.cloned().collect()
    }

    pub(super) fn snapshot(&self) -> SnapshotMeta {
        self.asked.floor.clone()
    }

    /// A snapshot of everything up to `index` takes the place of the log there.
    pub(super) fn compact(&mut self, index: Index) -> Option<Input> {
        let last = LogId {
            term: self.asked.term_at(index)?,
            index,
        };
        let configuration = self.raft.configuration_at(index)?.clone();
        let meta = SnapshotMeta {
            last,
            configuration,
        };
        for image in [&mut self.asked, &mut self.durable] {
            image.entries.retain(|entry| entry.index > index);
            image.floor = meta.clone();
        }
        Some(Input::Compacted {
            floor: last,
            snapshot: meta,
        })
    }
}
