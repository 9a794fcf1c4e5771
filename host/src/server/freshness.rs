//! How old the state of a group may be on this node.
//!
//! A read point that the leader confirmed covers everything acknowledged before it was asked for.
//! Once it is applied here, the state here is no older than the time since the question.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use coracle_proto::{GroupId, Index};

/// The newest confirmed read point of each group.
#[derive(Debug, Default)]
pub(super) struct Freshness(Mutex<BTreeMap<GroupId, Point>>);

#[derive(Debug, Clone, Copy)]
struct Point {
    index: Index,
    asked: Instant,
}

impl Freshness {
    /// A leader confirmed `index` when it was asked at `asked` or later.
    pub(super) fn confirmed(&self, group: GroupId, index: Index, asked: Instant) {
        let mut points = self.points();
        let point = points.entry(group).or_insert(Point { index, asked });
        if asked > point.asked {
            *point = Point { index, asked };
        }
    }

    /// The age of a state that has applied `applied`, as far as it is known.
    pub(super) fn age(&self, group: GroupId, applied: Index) -> Option<Duration> {
        let point = self.points().get(&group).copied()?;
        (applied >= point.index).then(|| point.asked.elapsed())
    }

    /// A group is gone from this node.
    pub(super) fn forget(&self, group: GroupId) {
        self.points().remove(&group);
    }

    fn points(&self) -> MutexGuard<'_, BTreeMap<GroupId, Point>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: GroupId = GroupId(3);

    #[test]
    fn a_state_has_an_age_once_the_confirmed_point_is_applied() {
        let freshness = Freshness::default();
        assert_eq!(freshness.age(GROUP, 9), None);
        freshness.confirmed(GROUP, 7, Instant::now());
        assert_eq!(freshness.age(GROUP, 6), None);
        assert!(freshness.age(GROUP, 7).is_some());
        freshness.forget(GROUP);
        assert_eq!(freshness.age(GROUP, 7), None);
    }

    #[test]
    fn an_answer_that_was_overtaken_makes_no_state_older() {
        let freshness = Freshness::default();
        let early = Instant::now();
        let late = early + Duration::from_millis(1);
        freshness.confirmed(GROUP, 8, late);
        freshness.confirmed(GROUP, 7, early);
        assert_eq!(freshness.age(GROUP, 7), None);
    }
}
