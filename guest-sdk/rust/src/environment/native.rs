//! The world in native tests.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
};

use super::Level;

#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) time: u64,
    pub(super) stream: Cell<u64>,
    pub(super) config: BTreeMap<String, String>,
    pub(super) lines: RefCell<Vec<(Level, String)>>,
}

impl World {
    pub(super) fn time(&self) -> u64 {
        self.time
    }

    pub(super) fn random(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let next = self.next().to_le_bytes();
            chunk.copy_from_slice(&next[..chunk.len()]);
        }
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn next(&self) -> u64 {
        let state = self.stream.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.stream.set(state);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn config(&self, key: &str) -> Option<String> {
        self.config.get(key).cloned()
    }

    pub(super) fn log(&self, level: Level, message: &str) {
        self.lines.borrow_mut().push((level, message.to_owned()));
    }
}
