//! Every command has one effect, with one outcome, at one index, however often it was sent. The
//! outcomes are worked out by a second, naive state machine that applies the committed history.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use coracle_driver::FailureClass;
use coracle_driver::payload::{Body, decode};
use coracle_driver::task::Outcome;
use coracle_proto::{Entry, EntryKind, Index};

use super::{Check, violated};

const NAME: &str = "exactly once";

/// The one command without a body of its own; it has no effect.
const TRAP: &str = "trap";

/// What the committed history means.
#[derive(Debug, Default)]
pub(super) struct ExactlyOnce {
    created: bool,
    map: BTreeMap<String, String>,
    keys: BTreeSet<[u8; 16]>,
    /// By body: every client's command has a body of its own.
    effects: BTreeMap<Bytes, (Index, Outcome)>,
    refused: BTreeSet<Bytes>,
}

impl ExactlyOnce {
    /// The next entry of the history.
    pub(super) fn committed(&mut self, entry: &Entry) -> Check {
        if entry.kind != EntryKind::Normal {
            return Ok(());
        }
        let payload = match decode(&entry.payload) {
            Ok(payload) => payload,
            Err(error) => return violated(NAME, format!("entry {}: {error}", entry.id())),
        };
        match payload.body {
            Body::Create(_) => self.created = true,
            Body::Commands(group) => {
                for (ordinal, header) in group.headers().iter().enumerate() {
                    let body = Bytes::copy_from_slice(group.body(ordinal));
                    self.command(entry.index, header.key, body)?;
                }
            }
            Body::Activate(_) | Body::Checkpoint | Body::Retire | Body::Restore { .. } => {}
        }
        Ok(())
    }

    fn command(&mut self, index: Index, key: Option<[u8; 16]>, body: Bytes) -> Check {
        let text = String::from_utf8_lossy(&body).into_owned();
        if self.refused.contains(&body) {
            return violated(
                NAME,
                format!("`{text}` is at {index}, but was called not applied"),
            );
        }
        let repeated = key.is_some_and(|key| self.keys.contains(&key));
        if !self.created || repeated {
            return Ok(());
        }
        self.keys.extend(key);
        let outcome = self.apply(&text);
        if body == TRAP {
            return Ok(());
        }
        match self.effects.insert(body, (index, outcome)) {
            Some((first, _)) => violated(
                NAME,
                format!("`{text}` takes effect at {first} and at {index}"),
            ),
            None => Ok(()),
        }
    }

    /// The commands that the simulator's clients use, as `NativeKv` means them.
    fn apply(&mut self, text: &str) -> Outcome {
        match text.split(' ').collect::<Vec<_>>()[..] {
            ["append", key, value] => {
                let old = self.map.entry(key.into()).or_default();
                old.push_str(value);
                Outcome::Ok(old.clone().into_bytes())
            }
            ["put", key, value] => {
                self.map.insert(key.into(), value.into());
                Outcome::Ok(Vec::new())
            }
            ["trap"] => Outcome::Failed(FailureClass::Trap),
            _ => Outcome::Refused(b"unknown command".to_vec()),
        }
    }

    /// A client was told this.
    pub(super) fn acknowledged(&self, body: &Bytes, index: Index, outcome: &Outcome) -> Check {
        let text = String::from_utf8_lossy(body);
        let trapped = Outcome::Failed(FailureClass::Trap);
        match self.effects.get(body) {
            None if body == TRAP && *outcome == trapped => Ok(()),
            Some((at, ours)) if *at == index && ours == outcome => Ok(()),
            Some((at, ours)) => violated(
                NAME,
                format!("`{text}` was called {outcome:?} at {index}, but is {ours:?} at {at}"),
            ),
            None => violated(
                NAME,
                format!("`{text}` was called applied at {index}, but is lost"),
            ),
        }
    }

    /// A client was told that this is not applied.
    pub(super) fn refused(&mut self, body: &Bytes) -> Check {
        if body == TRAP {
            return Ok(());
        }
        if let Some((at, _)) = self.effects.get(body) {
            let text = String::from_utf8_lossy(body);
            return violated(
                NAME,
                format!("`{text}` was called not applied, but is at {at}"),
            );
        }
        self.refused.insert(body.clone());
        Ok(())
    }
}
