//! What the core knows of its log: terms of all of it, configurations, and a tail of entries.

mod cache;
mod terms;

use cache::Cache;
use terms::Terms;

use crate::impossible::{Impossible, impossible};
use crate::mutant::mutant;
use crate::{Configuration, Entry, EntryKind, Index, Initial, LogId, SnapshotMeta, Term};

/// The log as this replica sees it: everything it has appended, durable or not.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Log {
    terms: Terms,
    /// Ascending by index; the first is in force at the floor.
    configurations: Vec<Configuration>,
    cache: Cache,
    cache_bytes: usize,
    /// Entries up to here are durable.
    durable: Index,
    /// Last entry of the newest snapshot.
    snapshot: LogId,
}

impl Log {
    pub(crate) fn new(initial: Initial, cache_bytes: usize) -> Result<Self, Impossible> {
        let Initial {
            hard_state,
            floor,
            snapshot,
            terms: runs,
            last,
            mut configurations,
        } = initial;
        let Some(terms) = Terms::new(floor, runs, last) else {
            return impossible!("the runs of terms do not fit a log from {floor} to index {last}");
        };
        if terms.last().term > hard_state.term {
            let (last, term) = (terms.last(), hard_state.term);
            return impossible!("the log ends with {last}, but the durable term is {term}");
        }
        if !configurations.is_sorted_by(|a, b| a.index < b.index) {
            return impossible!("the configurations are not in ascending order");
        }
        if configurations.first().is_none_or(|c| c.index > floor.index) {
            configurations.insert(0, Configuration::default());
        }
        Ok(Self {
            terms,
            configurations,
            cache: Cache::default(),
            cache_bytes,
            durable: last,
            snapshot: snapshot.map_or(floor, |meta| meta.last),
        })
    }

    /// An empty log, for a replica whose own could not be understood and which has halted.
    pub(crate) fn empty() -> Self {
        let floor = LogId::default();
        Self {
            terms: Terms::new(floor, Vec::new(), 0).expect("no runs fit an empty log"),
            configurations: vec![Configuration::default()],
            cache: Cache::default(),
            cache_bytes: 0,
            durable: 0,
            snapshot: floor,
        }
    }

    pub(crate) fn floor(&self) -> LogId {
        self.terms.floor()
    }

    pub(crate) fn last(&self) -> LogId {
        self.terms.last()
    }

    pub(crate) fn durable(&self) -> Index {
        self.durable
    }

    /// Last entry of the newest snapshot, at or above the floor.
    pub(crate) fn snapshot(&self) -> LogId {
        self.snapshot
    }

    pub(crate) fn term_at(&self, index: Index) -> Option<Term> {
        self.terms.term_at(index)
    }

    pub(crate) fn holds(&self, id: LogId) -> bool {
        self.term_at(id.index) == Some(id.term)
    }

    /// See [`Terms::at_most`].
    pub(crate) fn at_most(&self, bound: LogId) -> LogId {
        self.terms.at_most(bound)
    }

    /// The configuration in force: the last in the log, committed or not (thesis §4.1).
    pub(crate) fn configuration(&self) -> &Configuration {
        self.configurations
            .last()
            .expect("the first configuration is never dropped")
    }

    pub(crate) fn configuration_at(&self, index: Index) -> Option<&Configuration> {
        if index < self.floor().index {
            return None;
        }
        let after = self.configurations.partition_point(|c| c.index <= index);
        self.configurations.get(after.checked_sub(1)?)
    }

    /// The configurations set above `after` and up to `through`, ascending.
    pub(crate) fn configurations(
        &self,
        after: Index,
        through: Index,
    ) -> impl Iterator<Item = &Configuration> {
        let set = self.configurations.iter();
        set.filter(move |c| after < c.index && c.index <= through)
    }

    /// Appends one entry, which the caller has checked to come right after the last.
    pub(crate) fn append(&mut self, entry: Entry) -> Result<(), Impossible> {
        if entry.kind == EntryKind::Configuration {
            let id = entry.id();
            match Configuration::decode(&entry.payload) {
                Ok(mut configuration) => {
                    configuration.index = entry.index;
                    self.configurations.push(configuration);
                }
                Err(error) => return impossible!("entry {id}: {error}"),
            }
        }
        self.terms.push(entry.id());
        self.cache.push(entry);
        self.cache.shrink(self.cache_bytes, self.durable);
        Ok(())
    }

    /// Drops `from`, which is above the floor, and everything after it; configurations set there
    /// are rolled back.
    pub(crate) fn truncate(&mut self, from: Index) {
        self.terms.truncate(from);
        self.cache.truncate(from);
        self.durable = self.durable.min(from.saturating_sub(1));
        if mutant!(ConfigurationNotRolledBack) {
            return;
        }
        let first = self.configurations.len().min(1);
        let keep = self.configurations.partition_point(|c| c.index < from);
        self.configurations.truncate(keep.max(first));
    }

