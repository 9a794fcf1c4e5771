//! Random numbers as arguments.

use std::fmt;

/// Where the random bytes of entries come from: the operating system in a host, a seeded generator
/// in the simulator. Guests see them, so they must not be guessable.
pub trait Entropy: Send + fmt::Debug {
    /// Fresh random bytes for one entry.
    fn bytes(&mut self) -> [u8; 32];
}

/// A small generator (splitmix64) for the jitter of timers. Not for secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Jitter(u64);

impl Jitter {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
