//! How old the state of a group may be on this node, by its monotonic clock.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use coracle_driver::fsm;
use coracle_proto::{GroupId, Index, Instant};

use super::clock::Clock;

/// The newest confirmed read point of each group.
#[derive(Debug)]
pub(super) struct Freshness {
    clock: Clock,
    points: Mutex<fsm::Freshness>,
}

impl Freshness {
    /// Nothing is confirmed.
    pub(super) fn start() -> Self {
        Self {
            clock: Clock::start(),
            points: Mutex::default(),
        }
    }

    /// To be taken before a leader is asked.
    pub(super) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// A leader confirmed `index` when it was asked at `asked` or later.
    pub(super) fn confirmed(&self, group: GroupId, index: Index, asked: Instant) {
        self.points().confirmed(group, index, asked);
    }

    /// The age of a state that has applied `applied`, as far as it is known.
    pub(super) fn age(&self, group: GroupId, applied: Index) -> Option<Duration> {
        self.points().age(group, applied, self.now())
    }

    /// A group is gone from this node.
    pub(super) fn forget(&self, group: GroupId) {
        self.points().forget(group);
    }

    fn points(&self) -> MutexGuard<'_, fsm::Freshness> {
        self.points.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
