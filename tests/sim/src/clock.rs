//! The monotonic clock of one node: it runs too fast or too slow, and may jump ahead.

use coracle_proto::Instant;

/// Millionths.
const MILLION: i128 = 1_000_000;

/// A clock.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Clock {
    /// When its rate last changed, in nanoseconds of the world.
    since: u64,
    /// What it showed then.
    shown: u64,
    /// How much too fast it runs, in millionths.
    drift: i64,
}

impl Clock {
    /// A clock that begins at 0 with this drift.
    pub(crate) fn new(drift: i64) -> Self {
        Self {
            drift,
            ..Self::default()
        }
    }

    /// What it shows at this time of the world.
    pub(crate) fn at(&self, now: u64) -> Instant {
        let elapsed = i128::from(now.saturating_sub(self.since));
        let shown = elapsed + elapsed * i128::from(self.drift) / MILLION;
        Instant(self.shown + shown.max(0) as u64)
    }

    /// The time of the world at which it shows `deadline`.
    pub(crate) fn when(&self, deadline: Instant) -> u64 {
        let left = i128::from(deadline.0.saturating_sub(self.shown));
        let rate = MILLION + i128::from(self.drift);
        self.since + (left * MILLION / rate) as u64 + 1
    }

    /// From now on it runs at this rate.
    pub(crate) fn set_drift(&mut self, now: u64, drift: i64) {
        *self = Self {
            since: now,
            shown: self.at(now).0,
            drift,
        };
    }

    /// It jumps ahead.
    pub(crate) fn jump(&mut self, now: u64, by: u64) {
        *self = Self {
            since: now,
            shown: self.at(now).0 + by,
            drift: self.drift,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_never_goes_back_and_wakes_when_it_shows_the_deadline() {
        let mut clock = Clock::new(50_000);
        let before = clock.at(1_000_000);
        assert_eq!(before, Instant(1_050_000));
        clock.set_drift(1_000_000, -50_000);
        assert_eq!(clock.at(1_000_000), before);
        clock.jump(2_000_000, 500_000);
        assert_eq!(clock.at(2_000_000), Instant(2_500_000));
        let deadline = Instant(4_000_000);
        let when = clock.when(deadline);
        assert!(clock.at(when) >= deadline && clock.at(when - 10) < deadline);
    }
}
