//! The terms of the whole log as runs: what the core keeps of entries that it no longer holds.

use crate::{Index, LogId, Term};

/// The first entry of each run of equal terms, above the floor, ascending in both.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Terms {
    floor: LogId,
    runs: Vec<LogId>,
    last: Index,
}

impl Terms {
    /// `None` unless the runs ascend in index and term, begin just above the floor, and end at or
    /// below `last`.
    pub(crate) fn new(floor: LogId, runs: Vec<LogId>, last: Index) -> Option<Self> {
        let ascending = runs
            .windows(2)
            .all(|pair| pair[0].index < pair[1].index && pair[0].term < pair[1].term);
        let bounded = match (runs.first(), runs.last()) {
            (Some(first), Some(end)) => {
                first.index == floor.index + 1 && first.term >= floor.term && end.index <= last
            }
            _ => last == floor.index,
        };
        (ascending && bounded).then_some(Self { floor, runs, last })
    }

    pub(crate) fn floor(&self) -> LogId {
        self.floor
    }

    pub(crate) fn last(&self) -> LogId {
        let term = self.runs.last().map_or(self.floor.term, |run| run.term);
        LogId {
            term,
            index: self.last,
        }
    }

    pub(crate) fn term_at(&self, index: Index) -> Option<Term> {
        if index == self.floor.index {
            return Some(self.floor.term);
        }
        if index < self.floor.index || index > self.last {
            return None;
        }
        let after = self.runs.partition_point(|run| run.index <= index);
        Some(self.runs.get(after.checked_sub(1)?)?.term)
    }

    /// The highest entry at or below `bound.index` whose term is at most `bound.term`: where two
    /// logs may agree, given that one holds `bound` there. Skips whole terms at a time.
    pub(crate) fn at_most(&self, bound: LogId) -> LogId {
        let index = bound.index.min(self.last);
        let after = self
            .runs
            .partition_point(|run| run.index <= index && run.term <= bound.term);
        let Some(run) = after.checked_sub(1).and_then(|i| self.runs.get(i)) else {
            return self.floor;
        };
        let end = self
            .runs
            .get(after)
            .map_or(self.last, |next| next.index - 1);
        LogId {
            term: run.term,
            index: index.min(end),
        }
    }

    /// The caller has checked that `id` comes right after the last entry.
    pub(crate) fn push(&mut self, id: LogId) {
        if self.runs.last().is_none_or(|run| run.term != id.term) {
            self.runs.push(id);
        }
        self.last = id.index;
    }

    /// Drops `from` and everything after it.
    pub(crate) fn truncate(&mut self, from: Index) {
        while self.runs.pop_if(|run| run.index >= from).is_some() {}
        self.last = self.last.min(from.saturating_sub(1)).max(self.floor.index);
    }

    /// Drops everything up to `floor`, which is an entry of this log.
    pub(crate) fn compact(&mut self, floor: LogId) {
        let after = self.runs.partition_point(|run| run.index <= floor.index);
        let split = after
            .checked_sub(1)
            .and_then(|i| self.runs.get(i))
            .filter(|_| floor.index < self.last)
            .map(|run| LogId {
                term: run.term,
                index: floor.index + 1,
            });
        self.runs.drain(..after);
        let next_starts = self
            .runs
            .first()
            .is_some_and(|run| run.index == floor.index + 1);
        if let Some(split) = split.filter(|_| !next_starts) {
            self.runs.insert(0, split);
        }
        self.floor = floor;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(term: Term, index: Index) -> LogId {
        LogId { term, index }
    }

    /// Floor 1/3, then terms 1 1 4 4 4 6.
    fn terms() -> Terms {
        Terms::new(id(1, 3), vec![id(1, 4), id(4, 6), id(6, 9)], 9).expect("well formed")
    }

    #[test]
    fn terms_are_known_from_the_floor_to_the_last_entry() {
        let found: Vec<_> = (2..=10).map(|index| terms().term_at(index)).collect();
        let expected = [
            None,
            Some(1),
            Some(1),
            Some(1),
            Some(4),
            Some(4),
            Some(4),
            Some(6),
            None,
        ];
        assert_eq!(found, expected);
        assert_eq!(terms().last(), id(6, 9));
    }

    #[test]
    fn the_place_where_logs_may_agree_skips_whole_terms() {
        assert_eq!(terms().at_most(id(5, 9)), id(4, 8));
        assert_eq!(terms().at_most(id(4, 7)), id(4, 7));
        assert_eq!(terms().at_most(id(3, 20)), id(1, 5));
        assert_eq!(terms().at_most(id(9, 20)), id(6, 9));
        assert_eq!(
            terms().at_most(id(0, 20)),
            id(1, 3),
            "at the floor at the lowest"
        );
    }

    #[test]
    fn compaction_inside_and_at_the_end_of_a_run_keeps_the_terms_above() {
        for floor in 4..=9 {
            let mut compacted = terms();
            let term = compacted.term_at(floor).expect("in the log");
            compacted.compact(id(term, floor));
            for index in floor..=9 {
                assert_eq!(
                    compacted.term_at(index),
                    terms().term_at(index),
                    "{floor} {index}"
                );
            }
            assert_eq!(compacted.term_at(floor - 1), None);
            let again = Terms::new(compacted.floor, compacted.runs.clone(), compacted.last);
            assert_eq!(again, Some(compacted), "floor {floor}");
        }
    }

    #[test]
    fn truncation_forgets_the_runs_above() {
        let mut truncated = terms();
        truncated.truncate(7);
        assert_eq!(truncated.last(), id(4, 6));
        truncated.truncate(4);
        assert_eq!(truncated.last(), id(1, 3));
        truncated.push(id(7, 4));
        assert_eq!(truncated.term_at(4), Some(7));
    }

    #[test]
    fn runs_that_do_not_fit_are_refused() {
        assert_eq!(
            Terms::new(id(1, 3), vec![id(1, 5)], 9),
            None,
            "a gap above the floor"
        );
        assert_eq!(
            Terms::new(id(1, 3), vec![], 4),
            None,
            "entries without a term"
        );
        assert_eq!(
            Terms::new(id(2, 3), vec![id(1, 4)], 4),
            None,
            "a term below the floor's"
        );
        assert_eq!(
            Terms::new(id(1, 3), vec![id(1, 4), id(1, 6)], 9),
            None,
            "not a run"
        );
        assert_eq!(
            Terms::new(id(1, 3), vec![id(1, 4), id(2, 9)], 8),
            None,
            "beyond the last"
        );
    }
}
