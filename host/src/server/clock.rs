//! The two clocks of a node.

use std::time::{SystemTime, UNIX_EPOCH};

use coracle_proto::Instant;

/// Monotonic time since the node started, for timers; wall time, for entries.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    origin: std::time::Instant,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self {
            origin: std::time::Instant::now(),
        }
    }

    pub(super) fn now(&self) -> Instant {
        Instant(u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// Nanoseconds since the Unix epoch; zero before it.
    pub(super) fn wall() -> u64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| {
                u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
            })
    }
}
