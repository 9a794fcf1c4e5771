//! How much of the log below a snapshot is worth keeping.

use std::collections::VecDeque;

use coracle_proto::Index;

/// Bytes between two samples.
const SAMPLE_BYTES: u64 = 64 << 10;

/// Sizes of the entries appended since the start, by samples. Entries from before the start count
/// as empty: they are bounded by their number alone.
#[derive(Debug, Default)]
pub(super) struct Tail {
    /// (index, bytes of all entries up to it), ascending.
    samples: VecDeque<(Index, u64)>,
    bytes: u64,
    last: Index,
}

impl Tail {
    /// An entry was appended, replacing any at or above its index.
    pub(super) fn append(&mut self, index: Index, bytes: u64) {
        if index <= self.last {
            self.truncate(index);
        }
        self.bytes += bytes;
        self.last = index;
        let sampled = self.samples.back().map_or(0, |(_, bytes)| *bytes);
        if self.bytes - sampled >= SAMPLE_BYTES {
            self.samples.push_back((index, self.bytes));
        }
    }

    fn truncate(&mut self, from: Index) {
        while self.samples.back().is_some_and(|(at, _)| *at >= from) {
            self.samples.pop_back();
            self.bytes = self.samples.back().map_or(0, |(_, bytes)| *bytes);
        }
    }

    /// The highest index that may go when a snapshot covers everything up to `covered`.
    pub(super) fn floor(&self, covered: Index, keep_entries: u64, keep_bytes: u64) -> Index {
        let by_entries = covered.saturating_sub(keep_entries);
        let below = |bound: u64| {
            let mut downwards = self.samples.iter().rev().copied();
            downwards.find(|(at, bytes)| *at <= covered && *bytes <= bound)
        };
        let total = below(u64::MAX).map_or(0, |(_, bytes)| bytes);
        let by_bytes = total
            .checked_sub(keep_bytes)
            .and_then(below)
            .map_or(0, |(at, _)| at);
        by_entries.max(by_bytes)
    }

    /// Forgets what lies at or below the floor.
    pub(super) fn compact(&mut self, floor: Index) {
        while self.samples.len() > 1 && self.samples[1].0 <= floor {
            self.samples.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_bounded_by_entries() {
        let mut tail = Tail::default();
        (1..=100).for_each(|index| tail.append(index, 10));
        assert_eq!(tail.floor(100, 30, 1 << 20), 70);
        assert_eq!(tail.floor(20, 30, 1 << 20), 0);
    }

    #[test]
    fn the_tail_is_bounded_by_bytes() {
        let mut tail = Tail::default();
        (1..=100).for_each(|index| tail.append(index, SAMPLE_BYTES));
        assert_eq!(tail.floor(100, 1000, 10 * SAMPLE_BYTES), 90);
        assert_eq!(tail.floor(50, 1000, 10 * SAMPLE_BYTES), 40);
        tail.compact(90);
        assert_eq!(tail.floor(100, 1000, 5 * SAMPLE_BYTES), 95);
    }

    #[test]
    fn replaced_entries_no_longer_count() {
        let mut tail = Tail::default();
        (1..=100).for_each(|index| tail.append(index, SAMPLE_BYTES));
        (51..=60).for_each(|index| tail.append(index, 0));
        assert_eq!(tail.floor(60, 1000, 10 * SAMPLE_BYTES), 40);
    }
}
