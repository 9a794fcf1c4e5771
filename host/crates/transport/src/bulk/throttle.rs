//! How fast bulk data may leave this node.

use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::limits::{BULK_CHUNK_BYTES, MIN_BULK_CHUNK_BYTES, MIN_BULK_RATE};

/// A rate that all transfers share. Each chunk is paid for after it was sent, so that a transfer
/// never waits for more than the chunks before it.
#[derive(Debug)]
pub(crate) struct Throttle {
    /// Bytes per second; zero is no limit.
    rate: watch::Sender<u64>,
    /// When what has been sent is paid for.
    paid_at: Mutex<Option<Instant>>,
}

impl Throttle {
    pub(crate) fn new(rate: u64) -> Self {
        let throttle = Self {
            rate: watch::Sender::new(0),
            paid_at: Mutex::default(),
        };
        throttle.set(rate);
        throttle
    }

    /// Takes effect at once, also for who waits already.
    pub(crate) fn set(&self, rate: u64) {
        let rate = if rate == 0 {
            0
        } else {
            rate.max(MIN_BULK_RATE)
        };
        *self.paid_at.lock().expect("no panic under the lock") = None;
        self.rate.send_replace(rate);
    }

    pub(crate) fn rate(&self) -> u64 {
        *self.rate.borrow()
    }

    /// How much to send at once: about a quarter of a second's worth.
    pub(crate) fn chunk(&self) -> usize {
        let quarter = match self.rate() {
            0 => usize::MAX,
            rate => usize::try_from(rate / 4).unwrap_or(usize::MAX),
        };
        quarter.clamp(MIN_BULK_CHUNK_BYTES, BULK_CHUNK_BYTES)
    }

    /// Waits until so many bytes may be sent.
    pub(crate) async fn take(&self, bytes: usize) {
        let mut changes = self.rate.subscribe();
        loop {
            let rate = *changes.borrow_and_update();
            let Some(wait_until) = self.book(rate, bytes, Instant::now()) else {
                return;
            };
            tokio::select! {
                () = tokio::time::sleep_until(wait_until) => return,
                // Booked at the old rate, and forgotten by `set`.
                _ = changes.changed() => {}
            }
        }
    }

    /// Books the bytes; answers until when to wait for those before them.
    fn book(&self, rate: u64, bytes: usize, now: Instant) -> Option<Instant> {
        if rate == 0 {
            return None;
        }
        let cost = Duration::from_secs_f64(bytes as f64 / rate as f64);
        let mut paid_at = self.paid_at.lock().expect("no panic under the lock");
        let begin = paid_at.map_or(now, |at| at.max(now));
        *paid_at = Some(begin + cost);
        (begin > now).then_some(begin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_booked_one_after_the_other_at_the_rate() {
        let throttle = Throttle::new(1 << 20);
        let now = Instant::now();
        let book = |at| throttle.book(throttle.rate(), 512 << 10, at);
        let half = Duration::from_millis(500);
        assert_eq!(book(now), None, "nothing was sent yet");
        assert_eq!(book(now), Some(now + half));
        assert_eq!(book(now), Some(now + 2 * half));
        assert_eq!(book(now + 4 * half), None, "long paid for");
        throttle.set(0);
        assert_eq!(book(now), None);
    }

    #[test]
    fn a_rate_that_would_look_like_a_stall_is_raised_and_small_rates_take_small_chunks() {
        assert_eq!(Throttle::new(1).rate(), MIN_BULK_RATE);
        assert_eq!(Throttle::new(MIN_BULK_RATE).chunk(), MIN_BULK_CHUNK_BYTES);
        assert_eq!(Throttle::new(0).chunk(), BULK_CHUNK_BYTES);
    }
}
