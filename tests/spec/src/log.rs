//! A log from its first entry on.

use crate::event::{Configuration, Entry};
use crate::{Index, LogId, Term};

/// All entries from index 1 on; a snapshot is a prefix of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Log {
    entries: Vec<Entry>,
    /// Where configurations are set.
    configurations: Vec<Index>,
}

impl Log {
    pub(crate) fn len(&self) -> Index {
        self.entries.len() as Index
    }

    pub(crate) fn last(&self) -> LogId {
        self.entries.last().map(Entry::id).unwrap_or_default()
    }

    pub(crate) fn entry(&self, index: Index) -> Option<&Entry> {
        self.entries.get(position(index)?)
    }

    pub(crate) fn term_at(&self, index: Index) -> Option<Term> {
        match index {
            0 => Some(0),
            _ => self.entry(index).map(|entry| entry.term),
        }
    }

    /// The entries from this index through that one, as far as there are any.
    pub(crate) fn range(&self, from: Index, through: Index) -> &[Entry] {
        let from = position(from).unwrap_or(0).min(self.entries.len());
        let end = usize::try_from(through).unwrap_or(usize::MAX);
        &self.entries[from..end.clamp(from, self.entries.len())]
    }

    /// Puts entries where the first of them belongs, in place of everything from there on.
    pub(crate) fn put(&mut self, entries: &[Entry]) {
        let Some(first) = entries.first() else {
            return;
        };
        self.entries.truncate(position(first.index).unwrap_or(0));
        let keep = self.configurations.partition_point(|at| *at < first.index);
        self.configurations.truncate(keep);
        for entry in entries {
            if entry.configuration.is_some() {
                self.configurations.push(entry.index);
            }
            self.entries.push(entry.clone());
        }
    }

    /// Drops everything above `last`.
    pub(crate) fn cut(&mut self, last: Index) {
        let end = usize::try_from(last).unwrap_or(usize::MAX);
        self.entries.truncate(end);
        let keep = self.configurations.partition_point(|at| *at <= last);
        self.configurations.truncate(keep);
    }

    /// Where the last configuration is set.
    pub(crate) fn configured_at(&self) -> Index {
        self.configurations.last().copied().unwrap_or(0)
    }

    /// The configurations in force at `index` and set later; `base` where none is set below.
    pub(crate) fn configurations_since<'a>(
        &'a self,
        index: Index,
        base: &'a Configuration,
    ) -> impl Iterator<Item = &'a Configuration> {
        let later = self.configurations.partition_point(|at| *at <= index);
        let then = later.checked_sub(1).map(|at| self.configurations[at]);
        let set = |at: Index| self.entry(at)?.configuration.as_ref();
        let then = then.and_then(set).unwrap_or(base);
        let later = self.configurations[later..].iter();
        std::iter::once(then).chain(later.filter_map(move |at| set(*at)))
    }

    /// The first entry of this term at or above `index`. Terms never fall in a log.
    pub(crate) fn first_of(&self, term: Term, index: Index) -> Option<Index> {
        let at = self.entries.partition_point(|entry| entry.term < term);
        let at = at.max(position(index)?);
        let entry = self.entries.get(at)?;
        (entry.term == term).then_some(entry.index)
    }
}

/// Where the entry of this index stands.
fn position(index: Index) -> Option<usize> {
    usize::try_from(index.checked_sub(1)?).ok()
}
