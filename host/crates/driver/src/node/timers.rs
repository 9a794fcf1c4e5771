//! When which group wants to be woken. Idle groups cost nothing until their time comes.

use std::collections::{BTreeMap, BTreeSet};

use coracle_proto::{GroupId, Instant};

/// One deadline per group, ordered by time.
#[derive(Debug, Default)]
pub(super) struct Timers {
    order: BTreeSet<(Instant, GroupId)>,
    armed: BTreeMap<GroupId, Instant>,
}

impl Timers {
    /// Sets, moves or clears the deadline of a group.
    pub(super) fn arm(&mut self, group: GroupId, deadline: Option<Instant>) {
        let before = match deadline {
            Some(at) => self.armed.insert(group, at),
            None => self.armed.remove(&group),
        };
        if before == deadline {
            return;
        }
        if let Some(at) = before {
            self.order.remove(&(at, group));
        }
        if let Some(at) = deadline {
            self.order.insert((at, group));
        }
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<Instant> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Groups whose deadline has come, those that have waited longest first.
    pub(super) fn due(&self, now: Instant, limit: usize) -> Vec<GroupId> {
        self.order
            .iter()
            .take_while(|(at, _)| *at <= now)
            .take(limit)
            .map(|(_, group)| *group)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_one_deadline_and_the_earliest_comes_first() {
        let mut timers = Timers::default();
        timers.arm(GroupId(1), Some(Instant(30)));
        timers.arm(GroupId(2), Some(Instant(20)));
        timers.arm(GroupId(1), Some(Instant(10)));
        assert_eq!(timers.next(), Some(Instant(10)));
        assert_eq!(timers.due(Instant(19), 9), [GroupId(1)]);
        timers.arm(GroupId(1), None);
        assert_eq!(timers.next(), Some(Instant(20)));
        assert_eq!(timers.due(Instant(30), 9), [GroupId(2)]);
    }
}
