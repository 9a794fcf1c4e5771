//! Every command has one effect, with one outcome, at one index, however often it was sent. The
//! outcomes are worked out by a second, naive state machine that applies the committed history.
//! A restored image takes effects back, and with them what is remembered of them: a command that is sent
//! again after that has one more.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use coracle_driver::payload::{Body, decode};
use coracle_driver::task::{Command, Outcome};
use coracle_driver::{Digest, FailureClass};
use coracle_history::{Action, Logged, Outcome as Said};
use coracle_proto::{Entry, EntryKind, GroupId, Index};

use super::{Check, Violation, violated};
use crate::client::session_of;

const NAME: &str = "exactly once";

/// The one command with neither a key nor a body of its own; it has no effect.
const TRAP: &str = "trap";

/// What the committed history means.
#[derive(Debug, Default)]
pub(super) struct ExactlyOnce {
    created: bool,
    state: State,
    /// One, or one more after each image that does not know of the one before.
    effects: BTreeMap<Name, Vec<Effect>>,
    /// State machines that took the place of another, or were to.
    upgrades: u64,
    refused: BTreeSet<Name>,
    /// What was restored, and where.
    restored: Vec<(Index, State)>,
    /// All commands since it was created.
    log: Vec<(Index, u32, Command)>,
}

/// What a snapshot holds.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    map: BTreeMap<String, String>,
    /// Where each key has its effect.
    sessions: BTreeMap<[u8; 16], Index>,
}

/// An effect of a command.
#[derive(Debug)]
pub(super) struct Effect {
    pub(super) index: Index,
    pub(super) outcome: Outcome,
    /// Upgrades before it.
    pub(super) upgrades: u64,
    /// It is a `get`.
    pub(super) reads: bool,
}

/// What becomes of a command at its place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// It has its effect, here.
    First(Name, Index),
    /// It is a repetition of what has its effect there.
    Again(Name, Index),
    /// It fails.
    Trap,
}

/// By what a command is known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    Key([u8; 16]),
    /// Without a key, every client's command has a body of its own.
    Body(Bytes),
}

impl Name {
    fn of(command: &Command) -> Self {
        match command.key {
            Some(key) => Self::Key(key),
            None => Self::Body(command.body.clone()),
        }
    }
}

impl ExactlyOnce {
    /// The next entry of the history. Returns what becomes of its commands, `None` if it is the
    /// host's or there is no state machine.
    pub(super) fn committed(
        &mut self,
        entry: &Entry,
        images: &BTreeMap<Digest, State>,
    ) -> Result<Option<Vec<Fate>>, Violation> {
        if entry.kind != EntryKind::Normal {
            return Ok(Some(Vec::new()));
        }
        let payload = decode(&entry.payload).map_err(|error| Violation {
            invariant: NAME,
            detail: format!("entry {}: {error}", entry.id()),
        })?;
        match payload.body {
            Body::Create(_) => self.created = true,
            Body::Commands(group) => {
                let mut fates = Vec::with_capacity(group.len());
                for (ordinal, header) in group.headers().iter().enumerate() {
                    let body = Bytes::copy_from_slice(group.body(ordinal));
                    let key = header.key;
                    let command = Command { body, key };
                    fates.extend(self.command(entry.index, ordinal as u32, command)?);
                }
                return Ok(self.created.then_some(fates));
            }
            Body::Activate(_) => self.upgrades += 1,
            Body::Restore { image, .. } if self.created => {
                let state = images.get(&image).cloned();
                let state = state.ok_or_else(|| Violation {
                    invariant: NAME,
                    detail: format!("{} restores {image}, which nobody has", entry.id()),
                })?;
                self.restored.push((entry.index, state.clone()));
                self.state = state;
            }
            Body::Checkpoint | Body::Retire | Body::Restore { .. } => {}
        }
        Ok(None)
    }

    /// What became of a command.
    pub(super) fn effect(&self, fate: &Fate) -> Option<&Effect> {
        match fate {
            Fate::First(name, index) | Fate::Again(name, index) => {
                let effects = self.effects.get(name)?;
                effects.iter().find(|effect| effect.index == *index)
            }
            Fate::Trap => None,
        }
    }

    /// What a snapshot up to this index holds.
    pub(super) fn at(&self, index: Index) -> State {
        let mut state = State::default();
        let restored = self.restored.iter().filter(|(at, _)| *at <= index);
        let mut restored = restored.peekable();
        for (at, _, command) in self.log.iter().filter(|(at, _, _)| *at <= index) {
            while let Some((_, image)) = restored.next_if(|(before, _)| before < at) {
                state = image.clone();
            }
            state.apply(*at, command);
        }
        restored.last().map_or(state, |(_, image)| image.clone())
    }

