//! How old the state of a group may be on a node.
//!
//! A read point that the leader confirmed covers everything acknowledged before it was asked for.
//! Once it is applied here, the state here is no older than the time since the question.

use std::collections::BTreeMap;
use std::time::Duration;

use coracle_proto::{GroupId, Index, Instant};

/// The newest confirmed read point of each group.
#[derive(Debug, Default)]
pub struct Freshness(BTreeMap<GroupId, Point>);

#[derive(Debug, Clone, Copy)]
struct Point {
    index: Index,
    asked: Instant,
}

impl Freshness {
    /// A leader confirmed `index` when it was asked at `asked` or later, by this node's clock.
    pub fn confirmed(&mut self, group: GroupId, index: Index, asked: Instant) {
        let point = self.0.entry(group).or_insert(Point { index, asked });
        if asked > point.asked {
            *point = Point { index, asked };
        }
    }

    /// The age of a state that has applied `applied`, as far as it is known.
    pub fn age(&self, group: GroupId, applied: Index, now: Instant) -> Option<Duration> {
        let point = self.0.get(&group)?;
        (applied >= point.index).then(|| now.since(point.asked))
    }

    /// A group is gone from this node.
    pub fn forget(&mut self, group: GroupId) {
        self.0.remove(&group);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: GroupId = GroupId(3);

    #[test]
    fn a_state_has_an_age_once_the_confirmed_point_is_applied() {
        let mut freshness = Freshness::default();
        assert_eq!(freshness.age(GROUP, 9, Instant(50)), None);
        freshness.confirmed(GROUP, 7, Instant(20));
        assert_eq!(freshness.age(GROUP, 6, Instant(50)), None);
        let age = freshness.age(GROUP, 7, Instant(50));
        assert_eq!(age, Some(Duration::from_nanos(30)));
        freshness.forget(GROUP);
        assert_eq!(freshness.age(GROUP, 7, Instant(50)), None);
    }

    #[test]
    fn an_answer_that_was_overtaken_makes_no_state_older() {
        let mut freshness = Freshness::default();
        freshness.confirmed(GROUP, 8, Instant(20));
        freshness.confirmed(GROUP, 7, Instant(10));
        assert_eq!(freshness.age(GROUP, 7, Instant(50)), None);
    }
}
