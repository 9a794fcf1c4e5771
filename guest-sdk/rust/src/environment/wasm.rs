//! The world as the host gives it.

use crate::guest::bindings::coracle::fsm::{environment, log};

use super::Level;

/// What one call may ask for (`wit/coracle-fsm.wit`).
const MAX_RANDOM: usize = 65_536;

#[derive(Debug)]
pub(super) struct World;

impl World {
    pub(super) fn time(&self) -> u64 {
        environment::time()
    }

    pub(super) fn random(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(MAX_RANDOM) {
            chunk.copy_from_slice(&environment::random(chunk.len() as u32));
        }
    }

    pub(super) fn config(&self, key: &str) -> Option<String> {
        String::from_utf8(environment::config(key.as_bytes())?).ok()
    }

    pub(super) fn log(&self, level: Level, message: &str) {
        log::write(level as u8, message.as_bytes());
    }
}
