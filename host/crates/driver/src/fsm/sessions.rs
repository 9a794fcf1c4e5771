//! The session table: what came out of the last commands that carried a key, so that a retry gets
//! the same answer and has no second effect.

use std::collections::{BTreeMap, VecDeque};

use coracle_proto::Index;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::options::{SESSION_BYTES, SESSION_COMMANDS, SESSION_OVERHEAD};
use super::verdict::outcome_len;
use crate::Digest;
use crate::mutant::mutant;
use crate::task::Outcome;

/// A hashed key.
pub(super) type Key = [u8; 16];

/// What is remembered of one command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Session {
    pub(super) key: Key,
    pub(super) body: Digest,
    pub(super) index: Index,
    pub(super) outcome: Outcome,
}

/// The table. First in, first out, bounded in commands and bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Sessions {
    by_key: BTreeMap<Key, Session>,
    order: VecDeque<Key>,
    bytes: usize,
}

impl Sessions {
    pub(super) fn get(&self, key: &Key) -> Option<&Session> {
        self.by_key.get(key)
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// Remembers a command. One whose key is known is left as it is: the first outcome counts.
    /// Answers how many others are forgotten for it.
    pub(super) fn insert(&mut self, session: Session) -> usize {
        if self.by_key.contains_key(&session.key) {
            return 0;
        }
        let before = self.order.len();
        self.bytes += size(&session);
        self.order.push_back(session.key);
        self.by_key.insert(session.key, session);
        while self.order.len() > 1 && self.is_full() {
            self.evict();
        }
        before + 1 - self.order.len()
    }

    /// All of them, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Session> {
        self.order.iter().filter_map(|key| self.by_key.get(key))
    }

    fn is_full(&self) -> bool {
        let too_early = mutant!(DedupTooEarly) && self.order.len() > 2;
        too_early || self.order.len() > SESSION_COMMANDS || self.bytes > SESSION_BYTES
    }

    fn evict(&mut self) {
        let oldest = self.order.pop_front();
        if let Some(session) = oldest.and_then(|key| self.by_key.remove(&key)) {
            self.bytes -= size(&session);
        }
    }
}

/// Digest of a command's body.
pub(super) fn body_digest(body: &[u8]) -> Digest {
    Digest(Sha256::digest(body).into())
}

fn size(session: &Session) -> usize {
    SESSION_OVERHEAD + outcome_len(&session.outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(number: u64, outcome: usize) -> Session {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&number.to_le_bytes());
        Session {
            key,
            body: Digest([0; 32]),
            index: number,
            outcome: Outcome::Ok(vec![0; outcome]),
        }
    }

    #[test]
    fn the_oldest_is_forgotten_first_when_there_are_too_many() {
        let mut sessions = Sessions::default();
        for number in 0..=SESSION_COMMANDS as u64 {
            sessions.insert(session(number, 0));
        }
        assert_eq!(sessions.len(), SESSION_COMMANDS);
        assert!(sessions.get(&session(0, 0).key).is_none());
        assert!(sessions.get(&session(1, 0).key).is_some());
    }

    #[test]
    fn the_oldest_are_forgotten_when_there_are_too_many_bytes_but_never_the_newest() {
        let mut sessions = Sessions::default();
        sessions.insert(session(1, 10));
        sessions.insert(session(2, SESSION_BYTES / 2));
        assert_eq!(sessions.insert(session(4, 2 * SESSION_BYTES)), 2);
        assert_eq!(sessions.insert(session(2, SESSION_BYTES)), 1);
        assert_eq!(sessions.iter().map(|s| s.index).collect::<Vec<_>>(), [2]);
        sessions.insert(session(3, 10));
        assert_eq!(sessions.iter().map(|s| s.index).collect::<Vec<_>>(), [3]);
        assert_eq!(sessions.bytes, SESSION_OVERHEAD + 10);
    }

    #[test]
    fn the_first_outcome_of_a_key_stays() {
        let mut sessions = Sessions::default();
        sessions.insert(session(1, 1));
        sessions.insert(Session {
            index: 9,
            ..session(1, 2)
        });
        assert_eq!(sessions.get(&session(1, 0).key).map(|s| s.index), Some(1));
        assert_eq!(sessions.len(), 1);
    }
}
