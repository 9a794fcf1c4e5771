//! The tail of the log in memory.

use std::collections::VecDeque;

use crate::{Entry, Index};

/// Entries kept in memory, whatever their size: payloads may be empty.
const MAX_CACHED_ENTRIES: usize = 1 << 16;

/// Consecutive entries that end with the last of the log.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Cache {
    entries: VecDeque<Entry>,
    bytes: usize,
}

impl Cache {
    /// Index of the first entry.
    pub(crate) fn first(&self) -> Option<Index> {
        self.entries.front().map(|entry| entry.index)
    }

    pub(crate) fn push(&mut self, entry: Entry) {
        self.bytes += entry.payload.len();
        self.entries.push_back(entry);
    }

    /// Drops `from` and everything after it.
    pub(crate) fn truncate(&mut self, from: Index) {
        while let Some(last) = self.entries.pop_back_if(|entry| entry.index >= from) {
            self.bytes -= last.payload.len();
        }
    }

    /// Drops everything up to `through`.
    pub(crate) fn compact(&mut self, through: Index) {
        self.pop_front_while(|_, entry| entry.index <= through);
    }

    /// Keeps to the limits, but never drops what the log cannot be asked for yet.
    pub(crate) fn shrink(&mut self, max_bytes: usize, durable: Index) {
        self.pop_front_while(|cache, entry| {
            let full = cache.bytes > max_bytes || cache.entries.len() > MAX_CACHED_ENTRIES;
            full && entry.index <= durable
        });
    }

    /// The entries `from..=through`, at most `max_entries` with `max_bytes` of payload, but at
    /// least one; `None` if `from` is not here.
    pub(crate) fn slice(
        &self,
        from: Index,
        through: Index,
        max_bytes: usize,
        max_entries: usize,
    ) -> Option<Vec<Entry>> {
        let skip = usize::try_from(from.checked_sub(self.first()?)?).ok()?;
        let mut bytes = 0_usize;
        let entries: Vec<_> = self
            .entries
            .range(skip.min(self.entries.len())..)
            .take(max_entries.max(1))
            .take_while(|entry| {
                bytes = bytes.saturating_add(entry.payload.len());
                entry.index <= through && (entry.index == from || bytes <= max_bytes)
            })
            .cloned()
            .collect();
        (!entries.is_empty()).then_some(entries)
    }

    fn pop_front_while(&mut self, drop: impl Fn(&Self, &Entry) -> bool) {
        while self.entries.front().is_some_and(|entry| drop(self, entry)) {
            if let Some(first) = self.entries.pop_front() {
                self.bytes -= first.payload.len();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::EntryKind;

    fn cache(range: std::ops::RangeInclusive<Index>) -> Cache {
        let mut cache = Cache::default();
        for index in range {
            cache.push(Entry {
                term: 1,
                index,
                kind: EntryKind::Normal,
                payload: Bytes::from_static(b"0123456789"),
            });
        }
        cache
    }

    fn indexes(entries: Option<Vec<Entry>>) -> Option<Vec<Index>> {
        entries.map(|entries| entries.iter().map(|entry| entry.index).collect())
    }

    #[test]
    fn a_slice_keeps_its_limits_but_holds_at_least_one_entry() {
        let cache = cache(5..=9);
        assert_eq!(indexes(cache.slice(6, 8, 100, 100)), Some(vec![6, 7, 8]));
        assert_eq!(indexes(cache.slice(6, 9, 25, 100)), Some(vec![6, 7]));
        assert_eq!(indexes(cache.slice(6, 9, 100, 1)), Some(vec![6]));
        assert_eq!(indexes(cache.slice(6, 9, 0, 0)), Some(vec![6]));
    }

    #[test]
    fn what_is_not_cached_is_not_answered() {
        let cache = cache(5..=9);
        assert_eq!(cache.slice(4, 9, 100, 100), None);
        assert_eq!(cache.slice(10, 12, 100, 100), None);
        assert_eq!(cache.slice(7, 6, 100, 100), None);
    }

    #[test]
    fn entries_that_are_not_durable_are_never_dropped() {
        let mut cache = cache(1..=9);
        cache.shrink(20, 4);
        assert_eq!(cache.first(), Some(5));
        cache.shrink(20, 9);
        assert_eq!(cache.first(), Some(8));
        cache.truncate(9);
        assert_eq!(cache.bytes, 10);
    }
}
