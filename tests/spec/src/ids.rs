//! Names.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A term.
pub type Term = u64;

/// A position in the log, from 1 on.
pub type Index = u64;

/// A replica: its node, and the index of the entry that added it there. As text `n2.7`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReplicaId {
    /// The node.
    pub node: u64,
    /// Index of the entry that added it; 0: it is in the initial configuration.
    pub born: Index,
}

/// The identity of an entry, ordered as logs are: the term first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct LogId {
    /// Its term.
    pub term: Term,
    /// Its index.
    pub index: Index,
}

impl ReplicaId {
    /// Before all others.
    pub(crate) const LEAST: Self = Self { node: 0, born: 0 };
    /// After all others.
    pub(crate) const GREATEST: Self = Self {
        node: u64::MAX,
        born: Index::MAX,
    };
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}.{}", self.node, self.born)
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.term, self.index)
    }
}

impl From<ReplicaId> for String {
    fn from(id: ReplicaId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for ReplicaId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for ReplicaId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.strip_prefix('n').and_then(|rest| rest.split_once('.'));
        let parsed = parts.and_then(|(node, born)| {
            let (node, born) = (node.parse().ok()?, born.parse().ok()?);
            Some(Self { node, born })
        });
        parsed.ok_or_else(|| format!("`{text}` names no replica"))
    }
}
