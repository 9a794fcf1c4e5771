//! What a guest may know about the world.

use sha2::{Digest as _, Sha256};

/// Comes from the entry being applied, so it is the same on every replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Environment {
    /// Index of the entry.
    pub index: u64,
    /// Nanoseconds since the Unix epoch, stamped by the leader, never decreasing.
    pub time: u64,
    /// Random bytes drawn by the leader.
    pub seed: [u8; 32],
}

impl Environment {
    /// What instantiation and `describe` see: hash seeds are drawn there, and they must not differ
    /// between an instance that began at entry 1 and one restored at entry 1000.
    pub const CONSTANT: Self = Self {
        index: 0,
        time: 0,
        seed: [0; 32],
    };
}

/// Which call draws from a stream; keeps the streams of one entry apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Call {
    Instantiate = 0,
    Init = 1,
    Restore = 2,
    Snapshot = 3,
    Apply = 4,
    Query = 5,
}

/// A stream of random bytes: SHA-256 of (seed, index, call, ordinal, counter). Nothing is hashed
/// before the first byte is drawn, for most calls draw none.
#[derive(Debug)]
pub(crate) struct Random {
    seed: [u8; 32],
    index: u64,
    call: Call,
    ordinal: u32,
    counter: u64,
    block: [u8; 32],
    used: usize,
}

impl Random {
    /// `ordinal` counts the calls of this kind within one entry.
    pub(crate) fn new(environment: &Environment, call: Call, ordinal: u32) -> Self {
        let Environment { index, seed, .. } = *environment;
        Self {
            seed,
            index,
            call,
            ordinal,
            counter: 0,
            block: [0; 32],
            used: 32,
        }
    }

    pub(crate) fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            if self.used == self.block.len() {
                self.refill();
            }
            *byte = self.block[self.used];
            self.used += 1;
        }
    }

    fn refill(&mut self) {
        let mut hash = Sha256::new();
        hash.update(self.seed);
        hash.update(self.index.to_le_bytes());
        hash.update([self.call as u8]);
        hash.update(self.ordinal.to_le_bytes());
        hash.update(self.counter.to_le_bytes());
        self.block = hash.finalize().into();
        self.counter += 1;
        self.used = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(environment: &Environment, call: Call, ordinal: u32) -> [u8; 48] {
        let mut bytes = [0; 48];
        Random::new(environment, call, ordinal).fill(&mut bytes);
        bytes
    }

    #[test]
    fn stream_depends_on_seed_index_call_and_ordinal() {
        let base = Environment {
            index: 7,
            time: 1,
            seed: [3; 32],
        };
        let first = draw(&base, Call::Apply, 0);
        assert_eq!(
            first,
            draw(&Environment { time: 2, ..base }, Call::Apply, 0)
        );
        assert_ne!(
            first,
            draw(&Environment { index: 8, ..base }, Call::Apply, 0)
        );
        assert_ne!(
            first,
            draw(
                &Environment {
                    seed: [4; 32],
                    ..base
                },
                Call::Apply,
                0
            )
        );
        assert_ne!(first, draw(&base, Call::Snapshot, 0));
        assert_ne!(first, draw(&base, Call::Apply, 1));
    }

    #[test]
    fn stream_does_not_depend_on_how_it_is_cut() {
        let mut random = Random::new(&Environment::CONSTANT, Call::Init, 0);
        let mut bytes = [0; 48];
        for part in bytes.chunks_mut(5) {
            random.fill(part);
        }
        assert_eq!(bytes, draw(&Environment::CONSTANT, Call::Init, 0));
    }
}
