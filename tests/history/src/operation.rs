//! One operation of a client, with everything it was told about it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Action;

/// One operation. Attempts with the same [session](Self::session) are one operation; an attempt
/// without is one of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Its name, unlike that of any other of the history.
    pub id: u64,
    /// Who asked.
    pub client: u64,
    /// The Raft group or fsm that was asked.
    pub group: String,
    /// Of which key.
    pub key: String,
    /// For what.
    pub action: Action,
    /// The idempotency key, if it has one. A command without must have a body of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Session>,
    /// When it was first asked, in nanoseconds of the harness's one clock.
    pub invoked: u64,
    /// Every definite answer, in the order in which they came: more than one if it was asked again
    /// after it was answered, or if an answer came late.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replies: Vec<Reply>,
    /// Every attempt was answered with "not applied": it has not happened and will not.
    #[serde(default, skip_serializing_if = "is_false")]
    pub not_applied: bool,
}

/// A definite answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// When it came.
    pub at: u64,
    /// The index it names: of the command's entry, or that a query was answered at.
    pub index: u64,
    /// What it says.
    pub outcome: Outcome,
}

/// What the state machine answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Done,
    /// This is the value.
    Value(String),
    /// Refused: there is no value.
    Missing,
    /// Refused: the value is another one.
    Mismatch,
    /// Refused: the value is no number.
    NotANumber,
}

/// What a client knows of its operation in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate<'a> {
    /// It happened; the first answer.
    Answered(&'a Reply),
    /// It has not happened and will not.
    NotApplied,
    /// It may or may not have happened.
    Unknown,
}

/// An idempotency key: the client that made it and its number there. As text `CLIENT.SEQUENCE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Session {
    /// The client.
    pub client: u64,
    /// Counts its operations.
    pub sequence: u64,
}

impl Operation {
    /// What the client knows of it in the end.
    pub fn fate(&self) -> Fate<'_> {
        match (self.replies.first(), self.not_applied) {
            (Some(reply), _) => Fate::Answered(reply),
            (None, true) => Fate::NotApplied,
            (None, false) => Fate::Unknown,
        }
    }

    /// When the client was first told the answer.
    pub fn returned(&self) -> Option<u64> {
        self.replies.first().map(|reply| reply.at)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            id,
            client,
            group,
            key,
            action,
            invoked,
            ..
        } = self;
        let body = action.body(key);
        write!(
            f,
            "operation {id} (client {client}, group {group}, `{body}`"
        )?;
        if let Action::Read(kind) = action {
            write!(f, " {kind:?}")?;
        }
        match self.fate() {
            Fate::Answered(Reply { at, index, outcome }) => {
                write!(f, ", {invoked}..{at}: {outcome:?} at {index})")
            }
            Fate::NotApplied => write!(f, ", {invoked}: not applied)"),
            Fate::Unknown => write!(f, ", {invoked}..: unknown)"),
        }
    }
}

impl Outcome {
    /// What `bytes` mean as the state machine's answer to `action`, refused or not: of the plugin
    /// `kv` and of the native machine of the driver. `None`: neither answers like this.
    pub fn of(action: &Action, refused: bool, bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let answers_value =
            action.only_reads() || matches!(action, Action::Append(_) | Action::Add(_));
        match (refused, answers_value) {
            (false, true) => Some(Self::Value(text.into())),
            (false, false) => Some(Self::Done),
            (true, _) if text.starts_with("no such key") => Some(Self::Missing),
            (true, _) if text.starts_with("cas failed") => Some(Self::Mismatch),
            (true, _) if text.starts_with("not a number") => Some(Self::NotANumber),
            (true, _) => None,
        }
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.client, self.sequence)
    }
}

/// Not `CLIENT.SEQUENCE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoSession(String);

impl fmt::Display for NoSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a session is CLIENT.SEQUENCE, not `{}`", self.0)
    }
}

impl std::error::Error for NoSession {}

impl FromStr for Session {
    type Err = NoSession;

    fn from_str(text: &str) -> Result<Self, NoSession> {
        let parts = text
            .split_once('.')
            .and_then(|(client, sequence)| Some((client.parse().ok()?, sequence.parse().ok()?)));
        match parts {
            Some((client, sequence)) => Ok(Self { client, sequence }),
            None => Err(NoSession(text.into())),
        }
    }
}

impl Serialize for Session {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Session {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_false(value: &bool) -> bool {
    !value
}