    /// The log is this snapshot and nothing else. Until its write is done no more than what was
    /// `committed` before counts as durable.
    pub(crate) fn install(&mut self, meta: &SnapshotMeta, committed: Index) {
        self.durable = self.durable.min(committed);
        self.terms = Terms::new(meta.last, Vec::new(), meta.last.index)
            .expect("no runs fit a log that ends at its floor");
        self.configurations = match mutant!(SnapshotKeepsConfiguration) {
            true => vec![self.configuration().clone()],
            false => vec![meta.configuration.clone()],
        };
        if mutant!(SnapshotMovesConfiguration) {
            self.configurations[0].index = meta.last.index;
        }
        self.cache = Cache::default();
        self.snapshot = meta.last;
    }

    /// Entries up to `floor`, which is in the log, are gone.
    pub(crate) fn compact(&mut self, floor: LogId) {
        self.terms.compact(floor);
        self.cache.compact(floor.index);
        let after = self
            .configurations
            .partition_point(|c| c.index <= floor.index);
        self.configurations.drain(..after.saturating_sub(1));
    }

    pub(crate) fn snapshot_taken(&mut self, last: LogId) {
        self.snapshot = self.snapshot.max(last);
    }

    pub(crate) fn persisted(&mut self, through: Index) {
        self.durable = self.durable.max(through);
        self.cache.shrink(self.cache_bytes, self.durable);
    }

    /// See [`Cache::slice`].
    pub(crate) fn cached(
        &self,
        from: Index,
        through: Index,
        max_bytes: usize,
        max_entries: usize,
    ) -> Option<Vec<Entry>> {
        self.cache.slice(from, through, max_bytes, max_entries)
    }

    /// The last entry that has to be read from the log rather than the cache.
    pub(crate) fn uncached(&self) -> Index {
        self.cache
            .first()
            .map_or(self.last().index, |first| first.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::NodeId;

    fn entry(term: Term, index: Index) -> Entry {
        Entry {
            term,
            index,
            kind: EntryKind::Normal,
            payload: Bytes::from_static(b"x"),
        }
    }

    fn configuration_entry(index: Index, nodes: &[u64]) -> Entry {
        let configuration = Configuration::initial(nodes.iter().copied().map(NodeId));
        Entry {
            kind: EntryKind::Configuration,
            payload: configuration.encode(),
            ..entry(1, index)
        }
    }

    fn log() -> Log {
        let initial = Initial {
            configurations: vec![Configuration::initial([NodeId(1)])],
            ..Initial::default()
        };
        Log::new(initial, 1 << 20).expect("well formed")
    }

    fn voters(log: &Log) -> Vec<u64> {
        let voters = &log.configuration().voters;
        voters.iter().map(|id| id.node.0).collect()
    }

    #[test]
    fn a_configuration_is_in_force_from_its_append_and_rolled_back_with_it() {
        let mut log = log();
        log.append(entry(1, 1)).expect("fits");
        log.append(configuration_entry(2, &[1, 2])).expect("fits");
        log.append(configuration_entry(3, &[1, 2, 3]))
            .expect("fits");
        assert_eq!(voters(&log), [1, 2, 3]);
        assert_eq!(log.configuration().index, 3);

        log.truncate(3);
        assert_eq!(voters(&log), [1, 2]);
        log.truncate(1);
        assert_eq!(voters(&log), [1]);
    }

    #[test]
    fn compaction_keeps_the_configuration_in_force_at_the_floor() {
        let mut log = log();
        log.append(entry(1, 1)).expect("fits");
        log.append(configuration_entry(2, &[1, 2])).expect("fits");
        log.append(entry(1, 3)).expect("fits");
        log.append(configuration_entry(4, &[1])).expect("fits");
        log.compact(LogId { term: 1, index: 3 });
        assert_eq!(log.configuration_at(3).map(|c| c.index), Some(2));
        assert_eq!(log.configuration_at(4).map(|c| c.index), Some(4));
        assert_eq!(log.configuration_at(2), None);
    }

    #[test]
    fn an_undecodable_configuration_is_impossible() {
        let bad = Entry {
            kind: EntryKind::Configuration,
            ..entry(1, 1)
        };
        assert!(log().append(bad).is_err());
    }

    #[test]
    fn a_log_beyond_its_durable_term_is_impossible() {
        let initial = Initial {
            terms: vec![LogId { term: 2, index: 1 }],
            last: 1,
            ..Initial::default()
        };
        assert!(Log::new(initial, 0).is_err());
    }
}