    /// Whether a state was ever restored.
    pub(super) fn is_restored(&self) -> bool {
        !self.restored.is_empty()
    }

    fn command(
        &mut self,
        index: Index,
        ordinal: u32,
        command: Command,
    ) -> Result<Option<Fate>, Violation> {
        let name = Name::of(&command);
        let text = String::from_utf8_lossy(&command.body).into_owned();
        if self.refused.contains(&name) {
            return Err(Violation {
                invariant: NAME,
                detail: format!("`{text}` is at {index}, but was called not applied"),
            });
        }
        if !self.created {
            return Ok(None);
        }
        let first = command.key.and_then(|key| self.state.sessions.get(&key));
        let first = first.copied();
        let outcome = self.state.apply(index, &command);
        self.log.push((index, ordinal, command));
        let outcome = match (outcome, first) {
            (Some(outcome), _) => outcome,
            (None, Some(first)) => return Ok(Some(Fate::Again(name, first))),
            (None, None) => return Ok(Some(Fate::Trap)),
        };
        let effects = self.effects.entry(name.clone()).or_default();
        if let (Name::Body(_), Some(Effect { index: first, .. })) = (&name, effects.first()) {
            return Err(Violation {
                invariant: NAME,
                detail: format!("`{text}` takes effect at {first} and at {index}"),
            });
        }
        let effect = Effect {
            index,
            outcome,
            upgrades: self.upgrades,
            reads: text.starts_with("get "),
        };
        effects.push(effect);
        Ok(Some(Fate::First(name, index)))
    }

    /// A client was told this.
    pub(super) fn acknowledged(&self, command: &Command, index: Index, outcome: &Outcome) -> Check {
        let text = String::from_utf8_lossy(&command.body);
        if text == TRAP && *outcome == Outcome::Failed(FailureClass::Trap) {
            return Ok(());
        }
        let said = unversioned(&text, outcome);
        let is_said = |effect: &Effect| effect.index == index && effect.outcome == said;
        match self.effects.get(&Name::of(command)) {
            Some(effects) if effects.iter().any(is_said) => Ok(()),
            Some(effects) => violated(
                NAME,
                format!("`{text}` was called {outcome:?} at {index}, but is {effects:?}"),
            ),
            None => violated(
                NAME,
                format!("`{text}` was called applied at {index}, but is lost"),
            ),
        }
    }

    /// A client was told that this is not applied.
    pub(super) fn refused(&mut self, command: &Command) -> Check {
        if command.body == TRAP {
            return Ok(());
        }
        let name = Name::of(command);
        let effect = self.effects.get(&name).and_then(|all| all.first());
        if let Some(Effect { index: at, .. }) = effect {
            let text = String::from_utf8_lossy(&command.body);
            return violated(
                NAME,
                format!("`{text}` was called not applied, but is at {at}"),
            );
        }
        self.refused.insert(name);
        Ok(())
    }

    /// What is committed, for a history of clients.
    pub(super) fn log(&self, group: GroupId) -> Vec<Logged> {
        let logged = |(index, ordinal, command): &(Index, u32, Command)| Logged {
            group: group.0.to_string(),
            index: *index,
            ordinal: *ordinal,
            session: command.key.map(session_of),
            body: String::from_utf8_lossy(&command.body).into_owned(),
        };
        self.log.iter().map(logged).collect()
    }
}

impl State {
    /// The commands that the simulator's clients use, as `NativeKv` means them. `None`: no effect.
    fn apply(&mut self, index: Index, command: &Command) -> Option<Outcome> {
        let text = String::from_utf8_lossy(&command.body);
        if text == TRAP {
            return None;
        }
        if let Some(key) = command.key {
            if self.sessions.contains_key(&key) {
                return None;
            }
            self.sessions.insert(key, index);
        }
        let Some((key, action)) = Action::parse(&text) else {
            return Some(Outcome::Refused(b"unknown command".to_vec()));
        };
        let results = action.apply(self.map.get(key).map(String::as_str));
        match results.value {
            Some(value) => self.map.insert(key.into(), value),
            None => self.map.remove(key),
        };
        Some(match results.outcome {
            Said::Done => Outcome::Ok(Vec::new()),
            Said::Value(value) => Outcome::Ok(value.into_bytes()),
            Said::Missing => Outcome::Refused(b"no such key".to_vec()),
            Said::Mismatch => Outcome::Refused(b"cas failed".to_vec()),
            Said::NotANumber => Outcome::Refused(b"not a number".to_vec()),
        })
    }
}

/// The value alone: what `get` answers begins with the version of the state machine.
fn unversioned(text: &str, outcome: &Outcome) -> Outcome {
    match outcome {
        Outcome::Ok(value) if text.starts_with("get ") => {
            Outcome::Ok(crate::client::unversioned(value).to_vec())
        }
        outcome => outcome.clone(),
    }
}
